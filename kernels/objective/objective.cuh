// A group of threads a datum; its samples are dealt to the threads in turn.
#pragma once

#include <cmath>

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/objective/objective.h"
#include "kernels/objective/objective_math.h"

namespace felbo {

/// elbo(b), and mean_s log p(x|z) in double for the totals.
template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) elbo_rows(ElboArgs args, double* mean_log_px) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < args.kl.size;
  double sum = 0.0;
  if (inside) {
    const float* log_px = args.log_px_given_z.data + b * args.samples;
    for (int s = Group::thread(); s < args.samples; s += kThreads) sum += static_cast<double>(log_px[s]);
  }
  const double log_px = Group::reduce(sum, Sum()) / args.samples;
  if (!inside || Group::thread() != 0) return;
  args.elbo(b) = static_cast<float>(log_px - static_cast<double>(args.kl(b)));
  mean_log_px[b] = log_px;
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) sampled_kl_rows(SampledKlArgs args) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < args.kl.size;
  double sum = 0.0;
  for (int s = Group::thread(); inside && s < args.samples; s += kThreads) {
    const std::int64_t k = b * args.samples + s;
    sum += static_cast<double>(args.log_qz_given_x(k)) - static_cast<double>(args.log_pz(k));
  }
  sum = Group::reduce(sum, Sum());
  if (inside && Group::thread() == 0) args.kl(b) = static_cast<float>(sum / args.samples);
}

inline constexpr int kTotalsBlock = 1024;

/// The sums over the batch, by one block: thread t adds data t, t + kTotalsBlock, ...
__global__ void __launch_bounds__(kTotalsBlock) elbo_totals(ElboArgs args, const double* mean_log_px) {
  double log_px = 0.0, kl_sum = 0.0, elbo = 0.0;
  for (std::int64_t b = threadIdx.x; b < args.kl.size; b += kTotalsBlock) {
    const double kl = static_cast<double>(args.kl(b));
    log_px += mean_log_px[b];
    kl_sum += kl;
    elbo += mean_log_px[b] - kl;
  }
  log_px = reduce_block<kTotalsBlock>(log_px, Sum());
  kl_sum = reduce_block<kTotalsBlock>(kl_sum, Sum());
  elbo = reduce_block<kTotalsBlock>(elbo, Sum());
  if (threadIdx.x != 0) return;
  args.totals(0) += log_px;
  args.totals(1) += kl_sum;
  args.totals(2) += elbo;
}

/// The weights of all samples of datum b, in every thread of its group. All threads of the block must call
/// it.
template <int kThreads, class Args>
__device__ objective_math::WeightSum sum_weights(const Args& args, std::int64_t b, bool inside) {
  using Group = RowGroup<kThreads>;
  const auto log_weight = [&](int s) {
    const std::int64_t k = b * args.samples + s;
    return objective_math::log_weight(args.log_px_given_z(k), args.log_pz(k), args.log_qz_given_x(k));
  };
  double max = -HUGE_VAL, sum = 0.0;
  for (int s = Group::thread(); inside && s < args.samples; s += kThreads) {
    max = Max()(max, log_weight(s));
  }
  max = Group::reduce(max, Max());
  for (int s = Group::thread(); inside && s < args.samples; s += kThreads) {
    sum += static_cast<double>(objective_math::relative_weight(log_weight(s), max));
  }
  sum = Group::reduce(sum, Sum());
  return {max, sum};
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) log_mean_exp_rows(LogMeanExpArgs args) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < args.max.size;
  const objective_math::WeightSum added = sum_weights<kThreads>(args, b, inside);
  if (!inside || Group::thread() != 0) return;
  const objective_math::WeightSum all = objective_math::join({args.max(b), args.sum(b)}, added);
  args.max(b) = all.max;
  args.sum(b) = all.sum;
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    importance_weight_rows(ImportanceWeightsArgs args) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < args.bound.size;
  const objective_math::WeightSum all = sum_weights<kThreads>(args, b, inside);
  if (!inside) return;
  for (int s = Group::thread(); s < args.samples; s += kThreads) {
    const std::int64_t k = b * args.samples + s;
    const double log_w =
        objective_math::log_weight(args.log_px_given_z(k), args.log_pz(k), args.log_qz_given_x(k));
    args.weight(k) = objective_math::normalised_weight(log_w, all);
  }
  if (Group::thread() == 0) args.bound(b) = static_cast<float>(objective_math::log_mean(all, args.samples));
}

/// The sum of the bounds, by one block: thread t adds data t, t + kTotalsBlock, ...
__global__ void __launch_bounds__(kTotalsBlock) importance_weight_total(ImportanceWeightsArgs args) {
  double sum = 0.0;
  for (std::int64_t b = threadIdx.x; b < args.bound.size; b += kTotalsBlock) {
    sum += static_cast<double>(args.bound(b));
  }
  sum = reduce_block<kTotalsBlock>(sum, Sum());
  if (threadIdx.x == 0) args.total(0) += sum;
}

}  // namespace felbo
