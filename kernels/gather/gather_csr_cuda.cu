#include "kernels/common/cuda/launch.h"
#include "kernels/gather/gather_csr.cuh"

namespace felbo {

void gather(const CudaExec& exec, const GatherCsrArgs& args) {
  check(args);
  const unsigned blocks = blocks_for(args.x.rows, 1);
  if (args.rounded.empty()) {
    launch(exec, gather_csr_rows<false>, blocks, kCsrBlock, 0, args);
  } else {
    launch(exec, gather_csr_rows<true>, blocks, kCsrBlock, 0, args);
  }
}

}  // namespace felbo
