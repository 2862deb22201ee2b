// What one element contributes, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/log_var_exp.h"
#include "kernels/gaussian_kl/gaussian_kl.h"

namespace felbo::gaussian_kl_math {

/// Terms of one element, log-variances clamped.
struct Terms {
  float pull;    // (mu - m) exp(-v)
  float square;  // (mu - m)^2 exp(-v)
  float ratio;   // exp(log_var - v)
  float gap;     // log_var - v
};

FELBO_HD_INLINE Terms terms(float mu, float log_var, float prior_mu, float prior_log_var,
                            const LogVarClamp& clamp) {
  const float v = clamp_log_var(prior_log_var, clamp);
  const float gap = math::add(clamp_log_var(log_var, clamp), -v);
  const float d = math::add(mu, -prior_mu), pull = math::mul(d, math::exp_log_var(-v));
  return {pull, math::mul(d, pull), math::exp(gap), gap};
}

FELBO_HD_INLINE float kl(const Terms& t) {
  return math::mul(0.5f, math::add(math::add(t.square, math::add(t.ratio, -1.0f)), -t.gap));
}
/// The derivative by a clamped log_var, over kl_scale.
FELBO_HD_INLINE float by_log_var(const Terms& t) { return math::mul(0.5f, math::add(t.ratio, -1.0f)); }
/// That by a clamped prior log_var.
FELBO_HD_INLINE float by_prior_log_var(const Terms& t) {
  return math::mul(-0.5f, math::add(t.square, math::add(t.ratio, -1.0f)));
}

}  // namespace felbo::gaussian_kl_math
