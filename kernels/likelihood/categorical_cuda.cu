#include "kernels/common/cuda/launch.h"
#include "kernels/likelihood/categorical.cuh"

namespace felbo {
namespace {

template <bool kGradient, int kLanes, int kRuns, class T>
void run(const CudaExec& exec, int categories, const LikelihoodArgsOf<T>& args) {
  const std::int64_t pieces = categorical_pieces(categories, args.x.cols);
  launch(exec, categorical_pieces_of_rows<kGradient, kLanes, kRuns, T>,
         blocks_for(args.output.rows * pieces, 1), kCategoricalBlock, 0, args, categories, pieces);
}

/// By the number of lanes, and of runs that each holds.
template <bool kGradient, class T>
void run_lanes(const CudaExec& exec, int categories, const LikelihoodArgsOf<T>& args) {
  constexpr int kWarpRuns = 256 / (32 * kRunOf<T>);  // for up to 256 levels
  switch (categorical_lanes(categories)) {
    case 1:
      return run<kGradient, 1, 1>(exec, categories, args);
    case 4:
      return run<kGradient, 4, 1>(exec, categories, args);
    case 16:
      return run<kGradient, 16, 1>(exec, categories, args);
    default:
      return categories <= 256 ? run<kGradient, 32, kWarpRuns>(exec, categories, args)
                               : run<kGradient, 32, 0>(exec, categories, args);
  }
}

template <class T>
void run_all(const CudaExec& exec, int categories, const LikelihoodArgsOf<T>& args) {
  if (args.want_gradient) {
    run_lanes<true>(exec, categories, args);
  } else {
    run_lanes<false>(exec, categories, args);
  }
  launch(exec, categorical_finish<T>, blocks_for(args.output.rows, kCategoricalFinish), kCategoricalFinish, 0,
         args, categorical_pieces(categories, args.x.cols));
}

}  // namespace

template <class T>
void categorical(const CudaExec& exec, int categories, const LikelihoodArgsOf<T>& args) {
  run_all(exec, categories, args);
}
template void categorical(const CudaExec&, int, const LikelihoodArgs&);
template void categorical(const CudaExec&, int, const LikelihoodArgsOf<BFloat16>&);

void categorical_mean(const CudaExec& exec, int categories, View<const float, 2> output,
                      View<float, 2> mean) {
  launch(exec, categorical_mean_elements, blocks_for(mean.rows * mean.cols, kCategoricalMean),
         kCategoricalMean, 0, output, mean, categories);
}

}  // namespace felbo
