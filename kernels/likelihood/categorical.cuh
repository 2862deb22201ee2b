// A block a piece of a row (categorical.h). kLanes neighbouring lanes share a dimension: each reads runs of
// 16 bytes of its K logits, and the largest logit and the sum are joined over the lanes. With kRuns > 0 a
// lane holds all its runs, at most kRuns, in registers, so logits are read once; with 0 they are read twice,
// the second time from the cache.
//
// Bytes a logit in floats: 8 (and 4 / K for x, 1 / K of bytes); in bfloat16 4.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/likelihood/categorical.h"
#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/softmax.cuh"

namespace felbo {

/// The logits of one dimension, as one of kLanes lanes sees them.
template <class T, int kLanes, int kRuns>
struct LogitRuns {
  static constexpr int kRun = kRunOf<T>;
  T* logits;
  int categories, lane;
  bool vector;
  float kept[kRuns > 0 ? kRuns : 1][kRun];

  __device__ LogitRuns(T* logits, int categories, int lane)
      : logits(logits), categories(categories), lane(lane), vector(aligned<kRun>(logits)) {
#pragma unroll
    for (int i = 0; i < kRuns; ++i) load(i, kept[i]);
  }
  __device__ int column(int i) const { return kRun * (lane + kLanes * i); }
  /// Run i of this lane.
  __device__ void load(int i, float (&out)[kRun]) const {
    load_run(logits + column(i), categories - column(i), vector, out);
  }
  /// Calls f(column, run) for each run of this lane.
  template <class F>
  __device__ void each(const F& f) {
    if constexpr (kRuns > 0) {
#pragma unroll
      for (int i = 0; i < kRuns; ++i) f(column(i), kept[i]);
    } else {
      for (int i = 0; column(i) < categories; ++i) {
        float run[kRun];
        load(i, run);
        f(column(i), run);
      }
    }
  }
};

/// log p of one dimension in every lane of its group; its gradient over the logits. All lanes of the warp
/// must call it; those without a dimension have no categories, and nothing of theirs is read or written.
template <bool kGradient, int kLanes, int kRuns, class T>
__device__ float categorical_dimension(T* logits, int categories, float x, float grad_scale) {
  using Runs = LogitRuns<T, kLanes, kRuns>;
  constexpr int kRun = Runs::kRun;
  Runs runs(logits, categories, static_cast<int>(threadIdx.x) % kLanes);
  const int level = categories > 0 ? categorical_math::level_of(x, categories) : 0;
  const float observed = categories > 0 ? static_cast<float>(logits[level]) : 0.0f;
  RunningSum sum;
  runs.each([&](int column, const float(&run)[kRun]) { sum.add(run, categories - column); });
  sum.template join<kLanes>();
  if constexpr (kGradient) {
    __syncwarp();  // every lane has read the observed logit
    const float total = static_cast<float>(sum.total), inverse = 1.0f / total;
    runs.each([&](int column, float(&run)[kRun]) {
#pragma unroll
      for (int i = 0; i < kRun; ++i) {
        const float e = math::exp_nonpositive(math::add(run[i], -sum.max));
        run[i] = categorical_math::gradient(column + i == level, e, inverse, grad_scale);
      }
      store_run(logits + column, categories - column, runs.vector, run);
    });
  }
  return categorical_math::log_p(x, math::add(observed, -sum.max), static_cast<float>(sum.total));
}

/// Every piece of every row; partial(r * pieces + piece) gets the piece's log p.
template <bool kGradient, int kLanes, int kRuns, class T>
__global__ void __launch_bounds__(kCategoricalBlock)
    categorical_pieces_of_rows(LikelihoodArgsOf<T> args, int categories, std::int64_t pieces) {
  constexpr int kAtOnce = kCategoricalBlock / kLanes;
  const std::int64_t r = blockIdx.x / pieces, piece = blockIdx.x % pieces, n = args.x.cols;
  const float grad_scale = kGradient ? row_grad_scale(args, r) : 0.0f;
  const std::int64_t first = piece * kCategoricalSteps * kAtOnce + static_cast<int>(threadIdx.x) / kLanes;
  double log_p = 0.0;
  for (int step = 0; step < kCategoricalSteps; ++step) {
    const std::int64_t j = first + step * kAtOnce;
    const bool idle = j >= n;
    const std::int64_t at = idle ? n - 1 : j;
    const float of_dimension = categorical_dimension<kGradient, kLanes, kRuns>(
        args.output.row(r) + at * categories, idle ? 0 : categories, args.x(r / args.samples, at),
        grad_scale);
    if (!idle && static_cast<int>(threadIdx.x) % kLanes == 0) log_p += static_cast<double>(of_dimension);
  }
  log_p = reduce_block<kCategoricalBlock>(log_p, Sum());
  if (threadIdx.x == 0) args.scratch(r * pieces + piece) = static_cast<float>(log_p);
}

inline constexpr int kCategoricalFinish = 128;

/// A thread a row: its pieces in order.
template <class T>
__global__ void __launch_bounds__(kCategoricalFinish)
    categorical_finish(LikelihoodArgsOf<T> args, std::int64_t pieces) {
  const std::int64_t r = std::int64_t{blockIdx.x} * kCategoricalFinish + threadIdx.x;
  if (r >= args.output.rows) return;
  double log_p = 0.0;
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    log_p += static_cast<double>(args.scratch(r * pieces + piece));
  args.log_px_given_z(r) = static_cast<float>(log_p);
  args.clamped(r) = 0;
}

inline constexpr int kCategoricalMean = 128;

/// E[x|z], a thread an element.
__global__ void __launch_bounds__(kCategoricalMean)
    categorical_mean_elements(View<const float, 2> output, View<float, 2> mean, int categories) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kCategoricalMean + threadIdx.x;
  const std::int64_t r = item / mean.cols, j = item % mean.cols;
  if (r >= mean.rows) return;
  const float* logits = output.row(r) + j * categories;
  float max = kNoLogit;
  for (int k = 0; k < categories; ++k) max = logits[k] > max ? logits[k] : max;
  mean(r, j) = categorical_math::mean_level(logits, categories, max);
}

}  // namespace felbo
