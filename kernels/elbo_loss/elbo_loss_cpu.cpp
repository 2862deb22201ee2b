#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/elbo_loss/elbo_loss_check.h"
#include "kernels/likelihood/row_cpu.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {
namespace {

namespace rm = reparameterize_math;

constexpr std::int64_t kElementsAPiece = 4096;  // the least that is worth a thread

/// The KL of a datum, in progress.
struct KlLanes {
  float kl[kLanes] = {};
  std::int32_t clamped[kLanes] = {};
};

/// kLanes dimensions of the posterior, of which `n` are there. Rows are short, so a loop along one would be
/// mostly tail: a short tile is filled up instead.
template <bool kGradient>
void kl_tile(const float* mu, const float* log_var, std::int64_t n, const LogVarClamp& bounds, float factor,
             float* grad_mu, float* grad_log_var, KlLanes& lanes) {
  float m[kLanes] = {}, v[kLanes] = {};
  std::copy_n(mu, n, m);
  std::copy_n(log_var, n, v);
  for (int l = 0; l < kLanes; ++l) {
    const float term = rm::kl(m[l], clamp_log_var(v[l], bounds));
    const bool clamped = is_clamped(v[l], bounds);
    lanes.kl[l] += l < n ? term : 0.0f;
    lanes.clamped[l] += l < n && clamped;
    m[l] = factor * m[l];
    v[l] = rm::kl_grad_log_var(v[l], factor, bounds);
  }
  if constexpr (kGradient) {
    std::copy_n(m, n, grad_mu);
    std::copy_n(v, n, grad_log_var);
  }
}

/// The KL of datum b, summed in the order of lane_sum, with what it counts and its gradient.
template <bool kGradient, class Data>
double kl_row(const ElboLossArgs<Data>& a, std::int64_t b, float factor) {
  const std::int64_t cols = a.mu.cols;
  double kl = 0.0;
  std::int32_t clamped = 0;
  for (std::int64_t begin = 0; begin < cols; begin += kLaneSpan) {
    KlLanes lanes;
    for (std::int64_t d = begin; d < std::min(begin + kLaneSpan, cols); d += kLanes) {
      kl_tile<kGradient>(a.mu.row(b) + d, a.log_var.row(b) + d, std::min<std::int64_t>(kLanes, cols - d),
                         a.clamp, factor, kGradient ? a.grad_mu.row(b) + d : nullptr,
                         kGradient ? a.grad_log_var.row(b) + d : nullptr, lanes);
    }
    kl += static_cast<double>(join_lanes(lanes.kl));
    for (const std::int32_t count : lanes.clamped) clamped += count;
  }
  a.posterior_clamped(b) = clamped;
  return kl;
}

/// Sample s of datum b: log p(x|z), and its gradient if kGradient.
template <bool kGradient, class Data, class Source>
double sample_row(const Source& source, const ElboLossArgs<Data>& a, const ElboLossFactors<Data>& factors,
                  std::int64_t b, int s) {
  const std::int64_t r = b * a.samples + s;
  const XRow<Data> x{a.x.row(b), factors.x};
  float* grad = kGradient ? a.grad_output.row(r) : nullptr;
  const RowTotals totals = pass_over_row<kGradient>(source.family(), a.x.cols, x, a.output.row(r), grad,
                                                    factors.log_px, 1.0f, nullptr);
  const double log_px = totals.log_p + source.row_constant(a.x.cols);
  a.log_px_given_z(r) = static_cast<float>(log_px);
  a.clamped(r) = totals.clamped;
  return log_px;
}

template <bool kGradient, class Data, class Source>
void pass_over_datum(const Source& source, const ElboLossArgs<Data>& a, const ElboLossFactors<Data>& factors,
                     float kl_factor, std::int64_t b) {
  const double kl = kl_row<kGradient>(a, b, kl_factor);
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
