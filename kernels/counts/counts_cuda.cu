#include "kernels/common/cuda/launch.h"
#include "kernels/counts/counts.cuh"
#include "kernels/counts/counts_check.h"

namespace felbo {

void add_counts(const CudaExec& exec, const AddCountsArgs& args) {
  check(args);
  launch(exec, add_counts_blocks, blocks_for(args.counts.size, kCountsBlock * kCountsAThread), kCountsBlock,
         0, args);
}

void add_non_finite(const CudaExec& exec, const AddNonFiniteArgs& args) {
  check(args);
  launch(exec, add_non_finite_blocks, blocks_for(args.values.size, kCountsBlock * kCountsAThread),
         kCountsBlock, 0, args);
}

}  // namespace felbo
