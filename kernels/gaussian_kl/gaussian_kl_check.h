// What gaussian_kl and its gradient refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/gaussian_kl/gaussian_kl.h"

namespace felbo {

/// What both have.
template <class Args>
void check_gaussians(const Args& a) {
  FELBO_CHECK(a.log_var.rows == a.mu.rows && a.log_var.cols == a.mu.cols,
              "gaussian_kl: mu is {} x {}, log_var {} x {}", a.mu.rows, a.mu.cols, a.log_var.rows,
              a.log_var.cols);
  FELBO_CHECK(a.prior_mu.size == a.mu.cols && a.prior_log_var.size == a.mu.cols,
              "gaussian_kl: the prior needs {} means and log-variances, has {} and {}", a.mu.cols,
              a.prior_mu.size, a.prior_log_var.size);
  check_log_var_clamp("gaussian_kl", a.clamp);
}

inline void check(const GaussianKlArgs& a) {
  check_gaussians(a);
  FELBO_CHECK(a.kl.size == a.mu.rows, "gaussian_kl: {} rows, but room for {}", a.mu.rows, a.kl.size);
}

inline void check(const GaussianKlGradArgs& a) {
  check_gaussians(a);
  for (const View<float, 2>& grad : {a.grad_mu, a.grad_log_var}) {
    FELBO_CHECK(grad.rows == a.mu.rows && grad.cols == a.mu.cols,
                "gaussian_kl_backward: mu is {} x {}, a gradient {} x {}", a.mu.rows, a.mu.cols, grad.rows,
                grad.cols);
  }
  FELBO_CHECK(a.grad_prior_mu.size == a.mu.cols && a.grad_prior_log_var.size == a.mu.cols,
              "gaussian_kl_backward: {} columns, but {} and {} gradients of the prior", a.mu.cols,
              a.grad_prior_mu.size, a.grad_prior_log_var.size);
}

}  // namespace felbo
