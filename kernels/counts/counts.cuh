// Blocks of threads add what they hold to the total by an integer atomic, whose order changes nothing.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/counts/counts.h"

namespace felbo {

inline constexpr int kCountsBlock = 256;
inline constexpr int kCountsAThread = 8;

__global__ void __launch_bounds__(kCountsBlock) add_counts_blocks(AddCountsArgs args) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * kCountsBlock * kCountsAThread + threadIdx.x;
  unsigned long long sum = 0;  // two's complement: negative counts are added right too
  for (int k = 0; k < kCountsAThread; ++k) {
    const std::int64_t i = begin + std::int64_t{k} * kCountsBlock;
    if (i < args.counts.size) sum += static_cast<unsigned long long>(std::int64_t{args.counts(i)});
  }
  sum = reduce_block<kCountsBlock>(sum, Sum());
  if (threadIdx.x == 0) atomicAdd(reinterpret_cast<unsigned long long*>(args.total.data), sum);
}

}  // namespace felbo
