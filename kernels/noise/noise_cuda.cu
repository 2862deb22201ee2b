#include "kernels/common/cuda/launch.h"
#include "kernels/noise/noise.cuh"
#include "kernels/noise/noise_check.h"

namespace felbo {

void normal_fill(const CudaExec& exec, const NormalFillArgs& args) {
  check(args);
  launch(exec, normal_fill_quads, blocks_for(args.out.rows * quads(args.out.cols), kNormalFillBlock),
         kNormalFillBlock, 0, args);
}

}  // namespace felbo
