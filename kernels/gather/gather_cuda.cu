#include "kernels/common/cuda/launch.h"
#include "kernels/gather/gather.cuh"
#include "kernels/gather/gather_check.h"

namespace felbo {
namespace {

template <Binarize kBinarize, class T>
void launch_quads(const CudaExec& exec, const GatherArgs<T>& args) {
  launch(exec, gather_quads<T, kBinarize>, blocks_for(args.x.rows * quads(args.x.cols), kGatherBlock),
         kGatherBlock, 0, args);
}

template <class T>
void gather_all(const CudaExec& exec, const GatherArgs<T>& args) {
  check(args);
  switch (args.binarize) {
    case Binarize::kNone:
      return launch_quads<Binarize::kNone>(exec, args);
    case Binarize::kThreshold:
      return launch_quads<Binarize::kThreshold>(exec, args);
    case Binarize::kDynamic:
      return launch_quads<Binarize::kDynamic>(exec, args);
  }
}

}  // namespace

void gather(const CudaExec& exec, const GatherArgs<std::uint8_t>& args) { gather_all(exec, args); }
void gather(const CudaExec& exec, const GatherArgs<float>& args) { gather_all(exec, args); }

}  // namespace felbo
