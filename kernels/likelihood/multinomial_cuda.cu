#include "kernels/common/cuda/launch.h"
#include "kernels/likelihood/multinomial.cuh"

namespace felbo {
namespace {

// Dimensions up to which a row is worth a warp; beyond, a block. It decides the order of the sums, so it
// depends on the row alone.
constexpr std::int64_t kWarpPerRow = 1024;
constexpr int kRowBlock = 256;

template <bool kGradient, class T>
void run_rows(const CudaExec& exec, const LikelihoodArgsOf<T>& args) {
  using Group = RowGroup<32>;
  const std::int64_t rows = args.output.rows;
  if (args.x.cols <= kWarpPerRow) {
    launch(exec, multinomial_rows<kGradient, 32, T>, blocks_for(rows, Group::kRows), Group::kBlock, 0, args);
  } else {
    launch(exec, multinomial_rows<kGradient, kRowBlock, T>, blocks_for(rows, 1), kRowBlock, 0, args);
  }
}

template <class T>
void run(const CudaExec& exec, const LikelihoodArgsOf<T>& args) {
  if (args.want_gradient) {
    run_rows<true>(exec, args);
  } else {
    run_rows<false>(exec, args);
  }
}

}  // namespace

template <class T>
void multinomial(const CudaExec& exec, const LikelihoodArgsOf<T>& args) {
  run(exec, args);
}
template void multinomial(const CudaExec&, const LikelihoodArgs&);
template void multinomial(const CudaExec&, const LikelihoodArgsOf<BFloat16>&);

void multinomial_mean(const CudaExec& exec, View<const float, 2> output, View<float, 2> mean) {
  launch(exec, multinomial_shares, blocks_for(mean.rows, 1), kShareBlock, 0, output, mean);
}

}  // namespace felbo
