#include "kernels/common/cuda/launch.h"
#include "kernels/round/round.cuh"
#include "kernels/round/round_check.h"

namespace felbo {

void round_to_bfloat16(const CudaExec& exec, const RoundArgs& args) {
  check(args);
  launch(exec, round_runs, blocks_for(runs<BFloat16>(args.from.size), kRoundBlock), kRoundBlock, 0, args);
}

}  // namespace felbo
