// What mixture_prior and its gradient refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/mixture_prior/mixture_prior.h"

namespace felbo {

inline void check(const GaussianMixture& m, std::int64_t latent, std::int64_t scratch) {
  FELBO_CHECK(m.mu.rows >= 1, "mixture_prior: a mixture needs at least one component");
  FELBO_CHECK(m.mu.cols == latent && m.log_var.rows == m.mu.rows && m.log_var.cols == latent,
              "mixture_prior: z has {} columns, mu is {} x {}, log_var {} x {}", latent, m.mu.rows, m.mu.cols,
              m.log_var.rows, m.log_var.cols);
  FELBO_CHECK(m.logit.empty() || m.logit.size == m.mu.rows, "mixture_prior: {} components, {} logits",
              m.mu.rows, m.logit.size);
  FELBO_CHECK(scratch >= mixture_scratch(m.mu.rows, latent), "mixture_prior: scratch has {} floats, needs {}",
              scratch, mixture_scratch(m.mu.rows, latent));
  check_log_var_clamp("mixture_prior", m.clamp);
}

inline void check(const MixturePriorArgs& a) {
  check(a.mixture, a.z.cols, a.scratch.size);
  FELBO_CHECK(a.log_pz.size == a.z.rows, "mixture_prior: {} rows, but room for {}", a.z.rows, a.log_pz.size);
  FELBO_CHECK(a.responsibility.empty() ||
                  (a.responsibility.rows == a.z.rows && a.responsibility.cols == a.mixture.mu.rows),
              "mixture_prior: {} rows and {} components, responsibilities are {} x {}", a.z.rows,
              a.mixture.mu.rows, a.responsibility.rows, a.responsibility.cols);
}

inline void check(const MixturePriorGradArgs& a) {
  const std::int64_t K = a.mixture.mu.rows;
  check(a.mixture, a.z.cols, a.scratch.size);
  FELBO_CHECK(a.responsibility.rows == a.z.rows && a.responsibility.cols == K,
              "mixture_prior_backward: {} rows and {} components, responsibilities are {} x {}", a.z.rows, K,
              a.responsibility.rows, a.responsibility.cols);
  FELBO_CHECK(a.samples >= 1 && a.z.rows % a.samples == 0,
              "mixture_prior_backward: {} rows are not {} samples of each datum", a.z.rows, a.samples);
  FELBO_CHECK(a.weight.empty() || a.weight.size == a.z.rows, "mixture_prior_backward: {} rows, {} weights",
              a.z.rows, a.weight.size);
  FELBO_CHECK(a.grad_z.rows == a.z.rows && a.grad_z.cols == a.z.cols,
              "mixture_prior_backward: z is {} x {}, grad_z {} x {}", a.z.rows, a.z.cols, a.grad_z.rows,
              a.grad_z.cols);
  FELBO_CHECK(a.grad_mu.empty() == a.grad_log_var.empty() &&
                  a.grad_logit.empty() == (a.grad_mu.empty() || a.mixture.logit.empty()),
              "mixture_prior_backward: gradients by all parameters are needed, or by none");
  if (a.grad_mu.empty()) return;
  for (const View<float, 2>& grad : {a.grad_mu, a.grad_log_var}) {
    FELBO_CHECK(grad.rows == K && grad.cols == a.z.cols,
                "mixture_prior_backward: the components are {} x {}, a gradient {} x {}", K, a.z.cols,
                grad.rows, grad.cols);
  }
  FELBO_CHECK(a.grad_logit.empty() || a.grad_logit.size == K,
              "mixture_prior_backward: {} components, {} gradients of logits", K, a.grad_logit.size);
}

}  // namespace felbo
