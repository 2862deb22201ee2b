#include "kernels/common/cuda/launch.h"
#include "kernels/free_bits/free_bits.cuh"

namespace felbo {

void free_bits(const CudaExec& exec, const FreeBitsArgs& a) {
  check(a);
  launch(exec, free_bits_columns, blocks_for(a.mu.cols, 1), kFreeBitsBlock, 0, a);
}

}  // namespace felbo
