// One element of each kernel of unfused.h, for CPU loops and CUDA kernels alike.
#pragma once

#include "benchmarks/unfused.h"
#include "kernels/likelihood/bernoulli.h"
#include "kernels/likelihood/gaussian.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo::bench {

FELBO_HD inline float unfused_z(float mu, float log_var, float eps, LogVarClamp bounds) {
  return math::fma(reparameterize_math::sigma(clamp_log_var(log_var, bounds)), eps, mu);
}

/// What the gradient by log_var gets through z.
FELBO_HD inline float unfused_through_z(float grad_z, float log_var, float eps, LogVarClamp bounds) {
  const float sigma = reparameterize_math::sigma(clamp_log_var(log_var, bounds));
  return reparameterize_math::through_clamp(math::mul(0.5f, math::mul(math::mul(grad_z, eps), sigma)),
                                            log_var, bounds);
}

template <class Family>
FELBO_HD float unfused_output_gradient(const Family& family, float x, float output, float grad_scale) {
  const float in[1] = {output};
  return math::mul(grad_scale, family(x, in, 0).grad[0]);
}

/// Calls f(family) with the family's functor.
template <class F>
void with_unfused_family(UnfusedLikelihood which, const F& f) {
  if (which == UnfusedLikelihood::kBernoulli) return f(Bernoulli());
  f(GaussianOneVariance<OwnParameters::kNone>{1.0f});
}

}  // namespace felbo::bench
