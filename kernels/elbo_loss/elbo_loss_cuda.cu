#include "kernels/common/cuda/launch.h"
#include "kernels/elbo_loss/elbo_loss.cuh"

namespace felbo {
namespace {

// Dimensions up to which a datum is worth a warp, or a small block. They decide the order of the sums, so
// they depend on the row alone.
constexpr std::int64_t kWarpPerDatum = 1024, kSmallBlockPerDatum = 16384;
constexpr int kSmallBlock = 256, kLargeBlock = 512;

template <bool kGradient, int kThreads, class Data, class Source>
void launch_groups(const CudaExec& exec, const Source& source, const ElboLossArgs<Data>& args) {
  using Group = RowGroup<kThreads>;
  launch(exec, elbo_loss_data<Data, Source, kGradient, kThreads>, blocks_for(args.x.rows, Group::kRows),
         Group::kBlock, 0, source, args, ElboLossFactors<Data>::of(args));
}

template <bool kGradient, class Data, class Source>
void launch_data(const CudaExec& exec, const Source& source, const ElboLossArgs<Data>& args) {
  if (args.x.cols <= kWarpPerDatum) {
    launch_groups<kGradient, 32>(exec, source, args);
  } else if (args.x.cols <= kSmallBlockPerDatum) {
    launch_groups<kGradient, kSmallBlock>(exec, source, args);
  } else {
    launch_groups<kGradient, kLargeBlock>(exec, source, args);
  }
}

template <class Data>
void run(const CudaExec& exec, const Likelihood& which, const ElboLossArgs<Data>& args) {
  check(which, args);
  with_source_of(which, [&](const auto& source) {
    if (args.want_gradient) {
      launch_data<true>(exec, source, args);
    } else {
      launch_data<false>(exec, source, args);
    }
  });
}

}  // namespace

void elbo_loss(const CudaExec& exec, const Likelihood& which, const ElboLossArgs<std::uint8_t>& args) {
  run(exec, which, args);
}
void elbo_loss(const CudaExec& exec, const Likelihood& which, const ElboLossArgs<float>& args) {
  run(exec, which, args);
}

}  // namespace felbo
