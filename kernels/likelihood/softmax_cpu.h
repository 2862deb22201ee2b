// The two sums of a softmax on a CPU.
#pragma once

#include <algorithm>
#include "kernels/common/lanes.h"
#include "kernels/common/math.h"
#include "kernels/likelihood/softmax.h"

namespace felbo::softmax_cpu {

/// Exponentials whose partial sums are floats: 16 a lane, whose roundings are below the exponentials' own.
inline constexpr std::int64_t kSpan = 256;

/// The largest of n numbers. A NaN is passed over: it shows in the sum.
inline float largest(const float* l, std::int64_t n) {
  float lane[kLanes];
  std::fill_n(lane, kLanes, kNoLogit);
  std::int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
#pragma GCC unroll 1  // unrolled, it is not vectorised
    for (int i = 0; i < kLanes; ++i) lane[i] = l[k + i] > lane[i] ? l[k + i] : lane[i];
  }
  for (int i = 0; k < n; ++k, ++i) lane[i] = l[k] > lane[i] ? l[k] : lane[i];
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lane[i] = lane[i + width] > lane[i] ? lane[i + width] : lane[i];
  }
  return lane[0];
}

/// Sum of exp(l[k] - max), each of which is handed to keep(k, value).
template <class Keep>
float sum_of_exponentials(const float* l, std::int64_t n, float max, const Keep& keep) {
  double total = 0.0;
  for (std::int64_t begin = 0; begin < n; begin += kSpan) {
    const std::int64_t end = std::min(begin + kSpan, n);
    float lane[kLanes] = {};
    std::int64_t k = begin;
#pragma GCC ivdep
    for (; k + kLanes <= end; k += kLanes) {
#pragma GCC ivdep
      for (int i = 0; i < kLanes; ++i) {
        const float e = math::exp_nonpositive(math::add(l[k + i], -max));
        lane[i] += e;
        keep(k + i, e);
      }
    }
#pragma GCC ivdep
    for (int i = 0; k < end; ++k, ++i) {
      const float e = math::exp_nonpositive(math::add(l[k], -max));
      lane[i] += e;
      keep(k, e);
    }
    total += static_cast<double>(join_lanes(lane));
  }
  return static_cast<float>(total);
}

}  // namespace felbo::softmax_cpu
