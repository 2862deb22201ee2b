// One element, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/math.h"

namespace felbo::normal_cdf_math {

/// Phi(-a) exp(a^2 / 2) for a >= 0, from t = (a - 3) / (a + 3): within 7e-9 of itself up to a = 13.5. (A
/// least-maximum fit.)
FELBO_HD inline float scaled_tail(float t) {
  float p = 5.41509721e-5f;
  p = math::fma(p, t, 1.16037571e-4f);
  p = math::fma(p, t, -3.39911357e-4f);
  p = math::fma(p, t, -9.84182921e-4f);
  p = math::fma(p, t, 2.90470261e-3f);
  p = math::fma(p, t, 6.13218310e-3f);
  p = math::fma(p, t, -4.62133138e-2f);
  p = math::fma(p, t, 1.23225022e-1f);
  p = math::fma(p, t, -2.06402618e-1f);
  return math::fma(p, t, 1.21513948e-1f);
}

/// exp(-z^2 / 2).
FELBO_HD inline float bell(float z) { return math::exp_nonpositive(math::mul(-0.5f, math::mul(z, z))); }

FELBO_HD inline float cdf(float z) {
  const float a = -math::minus_magnitude(z);
  // Beyond 14 both the exponential and the result are 0; infinity over infinity would be a NaN.
  const float at = math::at_most(a, 14.0f);
  const float tail = math::mul(scaled_tail(math::add(at, -3.0f) / math::add(at, 3.0f)), bell(z));
  return math::select(z > 0.0f, math::add(1.0f, -tail), tail);
}

FELBO_HD inline float gradient(float z, float grad_u) {
  return math::mul(grad_u, math::mul(0.398942280f, bell(z)));
}

}  // namespace felbo::normal_cdf_math
