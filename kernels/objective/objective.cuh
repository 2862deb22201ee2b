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

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) log_mean_exp_rows(LogMeanExpArgs args) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < args.max.size;
  const std::int64_t first = b * args.samples;
  const auto log_weight = [&](int s) {
    return objective_math::log_weight(args.log_px_given_z(first + s), args.log_pz(first + s),
                                      args.log_qz_given_x(first + s));
  };
  double max = -HUGE_VAL, sum = 0.0;
  for (int s = Group::thread(); inside && s < args.samples; s += kThreads) max = Max()(max, log_weight(s));
  max = Group::reduce(max, Max());
  for (int s = Group::thread(); inside && s < args.samples; s += kThreads) {
    sum += static_cast<double>(objective_math::relative_weight(log_weight(s), max));
  }
  sum = Group::reduce(sum, Sum());
  if (!inside || Group::thread() != 0) return;
  const objective_math::WeightSum all = objective_math::join({args.max(b), args.sum(b)}, {max, sum});
  args.max(b) = all.max;
  args.sum(b) = all.sum;
}

}  // namespace felbo
