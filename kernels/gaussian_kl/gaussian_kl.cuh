// Forward: a group of threads a row. Backward: a block 32 columns, whose rows are dealt to eight rows of
// threads in turn; neighbouring threads read neighbouring columns.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/gaussian_kl/gaussian_kl_math.h"

namespace felbo {

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) gaussian_kl_rows(GaussianKlArgs a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < a.mu.rows;
  double sum = 0.0;
  for (std::int64_t d = Group::thread(); inside && d < a.mu.cols; d += kThreads) {
    sum += static_cast<double>(gaussian_kl_math::kl(
        gaussian_kl_math::terms(a.mu(b, d), a.log_var(b, d), a.prior_mu(d), a.prior_log_var(d), a.clamp)));
  }
  sum = Group::reduce(sum, Sum());
  if (inside && Group::thread() == 0) a.kl(b) = static_cast<float>(sum);
}

inline constexpr int kGaussianKlColumns = 32, kGaussianKlRows = 8;

__global__ void __launch_bounds__(kGaussianKlColumns* kGaussianKlRows)
    gaussian_kl_grad_columns(GaussianKlGradArgs a) {
  __shared__ double by_mean[kGaussianKlRows][kGaussianKlColumns];
  __shared__ double by_log_var[kGaussianKlRows][kGaussianKlColumns];
  const int lane = static_cast<int>(threadIdx.x) % kGaussianKlColumns,
            row = static_cast<int>(threadIdx.x) / kGaussianKlColumns;
  const std::int64_t d = std::int64_t{blockIdx.x} * kGaussianKlColumns + lane;
  const bool inside = d < a.mu.cols;
  const float kl_scale = a.kl_scale.get();
  double mean = 0.0, log_var = 0.0;
  for (std::int64_t b = row; inside && b < a.mu.rows; b += kGaussianKlRows) {
    const gaussian_kl_math::Terms t =
        gaussian_kl_math::terms(a.mu(b, d), a.log_var(b, d), a.prior_mu(d), a.prior_log_var(d), a.clamp);
    a.grad_mu(b, d) = math::fma(kl_scale, t.pull, a.grad_mu(b, d));
    if (!is_clamped(a.log_var(b, d), a.clamp)) {
      a.grad_log_var(b, d) =
          math::add(math::mul(kl_scale, gaussian_kl_math::by_log_var(t)), a.grad_log_var(b, d));
    }
    mean += static_cast<double>(t.pull);
    log_var += static_cast<double>(gaussian_kl_math::by_prior_log_var(t));
  }
  by_mean[row][lane] = mean;
  by_log_var[row][lane] = log_var;
  __syncthreads();
  if (row > 0 || !inside) return;
  for (int r = 1; r < kGaussianKlRows; ++r) {
    mean += by_mean[r][lane];
    log_var += by_log_var[r][lane];
  }
  const auto scale = static_cast<double>(kl_scale);
  a.grad_prior_mu(d) = static_cast<float>(-scale * mean);
  a.grad_prior_log_var(d) =
      is_clamped(a.prior_log_var(d), a.clamp) ? 0.0f : static_cast<float>(scale * log_var);
}

}  // namespace felbo
