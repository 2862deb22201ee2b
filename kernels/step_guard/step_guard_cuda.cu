#include "kernels/common/cuda/launch.h"
#include "kernels/step_guard/step_guard.cuh"
#include "kernels/step_guard/step_guard_check.h"

namespace felbo {

void guard_step(const CudaExec& exec, const GuardStepArgs& args) {
  check(args);
  launch(exec, square_chunks, blocks_for(args.gradient.size, step_guard_math::kChunk), kSquaresBlock, 0,
         args);
  launch(exec, judge_step, 1, kJudgeBlock, 0, args);
}

}  // namespace felbo
