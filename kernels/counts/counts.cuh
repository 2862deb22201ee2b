// Blocks of threads add what they hold to the total by an integer atomic, whose order changes nothing.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/counts/counts.h"
#include "kernels/counts/counts_math.h"

namespace felbo {

inline constexpr int kCountsBlock = 256;
inline constexpr int kCountsAThread = 8;

/// Adds f(i) of each i below `count` to the total.
template <class F>
__device__ inline void add_over_blocks(std::int64_t count, View<std::int64_t, 1> total, const F& f) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * kCountsBlock * kCountsAThread + threadIdx.x;
  unsigned long long sum = 0;  // two's complement: negative counts are added right too
  for (int k = 0; k < kCountsAThread; ++k) {
    const std::int64_t i = begin + std::int64_t{k} * kCountsBlock;
    if (i < count) sum += static_cast<unsigned long long>(std::int64_t{f(i)});
  }
  sum = reduce_block<kCountsBlock>(sum, Sum());
  if (threadIdx.x == 0) atomicAdd(reinterpret_cast<unsigned long long*>(total.data), sum);
}

__global__ void __launch_bounds__(kCountsBlock) add_counts_blocks(AddCountsArgs args) {
  add_over_blocks(args.counts.size, args.total, [&](std::int64_t i) { return args.counts(i); });
}

__global__ void __launch_bounds__(kCountsBlock) add_non_finite_blocks(AddNonFiniteArgs args) {
  add_over_blocks(args.values.size, args.total,
                  [&](std::int64_t i) { return counts_math::is_non_finite(args.values(i)); });
}

}  // namespace felbo
