// The noise in double, transcribed from the papers: Philox by schoolbook 32-bit multiplication in 64 bits,
// and Box and Muller's transform with the library's logarithm, sine and cosine.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace felbo::reference {

using Words = std::array<std::uint32_t, 4>;

/// Salmon et al. (2011), figure 2 and table 2: ten rounds of (hi, lo) products and the Weyl key schedule.
inline Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = counter[0] * std::uint64_t{0xD2511F53};
    const std::uint64_t b = counter[2] * std::uint64_t{0xCD9E8D57};
    counter = {std::uint32_t(b >> 32) ^ counter[1] ^ key[0], std::uint32_t(b & 0xffffffff),
               std::uint32_t(a >> 32) ^ counter[3] ^ key[1], std::uint32_t(a & 0xffffffff)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

/// The word of element `element`: docs/notation.md, "Noise".
inline std::uint32_t word(std::uint64_t seed, std::uint32_t step, std::uint32_t purpose, std::uint32_t datum,
                          std::uint32_t sample, std::uint32_t element) {
  return philox({element / 4, step, datum, purpose * 67108864u + sample},
                {std::uint32_t(seed & 0xffffffff), std::uint32_t(seed >> 32)})[element % 4];
}

/// Standard normal of element `element`: sqrt(-2 ln u) times cos (even elements) or sin (odd) of 2 pi v.
inline double normal(std::uint64_t seed, std::uint32_t step, std::uint32_t purpose, std::uint32_t datum,
                     std::uint32_t sample, std::uint32_t element) {
  const std::uint32_t even = element - element % 2;
  const double u = (word(seed, step, purpose, datum, sample, even) + 0.5) / 4294967296.0;
  const double v = word(seed, step, purpose, datum, sample, even + 1) / 4294967296.0;
  const double radius = std::sqrt(-2.0 * std::log(u));
  const double angle = 2.0 * std::numbers::pi * v;
  return element % 2 == 0 ? radius * std::cos(angle) : radius * std::sin(angle);
}

}  // namespace felbo::reference
