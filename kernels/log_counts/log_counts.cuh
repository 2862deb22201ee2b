// One thread 16 bytes of y.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/log_counts/log_counts_check.h"

namespace felbo {

inline constexpr int kLogCountsBlock = 256;

template <class T>
__global__ void __launch_bounds__(kLogCountsBlock) log_count_runs(LogCountsArgsOf<T> args) {
  constexpr int kRun = kRunOf<T>;
  const std::int64_t begin = kRun * (std::int64_t{blockIdx.x} * kLogCountsBlock + threadIdx.x);
  const std::int64_t left = args.x.size - begin;
  if (left <= 0) return;
  float values[kRun];
  load_run(args.x.data + begin, left, aligned<kRun>(args.x.data), values);
#pragma unroll
  for (int i = 0; i < kRun; ++i) values[i] = log_count(values[i]);
  store_run(args.y.data + begin, left, aligned<kRun>(args.y.data), values);
}

}  // namespace felbo
