// What every reparameterize and its backward refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

template <class Args, class T>
void check_shapes(const Args& a, View<T, 2> z, const char* name) {
  const std::int64_t batch = a.mu.rows, latent = a.mu.cols;
  FELBO_CHECK(a.samples >= 1 &&
                  std::uint64_t{a.first_sample} + static_cast<std::uint64_t>(a.samples) <= kMaxNoiseSamples,
              "{}: samples {} ... {} are not between 0 and {}", name, a.first_sample,
              std::int64_t{a.first_sample} + a.samples - 1, kMaxNoiseSamples - 1);
  FELBO_CHECK(a.log_var.rows == batch && a.log_var.cols == latent, "{}: mu is {} x {}, log_var {} x {}", name,
              batch, latent, a.log_var.rows, a.log_var.cols);
  FELBO_CHECK(a.datum.size == batch, "{}: {} rows, {} datum indices", name, batch, a.datum.size);
  FELBO_CHECK(z.rows == batch * a.samples && z.cols == latent,
              "{}: z or its gradient is {} x {}, expected {} x {}", name, z.rows, z.cols, batch * a.samples,
              latent);
  check_log_var_clamp(name, a.clamp);
}

template <class T>
void check(const ReparameterizeArgsOf<T>& a) {
  check_shapes(a, a.z, "reparameterize");
  const std::int64_t batch = a.mu.rows;
  FELBO_CHECK(a.kl.size == batch && a.clamped.size == batch,
              "reparameterize: kl and clamped need {} rows, have {} and {}", batch, a.kl.size,
              a.clamped.size);
  const std::int64_t log_rows = a.log_pz.empty() ? 0 : batch * a.samples;
  FELBO_CHECK(a.log_pz.size == log_rows && a.log_qz_given_x.size == log_rows,
              "reparameterize: log_pz and log_qz_given_x need {} rows, have {} and {}", log_rows,
              a.log_pz.size, a.log_qz_given_x.size);
}

template <class T>
void check(const ReparameterizeGradArgsOf<T>& a) {
  check_shapes(a, a.grad_z, "reparameterize_backward");
  const auto check_gradient = [&](const View<T, 2>& g) {
    FELBO_CHECK(g.rows == a.mu.rows && g.cols == a.mu.cols,
                "reparameterize_backward: a gradient is {} x {}, expected {} x {}", g.rows, g.cols, a.mu.rows,
                a.mu.cols);
  };
  check_gradient(a.grad_mu);
  check_gradient(a.grad_log_var);
  const bool analytic = a.gradient == PosteriorGradient::kAnalyticKl;
  FELBO_CHECK(a.weight.empty() || (!analytic && a.weight.size == a.grad_z.rows),
              "reparameterize_backward: {} weights, expected {} (none for the analytic KL)", a.weight.size,
              a.grad_z.rows);
  FELBO_CHECK(a.kl_weight.empty() || (analytic && a.kl_weight.size == a.mu.cols),
              "reparameterize_backward: {} weights of the KL, expected {} (none but for the analytic KL)",
              a.kl_weight.size, a.mu.cols);
}

}  // namespace felbo
