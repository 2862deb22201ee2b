#include "kernels/adam/adam.cuh"
#include "kernels/adam/adam_check.h"
#include "kernels/common/cuda/launch.h"

namespace felbo {

void adam(const CudaExec& exec, const AdamArgs& args) {
  check(args);
  launch(exec, adam_quads, blocks_for(quads(args.parameter.size), kAdamBlock), kAdamBlock, 0, args);
}

}  // namespace felbo
