// bfloat16 as a storage format: the upper half of a float. Arithmetic is done in float.
#pragma once

#include <cstdint>

#include "kernels/common/math.h"

namespace felbo {

/// 8 bits of significand, the exponents of float. The same bits on host and device.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  /// To nearest, ties to even; a NaN stays a NaN.
  FELBO_HD explicit BFloat16(float x) {
    const auto u = static_cast<std::uint32_t>(math::bits(x));
    const std::uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    bits = static_cast<std::uint16_t>(x == x ? rounded : u >> 16 | 0x40u);
  }
  FELBO_HD explicit operator float() const {
    return math::from_bits(static_cast<std::int32_t>(static_cast<std::uint32_t>(bits) << 16));
  }
};

/// Rounds n floats one by one.
inline void round_to_bfloat16(const float* __restrict from, std::int64_t n, BFloat16* __restrict to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = BFloat16(from[i]);
}

}  // namespace felbo
