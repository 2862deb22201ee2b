// What one element contributes, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/log_var_exp.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo::reparameterize_math {

inline constexpr float kLog2Pi = 1.83787706640934548f;

/// 1/2 (mu^2 + e^log_var - log_var - 1). Here and below log_var has been clamped, unless its clamp is asked
/// for.
FELBO_HD inline float kl(float mu, float log_var) {
  return 0.5f * (math::fma(mu, mu, math::exp_log_var(log_var) - 1.0f) - log_var);
}
FELBO_HD inline float sigma(float log_var) { return math::exp_log_var(0.5f * log_var); }
/// log N(z; 0, 1), and with eps = (z - mu) / sigma, log N(z; mu, e^log_var).
FELBO_HD inline float log_pz(float z) { return -0.5f * math::fma(z, z, kLog2Pi); }
FELBO_HD inline float log_qz(float eps, float log_var) {
  return -0.5f * math::fma(eps, eps, kLog2Pi + log_var);
}

/// Twice the derivative of kl_scale KL by log_var, which is not clamped here.
FELBO_HD inline float kl_slope(float v, float kl_scale) { return kl_scale * (math::exp_log_var(v) - 1.0f); }

/// The gradient by a log_var before the clamp, from the one after it.
FELBO_HD inline float through_clamp(float gradient, float log_var, LogVarClamp bounds) {
  return is_clamped(log_var, bounds) ? 0.0f : gradient;
}

/// grad_log_var from g = sum_s grad_z eps.
FELBO_HD inline float grad_log_var(float g, float log_var, float kl_scale, LogVarClamp bounds) {
  const float v = clamp_log_var(log_var, bounds);
  return through_clamp(0.5f * math::fma(g, sigma(v), kl_slope(v, kl_scale)), log_var, bounds);
}
/// The same, bit for bit, for g = 0: through the KL alone.
FELBO_HD inline float kl_grad_log_var(float log_var, float kl_scale, LogVarClamp bounds) {
  return through_clamp(0.5f * kl_slope(clamp_log_var(log_var, bounds), kl_scale), log_var, bounds);
}

/// The weight of a row of z.
template <class Args>
FELBO_HD float weight_of(const Args& a, std::int64_t row) {
  return a.weight.empty() ? 1.0f / static_cast<float>(a.samples) : a.weight(row);
}

/// What the KL counts in the gradient.
template <class Args>
FELBO_HD float analytic_scale(const Args& a) {
  return a.standard_prior ? a.kl_scale.get() : 0.0f;
}
/// z as log p(z) = log N(z; 0, I) draws on it; 0 where the prior is another one.
template <class Args>
FELBO_HD_INLINE float prior_pull(const Args& a, float z) {
  return math::mul(a.standard_prior ? 1.0f : 0.0f, z);
}

/// What one sample with its weight adds to grad_mu, and times eps to grad_log_var. kl_weight = kl_scale *
/// weight; inverse_sigma is read where the gradient goes through z alone.
template <PosteriorGradient kKind>
FELBO_HD inline float sample_gradient(float grad_z, float z, float eps, float inverse_sigma, float weight,
                                      float kl_weight) {
  if constexpr (kKind == PosteriorGradient::kMonteCarlo) return math::fma(kl_weight, z, grad_z);
  const float through_z = math::fma(kl_weight, math::fma(-eps, inverse_sigma, z), grad_z);
  return kKind == PosteriorGradient::kDoublyReparameterized ? math::mul(weight, through_z) : through_z;
}

/// grad_log_var from g = sum_s sample_gradient eps.
template <PosteriorGradient kKind>
FELBO_HD inline float grad_log_var_of_samples(float g, float log_var, float kl_scale, LogVarClamp bounds) {
  const float own = kKind == PosteriorGradient::kMonteCarlo ? -kl_scale : 0.0f;
  return through_clamp(0.5f * math::fma(g, sigma(clamp_log_var(log_var, bounds)), own), log_var, bounds);
}

}  // namespace felbo::reparameterize_math
