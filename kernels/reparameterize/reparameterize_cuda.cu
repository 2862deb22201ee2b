#include "kernels/common/cuda/launch.h"
#include "kernels/reparameterize/reparameterize.cuh"
#include "kernels/reparameterize/reparameterize_check.h"

namespace felbo {
namespace {

template <int kThreads, class T>
void launch_rows(const CudaExec& exec, const ReparameterizeArgsOf<T>& a) {
  using Group = RowGroup<kThreads>;
  const unsigned grid = blocks_for(a.z.rows, Group::kRows);
  if (a.log_pz.empty()) {
    launch(exec, reparameterize_rows<kThreads, false, T>, grid, Group::kBlock, 0, a);
  } else {
    launch(exec, reparameterize_rows<kThreads, true, T>, grid, Group::kBlock, 0, a);
  }
}

template <class T>
void forward(const CudaExec& exec, const ReparameterizeArgsOf<T>& a) {
  check(a);
  with_row_threads(a.mu.cols, [&](auto threads) { launch_rows<threads()>(exec, a); });
}

template <PosteriorGradient kKind, class T>
void launch_backward(const CudaExec& exec, const ReparameterizeGradArgsOf<T>& a) {
  launch(exec, reparameterize_grad_quads<kKind, T>,
         blocks_for(a.mu.rows * quads(a.mu.cols), kReparameterizeGradBlock), kReparameterizeGradBlock, 0, a);
}

template <class T>
void backward(const CudaExec& exec, const ReparameterizeGradArgsOf<T>& a) {
  check(a);
  switch (a.gradient) {
    case PosteriorGradient::kAnalyticKl:
      return launch_backward<PosteriorGradient::kAnalyticKl>(exec, a);
    case PosteriorGradient::kMonteCarlo:
      return launch_backward<PosteriorGradient::kMonteCarlo>(exec, a);
    case PosteriorGradient::kStickingTheLanding:
      return launch_backward<PosteriorGradient::kStickingTheLanding>(exec, a);
    case PosteriorGradient::kDoublyReparameterized:
      return launch_backward<PosteriorGradient::kDoublyReparameterized>(exec, a);
  }
}

}  // namespace

void reparameterize(const CudaExec& exec, const ReparameterizeArgs& a) { forward(exec, a); }
void reparameterize(const CudaExec& exec, const ReparameterizeArgsOf<BFloat16>& a) { forward(exec, a); }

void reparameterize_backward(const CudaExec& exec, const ReparameterizeGradArgs& a) { backward(exec, a); }
void reparameterize_backward(const CudaExec& exec, const ReparameterizeGradArgsOf<BFloat16>& a) {
  backward(exec, a);
}

}  // namespace felbo
