#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/noise/noise_rows.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/reparameterize/reparameterize_check.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {
namespace {

namespace rm = reparameterize_math;

void kl_row(const ReparameterizeArgs& a, std::int64_t b) {
  const float* mu = a.mu.row(b);
  const float* log_var = a.log_var.row(b);
  const std::int64_t cols = a.mu.cols;
  const LogVarClamp bounds = a.clamp;
  a.kl(b) = static_cast<float>(
      lane_sum(cols, [&](std::int64_t d) { return rm::kl(mu[d], clamp_log_var(log_var[d], bounds)); }));
  std::int32_t clamped = 0;
  for (std::int64_t d = 0; d < cols; ++d) clamped += is_clamped(log_var[d], bounds);
  a.clamped(b) = clamped;
}

/// sigma of a piece of a datum's row, or 1 / sigma too, kept for the samples that share it.
struct Sigmas {
  alignas(64) float values[kNoiseSpan], inverse[kNoiseSpan];
  std::int64_t datum = -1, col = -1;

  template <bool kInverse = false, class Args>
  void make(const Args& a, std::int64_t b, std::int64_t first, std::int64_t n) {
    if (b == datum && first == col) return;
    const float* log_var = a.log_var.row(b) + first;
    const LogVarClamp bounds = a.clamp;
    for (std::int64_t d = 0; d < n; ++d) values[d] = rm::sigma(clamp_log_var(log_var[d], bounds));
    if constexpr (kInverse) {
      for (std::int64_t d = 0; d < n; ++d) inverse[d] = rm::sigma(-clamp_log_var(log_var[d], bounds));
    }
    datum = b;
    col = first;
  }
};

void sample_row(const ReparameterizeArgs& a, std::int64_t row, std::int64_t col, std::int64_t n,
                const float* eps, Sigmas& sigmas) {
  const std::int64_t b = row / a.samples;
  const float* mu = a.mu.row(b) + col;
  const float* log_var = a.log_var.row(b) + col;
  float* __restrict z = a.z.row(row) + col;
  const LogVarClamp bounds = a.clamp;
  sigmas.make(a, b, col, n);
  for (std::int64_t d = 0; d < n; ++d) z[d] = math::fma(sigmas.values[d], eps[d], mu[d]);
  if (a.log_pz.empty()) return;
  // Pieces of a row are added in order; the first one starts the sum.
  const double log_pz = lane_sum(n, [&](std::int64_t d) { return rm::log_pz(z[d]); });
  const double log_qz =
      lane_sum(n, [&](std::int64_t d) { return rm::log_qz(eps[d], clamp_log_var(log_var[d], bounds)); });
  a.log_pz(row) = static_cast<float>(col == 0 ? log_pz : a.log_pz(row) + log_pz);
  a.log_qz_given_x(row) = static_cast<float>(col == 0 ? log_qz : a.log_qz_given_x(row) + log_qz);
}

void gradient_row(const ReparameterizeGradArgs& a, std::int64_t row, std::int64_t col, std::int64_t n,
                  const float* eps) {
  const std::int64_t b = row / a.samples;
  const bool first = row % a.samples == 0;
  const bool last = row % a.samples == a.samples - 1;
  const float* mu = a.mu.row(b) + col;
  const float* log_var = a.log_var.row(b) + col;
  const float* grad_z = a.grad_z.row(row) + col;
  float* __restrict grad_mu = a.grad_mu.row(b) + col;
  float* __restrict grad_log_var = a.grad_log_var.row(b) + col;
  const float kl_scale = rm::analytic_scale(a);
  const float* kl_weight = a.kl_weight.empty() ? nullptr : a.kl_weight.data + col;
  const auto scale = [&](std::int64_t d) {
    return kl_weight == nullptr ? kl_scale : kl_scale * kl_weight[d];
  };
  for (std::int64_t d = 0; d < n; ++d) {
    grad_mu[d] = grad_z[d] + (first ? scale(d) * mu[d] : grad_mu[d]);
    grad_log_var[d] = math::fma(grad_z[d], eps[d], first ? 0.0f : grad_log_var[d]);
  }
  if (!last) return;
  for (std::int64_t d = 0; d < n; ++d) {
    grad_log_var[d] = rm::grad_log_var(grad_log_var[d], log_var[d], scale(d), a.clamp);
  }
}

/// The same for the estimates by samples.
template <PosteriorGradient kKind>
void sample_gradient_row(const ReparameterizeGradArgs& a, std::int64_t row, std::int64_t col, std::int64_t n,
                         const float* eps, Sigmas& sigmas) {
  constexpr bool kThroughZ = kKind != PosteriorGradient::kMonteCarlo;
  const std::int64_t b = row / a.samples;
  const bool first = row % a.samples == 0;
  const float* mu = a.mu.row(b) + col;
  const float* log_var = a.log_var.row(b) + col;
  const float* grad_z = a.grad_z.row(row) + col;
  float* __restrict grad_mu = a.grad_mu.row(b) + col;
  float* __restrict grad_log_var = a.grad_log_var.row(b) + col;
  const float kl_scale = a.kl_scale.get(), weight = rm::weight_of(a, row);
  sigmas.make<kThroughZ>(a, b, col, n);
  for (std::int64_t d = 0; d < n; ++d) {
    const float z = rm::prior_pull(a, math::fma(sigmas.values[d], eps[d], mu[d]));
    const float g = rm::sample_gradient<kKind>(grad_z[d], z, eps[d], kThroughZ ? sigmas.inverse[d] : 0.0f,
                                               weight, math::mul(kl_scale, weight));
    grad_mu[d] = math::add(g, first ? 0.0f : grad_mu[d]);
    grad_log_var[d] = math::fma(g, eps[d], first ? 0.0f : grad_log_var[d]);
  }
  if (row % a.samples != a.samples - 1) return;
  for (std::int64_t d = 0; d < n; ++d) {
    grad_log_var[d] = rm::grad_log_var_of_samples<kKind>(grad_log_var[d], log_var[d], kl_scale, a.clamp);
  }
}

/// Data that make about 4096 elements of noise.
std::int64_t grain(std::int64_t latent, int samples) { return 1 + 4096 / (latent * samples + 1); }

template <PosteriorGradient kKind>
void backward(const CpuExec& exec, const ReparameterizeGradArgs& a) {
  exec.parallel_for(a.mu.rows, grain(a.mu.cols, a.samples), [&](std::int64_t begin, std::int64_t end) {
    Sigmas sigmas;
    for_each_noise(a.noise.now(), a.datum, a.first_sample, a.samples, begin * a.samples, end * a.samples,
                   a.mu.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n, const float* eps) {
                     if constexpr (kKind == PosteriorGradient::kAnalyticKl) {
                       gradient_row(a, row, col, n, eps);
                     } else {
                       sample_gradient_row<kKind>(a, row, col, n, eps, sigmas);
                     }
                   });
  });
}

}  // namespace

void reparameterize(const CpuExec& exec, const ReparameterizeArgs& a) {
  check(a);
  exec.parallel_for(a.mu.rows, grain(a.mu.cols, a.samples), [&](std::int64_t begin, std::int64_t end) {
    Sigmas sigmas;
    for (std::int64_t b = begin; b < end; ++b) kl_row(a, b);
    for_each_noise(a.noise.now(), a.datum, a.first_sample, a.samples, begin * a.samples, end * a.samples,
                   a.mu.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n, const float* eps) {
                     sample_row(a, row, col, n, eps, sigmas);
                   });
  });
}

void reparameterize_backward(const CpuExec& exec, const ReparameterizeGradArgs& a) {
  check(a);
  switch (a.gradient) {
    case PosteriorGradient::kAnalyticKl:
      return backward<PosteriorGradient::kAnalyticKl>(exec, a);
    case PosteriorGradient::kMonteCarlo:
      return backward<PosteriorGradient::kMonteCarlo>(exec, a);
    case PosteriorGradient::kStickingTheLanding:
      return backward<PosteriorGradient::kStickingTheLanding>(exec, a);
    case PosteriorGradient::kDoublyReparameterized:
      return backward<PosteriorGradient::kDoublyReparameterized>(exec, a);
  }
}

}  // namespace felbo
