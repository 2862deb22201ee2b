// What one element contributes, shared by the CPU loops and the CUDA kernels. The draw's terms are those of
// reparameterize_math.h.
#pragma once

#include "kernels/common/math.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo::conditional_gaussian_math {

namespace rm = reparameterize_math;

/// c w of a row.
template <class Args>
FELBO_HD_INLINE float scale_of(const Args& a, float kl_scale, std::int64_t row) {
  return math::mul(kl_scale, rm::weight_of(a, row));
}

/// The gradient by h, and by mu, of a draw: log N(h; 0, I) has its share where `prior_scale` = c w, else 0.
FELBO_HD_INLINE float draw_gradient(float grad_z, float z, float prior_scale) {
  return math::fma(prior_scale, z, grad_z);
}
/// That by log_var from the one by h; scale = c w.
FELBO_HD_INLINE float draw_grad_log_var(float g, float eps, float log_var, float scale,
                                        const LogVarClamp& bounds) {
  const float sigma = rm::sigma(clamp_log_var(log_var, bounds));
  return math::select(is_clamped(log_var, bounds), 0.0f,
                      math::mul(0.5f, math::fma(math::mul(g, eps), sigma, -scale)));
}

/// t = (h - mu) / sigma and what it is divided by.
struct Standardized {
  float t, inverse_sigma;
};
FELBO_HD_INLINE Standardized standardize(float z, float mu, float clamped_log_var) {
  const float inverse = rm::sigma(-clamped_log_var);
  return {math::mul(math::add(z, -mu), inverse), inverse};
}
/// The gradient of -c w log p by h; that by mu is its negative.
FELBO_HD_INLINE float density_pull(const Standardized& s, float scale) {
  return math::mul(scale, math::mul(s.t, s.inverse_sigma));
}
FELBO_HD_INLINE float density_grad_log_var(const Standardized& s, float log_var, float scale,
                                           const LogVarClamp& bounds) {
  return math::select(is_clamped(log_var, bounds), 0.0f,
                      math::mul(math::mul(0.5f, scale), math::fma(-s.t, s.t, 1.0f)));
}

}  // namespace felbo::conditional_gaussian_math
