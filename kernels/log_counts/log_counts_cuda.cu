#include "kernels/common/cuda/launch.h"
#include "kernels/log_counts/log_counts.cuh"

namespace felbo {
namespace {

template <class T>
void run(const CudaExec& exec, const LogCountsArgsOf<T>& args) {
  check(args);
  launch(exec, log_count_runs<T>, blocks_for(runs<T>(args.x.size), kLogCountsBlock), kLogCountsBlock, 0,
         args);
}

}  // namespace

void log_counts(const CudaExec& exec, const LogCountsArgs& args) { run(exec, args); }
void log_counts(const CudaExec& exec, const LogCountsArgsOf<BFloat16>& args) { run(exec, args); }

}  // namespace felbo
