// What one pixel becomes, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/normal.h"

namespace felbo::gather_math {

/// data / divisor, correctly rounded: a reciprocal would move some intensities by one ulp.
FELBO_HD inline float intensity(float data, float divisor) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(data, divisor);
#else
  return data / divisor;
#endif
}

/// intensity() of bytes, without a division for each: the remainder of a quotient by way of the reciprocal is
/// exact in an fma, and corrects it to the nearest float (Markstein, "Computation of elementary functions on
/// the IBM RISC System/6000 processor", 1990).
struct ByteIntensity {
  float divisor;     // of [kSmallest, kLargest], so that nothing here leaves the range of normal floats
  float reciprocal;  // 1 / divisor

  static constexpr float kSmallest = 1e-30f, kLargest = 1e30f;
  static ByteIntensity of(float divisor) { return {divisor, 1.0f / divisor}; }
  FELBO_HD float operator()(float byte) const {
    const float quotient = math::mul(byte, reciprocal);
    return math::fma(math::fma(-quotient, divisor, byte), reciprocal, quotient);
  }
};

/// 1 or 0; a NaN is kept, so that it reaches the loss.
FELBO_HD inline float pixel(bool on, float v) {
  const float off = v == v ? 0.0f : v;
  return on ? 1.0f : off;
}
FELBO_HD inline float threshold(float v) { return pixel(v >= 0.5f, v); }
FELBO_HD inline float draw(float v, std::uint32_t word) { return pixel(uniform_from_word(word) < v, v); }

/// The divisor of bytes that draw_byte stands for.
inline constexpr float kByteDivisor = 255.0f;
/// The largest word that draws a 1 from a byte that is not 0.
template <class Word>
FELBO_HD inline Word byte_bound(Word byte) {
  return byte * 0x01010100u | 0xffu;
}
/// draw(intensity(byte, 255), word), without a division or a float: byte / 255 is the byte repeated for ever
/// in base 256, and rounding it to a float crosses no point of the uniform's grid.
FELBO_HD inline float draw_byte(std::uint32_t byte, std::uint32_t word) {
  return byte != 0 && word <= byte_bound(byte) ? 1.0f : 0.0f;
}

}  // namespace felbo::gather_math
