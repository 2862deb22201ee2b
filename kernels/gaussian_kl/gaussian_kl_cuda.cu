#include "kernels/common/cuda/launch.h"
#include "kernels/gaussian_kl/gaussian_kl.cuh"
#include "kernels/gaussian_kl/gaussian_kl_check.h"

namespace felbo {
namespace {

// Columns up to which a row is worth a quarter of a warp, or a warp; they decide the order of the sums.
constexpr std::int64_t kPartOfWarp = 64, kWarp = 2048;

template <int kThreads>
void launch_rows(const CudaExec& exec, const GaussianKlArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, gaussian_kl_rows<kThreads>, blocks_for(a.mu.rows, Group::kRows), Group::kBlock, 0, a);
}

}  // namespace

void gaussian_kl(const CudaExec& exec, const GaussianKlArgs& a) {
  check(a);
  if (a.mu.cols <= kPartOfWarp) return launch_rows<8>(exec, a);
  if (a.mu.cols <= kWarp) return launch_rows<32>(exec, a);
  launch_rows<256>(exec, a);
}

void gaussian_kl_backward(const CudaExec& exec, const GaussianKlGradArgs& a) {
  check(a);
  launch(exec, gaussian_kl_grad_columns, blocks_for(a.mu.cols, kGaussianKlColumns),
         kGaussianKlColumns * kGaussianKlRows, 0, a);
}

}  // namespace felbo
