#include "kernels/common/cuda/launch.h"
#include "kernels/gaussian_kl/gaussian_kl.cuh"
#include "kernels/gaussian_kl/gaussian_kl_check.h"

namespace felbo {

void gaussian_kl(const CudaExec& exec, const GaussianKlArgs& a) {
  check(a);
  with_row_threads(a.mu.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, gaussian_kl_rows<threads()>, blocks_for(a.mu.rows, Group::kRows), Group::kBlock, 0, a);
  });
}

void gaussian_kl_backward(const CudaExec& exec, const GaussianKlGradArgs& a) {
  check(a);
  launch(exec, gaussian_kl_grad_columns, blocks_for(a.mu.cols, kGaussianKlColumns),
         kGaussianKlColumns * kGaussianKlRows, 0, a);
}

}  // namespace felbo
