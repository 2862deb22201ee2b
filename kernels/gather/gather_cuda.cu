#include "kernels/common/cuda/launch.h"
#include "kernels/gather/gather.cuh"
#include "kernels/gather/gather_check.h"

namespace felbo {
namespace {

template <Binarize kBinarize, bool kRounded, class T>
void launch_runs_of(const CudaExec& exec, const GatherArgs<T>& args) {
  constexpr std::int64_t kRun = kGatherRun<kRounded>;
  const std::int64_t per_row = (args.x.cols + kRun - 1) / kRun;
  launch(exec, gather_runs<T, kBinarize, kRounded>, blocks_for(args.x.rows * per_row, kGatherBlock),
         kGatherBlock, 0, args);
}
template <Binarize kBinarize, class T>
void launch_runs(const CudaExec& exec, const GatherArgs<T>& args) {
  if (args.rounded.empty()) {
    launch_runs_of<kBinarize, false>(exec, args);
  } else {
    launch_runs_of<kBinarize, true>(exec, args);
  }
}

template <class T>
void gather_all(const CudaExec& exec, const GatherArgs<T>& args) {
  check(args);
  switch (args.binarize) {
    case Binarize::kNone:
      return launch_runs<Binarize::kNone>(exec, args);
    case Binarize::kThreshold:
      return launch_runs<Binarize::kThreshold>(exec, args);
    case Binarize::kDynamic:
      return launch_runs<Binarize::kDynamic>(exec, args);
  }
}

}  // namespace

void gather(const CudaExec& exec, const GatherArgs<std::uint8_t>& args) { gather_all(exec, args); }
void gather(const CudaExec& exec, const GatherArgs<float>& args) { gather_all(exec, args); }

}  // namespace felbo
