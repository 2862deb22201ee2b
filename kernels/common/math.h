// Elementary functions in float, written once for the CPU loops and the CUDA kernels. They use only IEEE
// operations and explicit fused multiply-adds, so compilers vectorise them and every build gives the same
// bits. Polynomials are those of Cephes (Moshier, 1992); the bounds below are what math_test.cpp measures.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/common/view.h"

namespace felbo::math {

#if defined(__CUDA_ARCH__)
FELBO_HD inline float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
FELBO_HD inline float mul(float a, float b) { return __fmul_rn(a, b); }
FELBO_HD inline float add(float a, float b) { return __fadd_rn(a, b); }
FELBO_HD inline float sqrt(float x) { return __fsqrt_rn(x); }
FELBO_HD inline std::int32_t bits(float x) { return __float_as_int(x); }
FELBO_HD inline float from_bits(std::int32_t i) { return __int_as_float(i); }
#else
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float mul(float a, float b) { return a * b; }  // never contracted: -ffp-contract=off
inline float add(float a, float b) { return a + b; }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline std::int32_t bits(float x) { return std::bit_cast<std::int32_t>(x); }
inline float from_bits(std::int32_t i) { return std::bit_cast<float>(i); }
#endif

/// condition ? a : b, without a branch: compilers like to move what only one side needs behind one, and such
/// loops are not vectorised.
FELBO_HD inline float select(bool condition, float a, float b) {
#if defined(__CUDA_ARCH__)
  return condition ? a : b;
#else
  const std::int32_t mask = -static_cast<std::int32_t>(condition);
  return from_bits((bits(a) & mask) | (bits(b) & ~mask));
#endif
}

/// Smaller and larger of two; a NaN in `x` is kept, so that it reaches the loss instead of being clamped
/// away.
FELBO_HD inline float at_most(float x, float limit) { return x > limit ? limit : x; }
FELBO_HD inline float at_least(float x, float limit) { return x < limit ? limit : x; }
/// -|x|, a NaN kept.
FELBO_HD inline float minus_magnitude(float x) {
  return from_bits(bits(x) | static_cast<std::int32_t>(0x80000000u));
}

namespace detail {

/// (e^r - 1 - r) / r^2 for |r| <= 0.36, within 1 eps.
FELBO_HD inline float exp_tail(float r) {
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  p = fma(p, r, 5.0000001201e-1f);
  return p;
}

/// e^x = mantissa * 2^exponent for x in [-88, 89], the mantissa in [0.7, 1.42].
struct ExpParts {
  float mantissa;
  std::int32_t exponent;
};
FELBO_HD inline ExpParts exp_parts(float x) {
  // Adding 1.5 * 2^23 rounds to an integer that stands in the low bits of the sum.
  const float shifted = fma(x, 1.44269504f, 12582912.0f);
  const float n = add(shifted, -12582912.0f);
  float r = fma(n, -0.693359375f, x);
  r = fma(n, 2.12194440e-4f, r);
  const float p = exp_tail(r);
  const float mantissa = add(fma(p, mul(r, r), r), 1.0f);
  return {mantissa, static_cast<std::int32_t>(static_cast<std::uint32_t>(bits(shifted)) - 0x4b400000u)};
}

/// 2^n for n in [-126, 127].
FELBO_HD inline float power_of_two(std::int32_t n) {
  return from_bits(static_cast<std::int32_t>(static_cast<std::uint32_t>(n + 127) << 23));
}

}  // namespace detail

/// e^x within 2 ulp for normal results; 0 below -87.3, infinity above 88.7, NaN kept.
FELBO_HD inline float exp(float x) {
  const detail::ExpParts e = detail::exp_parts(at_least(at_most(x, 89.0f), -88.0f));
  // 2^n in two halves, so that neither factor overflows where the product does not.
  const std::int32_t half = e.exponent >> 1;
  const float value =
      mul(mul(e.mantissa, detail::power_of_two(half)), detail::power_of_two(e.exponent - half));
  return x < -87.3f ? 0.0f : value;
}

/// The same, bit for bit, for x <= 0, where no result overflows; cheaper.
FELBO_HD inline float exp_nonpositive(float x) {
  const detail::ExpParts e = detail::exp_parts(at_least(x, -87.3f));
  const float value = mul(e.mantissa, detail::power_of_two(e.exponent));
  return x < -87.3f ? 0.0f : value;
}

namespace detail {

/// (log(1 + f) - f + f^2 / 2) / f^3 for f in [sqrt(1/2) - 1, sqrt(2) - 1].
FELBO_HD inline float log1p_tail(float f) {
  float p = 7.0376836292e-2f;
  p = fma(p, f, -1.1514610310e-1f);
  p = fma(p, f, 1.1676998740e-1f);
  p = fma(p, f, -1.2420140846e-1f);
  p = fma(p, f, 1.4249322787e-1f);
  p = fma(p, f, -1.6668057665e-1f);
  p = fma(p, f, 2.0000714765e-1f);
  p = fma(p, f, -2.4999993993e-1f);
  p = fma(p, f, 3.3333331174e-1f);
  return p;
}

/// log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1].
FELBO_HD inline float log1p_reduced(float f) {
  const float p = log1p_tail(f);
  const float f2 = mul(f, f);
  return fma(mul(p, f), f2, fma(-0.5f, f2, f));
}

}  // namespace detail

/// ln x within 2 ulp for positive normal x. Not defined elsewhere.
FELBO_HD inline float log_normal(float x) {
  const std::int32_t e = (bits(x) - 0x3f3504f3) >> 23;  // 0x3f3504f3 is sqrt(1/2)
  const float m = from_bits(bits(x) - static_cast<std::int32_t>(static_cast<std::uint32_t>(e) << 23));
  const float n = static_cast<float>(e);
  const float low = fma(n, -2.12194440e-4f, detail::log1p_reduced(add(m, -1.0f)));
  return fma(n, 0.693359375f, low);
}

/// ln(1 + y) within 3 ulp for y in [0, 1].
FELBO_HD inline float log1p_unit(float y) {
  const bool halve = y > 0.41421356f;
  const float f = halve ? mul(add(y, -1.0f), 0.5f) : y;
  const float shift = halve ? 0.693147181f : 0.0f;
  return add(detail::log1p_reduced(f), shift);
}

namespace detail {

/// ln(1 + x) for x above -1/2, from its polynomial unless `far`, which it must be outside of the polynomial's
/// interval.
FELBO_HD inline float log1p_of(float x, bool far) {
  const float sum = add(1.0f, x);
  const std::int32_t e = (bits(sum) - 0x3f3504f3) >> 23;
  const float m = from_bits(bits(sum) - static_cast<std::int32_t>(static_cast<std::uint32_t>(e) << 23));
  const float n = select(far, static_cast<float>(e), 0.0f);
  const float low = fma(n, -2.12194440e-4f, detail::log1p_reduced(select(far, add(m, -1.0f), x)));
  return fma(n, 0.693359375f, low);
}

}  // namespace detail

/// ln(1 + x) within 3 ulp for x in [0, 2^126], a NaN kept.
FELBO_HD inline float log1p(float x) { return detail::log1p_of(x, x > 0.41421356f); }

/// ln(1 + x) within 3 ulp for x in [-1/2, 2^126], a NaN kept.
FELBO_HD inline float log1p_signed(float x) {
  return detail::log1p_of(x, x > 0.41421356f || x < -0.29289322f);
}

/// x - ln(1 + x) within 3 ulp for x in [-0.29, 0.41]: what is left of x where its logarithm is taken away.
FELBO_HD inline float log1p_deficit(float x) { return mul(mul(x, x), fma(-x, detail::log1p_tail(x), 0.5f)); }

/// e^x - 1 - x within 3 ulp for |x| <= 0.36.
FELBO_HD inline float exp_excess(float x) { return mul(mul(x, x), detail::exp_tail(x)); }

/// 1 - e^-x within 4 ulp for x >= 0.
FELBO_HD inline float one_minus_exp(float x) {
  return select(x <= 0.36f, add(x, -exp_excess(-x)), add(1.0f, -exp_nonpositive(-x)));
}

/// The remainder of Stirling's formula, ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi) / 2), from w = 1 / z of
/// [0, 1]: within 1.5e-8 w, so within 2 eps. (Binet's function; w / 12 - w^3 / 360 + ... A least-maximum
/// fit.)
FELBO_HD inline float stirling_remainder(float w) {
  float p = 1.42218940672e-4f;
  p = fma(p, w, -6.45669862827e-4f);
  p = fma(p, w, 1.0635330934e-3f);
  p = fma(p, w, -6.09097330866e-5f);
  p = fma(p, w, -2.77068811337e-3f);
  p = fma(p, w, -3.49734544447e-7f);
  p = fma(p, w, 8.3333336717e-2f);
  return mul(p, w);
}

/// z (ln z - psi(z)) - 1/2 with the digamma function psi, from w = 1 / z of [0, 1]: within 3e-8 w, so
/// within 4 eps. (w / 12 - w^3 / 120 + ... A least-maximum fit.)
FELBO_HD inline float digamma_remainder(float w) {
  float p = -3.22592969499e-4f;
  p = fma(p, w, 2.00619823409e-3f);
  p = fma(p, w, -5.10446946166e-3f);
  p = fma(p, w, 6.05148282066e-3f);
  p = fma(p, w, -4.65427585197e-4f);
  p = fma(p, w, -8.28049515561e-3f);
  p = fma(p, w, -2.38085164257e-6f);
  p = fma(p, w, 8.33333517254e-2f);
  return mul(p, w);
}

/// (1 + a) (1 + b) - 1 for a, b >= 0, within 1 eps of itself: a product of factors close to 1 keeps what it
/// exceeds 1 by. The logarithm of a product is the sum of the logarithms, for one logarithm in place of many.
FELBO_HD inline float join_excess(float a, float b) { return fma(a, b, add(a, b)); }

/// ln(1 + e^x), the softplus, and its derivative, the logistic sigmoid 1 / (1 + e^-x). Finite for every
/// finite x.
struct SoftplusSigmoid {
  float softplus;
  float sigmoid;
};
FELBO_HD inline SoftplusSigmoid softplus_sigmoid(float x) {
  const float y = exp_nonpositive(x > 0.0f ? -x : x);  // e^-|x|
  const float r = 1.0f / add(1.0f, y);
  return {add(x > 0.0f ? x : 0.0f, log1p_unit(y)), x >= 0.0f ? r : mul(y, r)};
}
FELBO_HD inline float softplus(float x) { return softplus_sigmoid(x).softplus; }
FELBO_HD inline float sigmoid(float x) { return softplus_sigmoid(x).sigmoid; }

/// tanh x within 3 ulp.
FELBO_HD inline float tanh(float x) {
  const float a = x < 0.0f ? -x : x;
  const float x2 = mul(x, x);
  float p = -5.70498872745e-3f;
  p = fma(p, x2, 2.06390887954e-2f);
  p = fma(p, x2, -5.37397155531e-2f);
  p = fma(p, x2, 1.33314422036e-1f);
  p = fma(p, x2, -3.33332819422e-1f);
  const float near_zero = fma(mul(p, x2), x, x);
  const float far = 1.0f - 2.0f / add(exp(mul(2.0f, a)), 1.0f);
  return a < 0.625f ? near_zero : (x < 0.0f ? -far : far);
}

/// cos and sin of (pi/2) r for r in [-1/2, 1/2], within 2e-7 of the true value.
struct CosSin {
  float cos;
  float sin;
};
FELBO_HD inline CosSin cos_sin_quarter(float r) {
  const float a = mul(r, 1.57079633f);
  const float a2 = mul(a, a);
  float s = -1.9515295891e-4f;
  s = fma(s, a2, 8.3321608736e-3f);
  s = fma(s, a2, -1.6666654611e-1f);
  float c = 2.443315711809948e-5f;
  c = fma(c, a2, -1.388731625493765e-3f);
  c = fma(c, a2, 4.166664568298827e-2f);
  return {fma(mul(c, a2), a2, fma(a2, -0.5f, 1.0f)), fma(mul(s, a2), a, a)};
}

}  // namespace felbo::math
