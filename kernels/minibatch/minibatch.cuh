// One block does it all: a batch is a few thousand numbers, and the position may move only after every thread
// has read it.
#pragma once

#include <cuda_runtime.h>

#include "kernels/minibatch/minibatch.h"

namespace felbo {

inline constexpr int kMinibatchBlock = 512;

__global__ void __launch_bounds__(kMinibatchBlock) next_minibatch_block(NextMinibatchArgs args) {
  const std::int64_t step = args.position(0);
  __syncthreads();  // every thread has read the position
  const std::uint32_t* from = args.order.data + step * args.batch;
  for (std::int64_t i = threadIdx.x; i < args.rows.size; i += kMinibatchBlock) args.rows(i) = from[i];
  if (threadIdx.x == 0) {
    args.now(0) = args.plan(step);
    args.position(0) = step + 1;
  }
}

}  // namespace felbo
