// The two sums of a softmax in one pass over its logits.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/math.h"
#include "kernels/likelihood/softmax.h"

namespace felbo {

/// The largest of the logits seen, and the sum of exp(logit - largest): where a larger one comes, the sum so
/// far is rescaled (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). The sum is a
/// double, so that its error is that of its exponentials, and of one more each time that it is rescaled.
struct RunningSum {
  float max = kNoLogit;
  double total = 0.0;

  /// exp(from - to), 1 where both are the same infinity.
  static __device__ float rescale(float from, float to) {
    return from == to ? 1.0f : math::exp_nonpositive(math::add(from, -to));
  }

  /// The first `count` of a run.
  template <int N>
  __device__ void add(const float (&run)[N], std::int64_t count) {
    float largest = max;
#pragma unroll
    for (int i = 0; i < N; ++i) largest = i < count && run[i] > largest ? run[i] : largest;
    const float from = largest == kNoLogit ? 0.0f : largest;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float e = math::exp_nonpositive(math::add(run[i], -from));
      sum += i < count ? e : 0.0f;
    }
    total = total * static_cast<double>(rescale(max, largest)) + static_cast<double>(sum);
    max = largest;
  }

  /// Over kLanes neighbouring lanes. All lanes of the warp must call it.
  template <int kLanes>
  __device__ void join() {
    join_by([](auto value, auto op) { return reduce_lanes<kLanes>(value, op); });
  }
  /// Over the lanes or threads of `reduce(value, op)`.
  template <class Reduce>
  __device__ void join_by(const Reduce& reduce) {
    const float largest = reduce(max, Max());
    total = reduce(total * static_cast<double>(rescale(max, largest)), Sum());
    max = largest;
  }
};

}  // namespace felbo
