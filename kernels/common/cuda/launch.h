// The one way to launch a kernel.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "host/exec/cuda_exec.h"
#include "kernels/common/check.h"
#include "kernels/common/cuda/check.h"

namespace felbo {

/// Blocks that cover `items` with `per_block` each, as the x extent of a grid.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  const std::int64_t blocks = (items + per_block - 1) / per_block;
  FELBO_CHECK(blocks <= 0x7fffffff, "{} items in blocks of {} exceed the largest grid of a GPU", items,
              per_block);
  return static_cast<unsigned>(blocks);
}

/// Enqueues `kernel` on the stream of `exec`; an empty grid enqueues nothing. Throws std::runtime_error if
/// the device refuses the launch.
template <class... Parameters, class... Args>
void launch(const CudaExec& exec, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t dynamic_shared, const Args&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_shared;
  config.stream = exec.stream();
  FELBO_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, args...));
}

}  // namespace felbo
