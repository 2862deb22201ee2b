// First the table, a block a component. Forward: a group of threads a row of z, which takes the components
// one after another, and once more for the responsibilities. Backward: a thread an element of grad_z; and for
// the parameters a block 32 columns of a component, whose rows are dealt to eight rows of threads in turn.
#pragma once

#include <cmath>

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/mixture_prior/mixture_prior_math.h"

namespace felbo {

namespace mm = mixture_math;

inline constexpr int kMixtureTableBlock = 128;

/// log sum_k exp(logit_k), in every thread of the block.
static __device__ double mixture_log_total(const GaussianMixture& m) {
  const std::int64_t K = m.mu.rows;
  if (m.logit.empty()) return ::log(static_cast<double>(K));
  double max = -HUGE_VAL, sum = 0.0;
  for (std::int64_t k = threadIdx.x; k < K; k += kMixtureTableBlock) {
    max = Max()(max, static_cast<double>(m.logit(k)));
  }
  max = reduce_block<kMixtureTableBlock>(max, Max());
  for (std::int64_t k = threadIdx.x; k < K; k += kMixtureTableBlock) {
    sum += ::exp(static_cast<double>(m.logit(k)) - max);
  }
  return max + ::log(reduce_block<kMixtureTableBlock>(sum, Sum()));
}

__global__ void __launch_bounds__(kMixtureTableBlock)
    mixture_table(GaussianMixture m, View<float, 1> scratch) {
  const std::int64_t k = blockIdx.x, K = m.mu.rows, Z = m.mu.cols;
  const mm::Table<float> table = mm::table(scratch, K, Z);
  double log_det = 0.0;
  for (std::int64_t d = threadIdx.x; d < Z; d += kMixtureTableBlock) {
    const float v = clamp_log_var(m.log_var(k, d), m.clamp);
    table.inverse[k * Z + d] = math::exp(-v);
    log_det += static_cast<double>(v);
  }
  log_det = reduce_block<kMixtureTableBlock>(log_det, Sum());
  const double log_share = (m.logit.empty() ? 0.0 : static_cast<double>(m.logit(k))) - mixture_log_total(m);
  if (threadIdx.x != 0) return;
  table.constant[k] = static_cast<float>(log_share - 0.5 * (static_cast<double>(Z) * mm::kLog2Pi + log_det));
  table.share[k] = static_cast<float>(::exp(log_share));
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) mixture_rows(MixturePriorArgs a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t r = Group::row(), K = a.mixture.mu.rows, Z = a.z.cols;
  const bool inside = r < a.z.rows;
  const mm::Table<float> table = mm::table(a.scratch, K, Z);
  // l_k, in every thread of the group.
  const auto log_density = [&](std::int64_t k) {
    double distances = 0.0;
    for (std::int64_t d = Group::thread(); inside && d < Z; d += kThreads) {
      distances += static_cast<double>(mm::distance(a.z(r, d), a.mixture.mu(k, d), table.inverse[k * Z + d]));
    }
    return mm::log_density(table.constant[k], Group::reduce(distances, Sum()));
  };
  double max = -HUGE_VAL, sum = 0.0;
  for (std::int64_t k = 0; k < K; ++k) {
    // The sum so far is relative to the largest so far.
    const double l = log_density(k), larger = l > max ? l : max;
    const double carried = k == 0 ? 0.0 : sum * static_cast<double>(mm::relative(max, larger));
    sum = carried + static_cast<double>(mm::relative(l, larger));
    max = larger;
  }
  if (inside && Group::thread() == 0) a.log_pz(r) = static_cast<float>(max + ::log(sum));
  if (a.responsibility.empty()) return;
  const auto total = static_cast<float>(sum);
  for (std::int64_t k = 0; k < K; ++k) {
    const float share = mm::relative(log_density(k), max) / total;
    if (inside && k % kThreads == Group::thread()) a.responsibility(r, k) = share;
  }
}

inline constexpr int kMixtureGradBlock = 128;

__global__ void __launch_bounds__(kMixtureGradBlock) mixture_grad_z(MixturePriorGradArgs a) {
  const std::int64_t Z = a.z.cols, K = a.mixture.mu.rows;
  const std::int64_t item = std::int64_t{blockIdx.x} * kMixtureGradBlock + threadIdx.x;
  const std::int64_t r = item / Z, d = item % Z;
  if (r >= a.z.rows) return;
  const mm::Table<const float> table = mm::table(a.scratch, K, Z);
  const float z = a.z(r, d);
  float sum = 0.0f;
  for (std::int64_t k = 0; k < K; ++k) {
    sum = math::fma(a.responsibility(r, k), mm::pull(z, a.mixture.mu(k, d), table.inverse[k * Z + d]), sum);
  }
  a.grad_z(r, d) = math::fma(mm::row_scale(a, r), sum, a.grad_z(r, d));
}

inline constexpr int kMixtureColumns = 32, kMixtureRows = 8;

__global__ void __launch_bounds__(kMixtureColumns* kMixtureRows)
    mixture_grad_columns(MixturePriorGradArgs a) {
  __shared__ double by_mu[kMixtureRows][kMixtureColumns], by_log_var[kMixtureRows][kMixtureColumns];
  const int lane = static_cast<int>(threadIdx.x) % kMixtureColumns,
            row = static_cast<int>(threadIdx.x) / kMixtureColumns;
  const std::int64_t Z = a.z.cols, k = blockIdx.y, d = std::int64_t{blockIdx.x} * kMixtureColumns + lane;
  const bool inside = d < Z;
  const float inverse = inside ? mm::table(a.scratch, a.mixture.mu.rows, Z).inverse[k * Z + d] : 0.0f;
  const float m = inside ? a.mixture.mu(k, d) : 0.0f;
  double mu_sum = 0.0, log_var_sum = 0.0;
  for (std::int64_t r = row; inside && r < a.z.rows; r += kMixtureRows) {
    const float share = math::mul(mm::row_scale(a, r), a.responsibility(r, k)), z = a.z(r, d);
    mu_sum += static_cast<double>(math::mul(share, mm::pull(z, m, inverse)));
    log_var_sum += static_cast<double>(math::mul(share, math::add(mm::distance(z, m, inverse), -1.0f)));
  }
  by_mu[row][lane] = mu_sum;
  by_log_var[row][lane] = log_var_sum;
  __syncthreads();
  if (row > 0 || !inside) return;
  for (int other = 1; other < kMixtureRows; ++other) {
    mu_sum += by_mu[other][lane];
    log_var_sum += by_log_var[other][lane];
  }
  a.grad_mu(k, d) = static_cast<float>(-mu_sum);
  a.grad_log_var(k, d) =
      is_clamped(a.mixture.log_var(k, d), a.mixture.clamp) ? 0.0f : static_cast<float>(-0.5 * log_var_sum);
}

__global__ void __launch_bounds__(kMixtureGradBlock) mixture_grad_logits(MixturePriorGradArgs a) {
  const std::int64_t k = blockIdx.x;
  const auto share = static_cast<double>(mm::table(a.scratch, a.mixture.mu.rows, a.z.cols).share[k]);
  double sum = 0.0;
  for (std::int64_t r = threadIdx.x; r < a.z.rows; r += kMixtureGradBlock) {
    sum += static_cast<double>(mm::row_scale(a, r)) * (static_cast<double>(a.responsibility(r, k)) - share);
  }
  sum = reduce_block<kMixtureGradBlock>(sum, Sum());
  if (threadIdx.x == 0) a.grad_logit(k) = static_cast<float>(-sum);
}

}  // namespace felbo
