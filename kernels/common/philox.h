// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
// bijection of a 128-bit counter under a 64-bit key. One header for host and device; no state, so every
// random number is a function of where it is used.
#pragma once

#include <cstdint>

#include "kernels/common/view.h"

namespace felbo {

/// Four 32-bit words: a counter or the random words made from it.
struct Words4 {
  std::uint32_t w[4];
  FELBO_HD std::uint32_t operator[](int i) const { return w[i]; }
};

namespace philox {
inline constexpr int kRounds = 10;
inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
inline constexpr std::uint32_t kKeyStep0 = 0x9E3779B9u, kKeyStep1 = 0xBB67AE85u;
}  // namespace philox

/// The ten rounds. Equal to cuRAND's device generator of curand_init(seed, subsequence, offset) when
/// key = {lo(seed), hi(seed)} and counter = {lo(offset / 4), hi(offset / 4), lo(subsequence),
/// hi(subsequence)}.
FELBO_HD inline Words4 philox4x32_10(Words4 counter, std::uint32_t key0, std::uint32_t key1) {
  std::uint32_t c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
#if defined(__CUDACC__)
#pragma unroll
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < philox::kRounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{philox::kMultiplier0} * c0;
    const std::uint64_t p1 = std::uint64_t{philox::kMultiplier1} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<std::uint32_t>(p0);
    key0 += philox::kKeyStep0;
    key1 += philox::kKeyStep1;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace felbo
