#include "kernels/minibatch/minibatch.cuh"

#include "kernels/common/cuda/launch.h"
#include "kernels/minibatch/minibatch_check.h"

namespace felbo {

void next_minibatch(const CudaExec& exec, const NextMinibatchArgs& args) {
  check(args);
  launch(exec, next_minibatch_block, 1, kMinibatchBlock, 0, args);
}

}  // namespace felbo
