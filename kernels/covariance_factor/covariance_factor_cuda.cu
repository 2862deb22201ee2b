#include "kernels/common/cuda/launch.h"
#include "kernels/covariance_factor/covariance_factor.cuh"
#include "kernels/covariance_factor/covariance_factor_check.h"

namespace felbo {
namespace {

// Columns up to which a row is worth a quarter of a warp, or a warp. They decide the order of the sums, so
// they depend on the row alone.
constexpr std::int64_t kPartOfWarp = 32, kWarp = 256;

template <int kThreads>
void forward(const CudaExec& exec, const CovarianceFactorArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, covariance_factor_rows<kThreads>, blocks_for(a.z.rows, Group::kRows), Group::kBlock, 0, a);
}

template <int kThreads>
void backward(const CudaExec& exec, const CovarianceFactorGradArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, covariance_factor_grad<kThreads>, blocks_for(a.factor.rows, Group::kRows), Group::kBlock, 0,
         a);
}

}  // namespace

void covariance_factor(const CudaExec& exec, const CovarianceFactorArgs& a) {
  check(a);
  if (a.z.cols <= kPartOfWarp) return forward<8>(exec, a);
  if (a.z.cols <= kWarp) return forward<32>(exec, a);
  forward<256>(exec, a);
}

void covariance_factor_backward(const CudaExec& exec, const CovarianceFactorGradArgs& a) {
  check(a);
  if (a.grad_z.cols <= kPartOfWarp) return backward<8>(exec, a);
  if (a.grad_z.cols <= kWarp) return backward<32>(exec, a);
  backward<256>(exec, a);
}

}  // namespace felbo
