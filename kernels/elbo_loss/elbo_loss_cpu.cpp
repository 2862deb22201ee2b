#include "kernels/common/lanes.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/elbo_loss/elbo_loss_check.h"
#include "kernels/likelihood/row_cpu.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {
namespace {

namespace rm = reparameterize_math;

constexpr std::int64_t kElementsAPiece = 4096;  // the least that is worth a thread

/// The KL of datum b, and what it counts.
template <class Data>
double kl_row(const ElboLossArgs<Data>& a, std::int64_t b) {
  const float *mu = a.mu.row(b), *log_var = a.log_var.row(b);
  const LogVarClamp bounds = a.clamp;
  std::int32_t clamped = 0;
  for (std::int64_t d = 0; d < a.mu.cols; ++d) clamped += is_clamped(log_var[d], bounds);
  a.posterior_clamped(b) = clamped;
  return lane_sum(a.mu.cols,
                  [&](std::int64_t d) { return rm::kl(mu[d], clamp_log_var(log_var[d], bounds)); });
}

template <class Data>
void kl_gradient_row(const ElboLossArgs<Data>& a, std::int64_t b, float factor) {
  const float *mu = a.mu.row(b), *log_var = a.log_var.row(b);
  float* __restrict grad_mu = a.grad_mu.row(b), * __restrict grad_log_var = a.grad_log_var.row(b);
  for (std::int64_t d = 0; d < a.mu.cols; ++d) {
    grad_mu[d] = factor * mu[d];
    grad_log_var[d] = rm::grad_log_var(0.0f, log_var[d], factor, a.clamp);
  }
}

/// Sample s of datum b: log p(x|z), and its gradient if kGradient.
template <bool kGradient, class Data, class Source>
double sample_row(const Source& source, const ElboLossArgs<Data>& a, const ElboLossFactors<Data>& factors,
                  std::int64_t b, int s) {
  const std::int64_t r = b * a.samples + s, n = a.x.cols;
  float* grad = kGradient ? a.grad_output.row(r) : nullptr;
  const RowTotals totals = pass_over_row<kGradient>(source.family(), n, XRow<Data>{a.x.row(b), factors.x},
                                                    a.output.row(r), grad, factors.log_px, nullptr);
  const double log_px = totals.log_p + source.row_constant(n);
  a.log_px_given_z(r) = static_cast<float>(log_px);
  a.clamped(r) = totals.clamped;
  return log_px;
}

template <bool kGradient, class Data, class Source>
void pass_over_datum(const Source& source, const ElboLossArgs<Data>& a, const ElboLossFactors<Data>& factors,
                     float kl_factor, std::int64_t b) {
  const double kl = kl_row(a, b);
  if constexpr (kGradient) kl_gradient_row(a, b, kl_factor);
  double log_px = 0.0;
  for (int s = 0; s < a.samples; ++s) log_px += sample_row<kGradient>(source, a, factors, b, s);
  a.kl(b) = static_cast<float>(kl);
  a.elbo(b) = static_cast<float>(log_px / a.samples - kl);
}

template <bool kGradient, class Data, class Source>
void pass_over_data(const CpuExec& exec, const Source& source, const ElboLossArgs<Data>& a) {
  const auto factors = ElboLossFactors<Data>::of(a);
  const float factor = kl_factor(a);
  const std::int64_t grain = 1 + kElementsAPiece / (a.samples * a.x.cols + a.mu.cols);
  exec.parallel_for(a.x.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) pass_over_datum<kGradient>(source, a, factors, factor, b);
  });
}

template <class Data>
void run(const CpuExec& exec, const Likelihood& which, const ElboLossArgs<Data>& a) {
  check(which, a);
  with_source_of(which, [&](const auto& source) {
    if (a.want_gradient) {
      pass_over_data<true>(exec, source, a);
    } else {
      pass_over_data<false>(exec, source, a);
    }
  });
}

}  // namespace

void elbo_loss(const CpuExec& exec, const Likelihood& which, const ElboLossArgs<std::uint8_t>& args) {
  run(exec, which, args);
}
void elbo_loss(const CpuExec& exec, const Likelihood& which, const ElboLossArgs<float>& args) {
  run(exec, which, args);
}

}  // namespace felbo
