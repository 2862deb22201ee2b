#include "kernels/common/cuda/launch.h"
#include "kernels/covariance_factor/covariance_factor.cuh"
#include "kernels/covariance_factor/covariance_factor_check.h"

namespace felbo {
namespace {

// Of with_row_threads(): a row costs its columns squared.
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
  with_row_threads(
      a.z.cols, [&](auto threads) { forward<threads()>(exec, a); }, kPartOfWarp, kWarp);
}

void covariance_factor_backward(const CudaExec& exec, const CovarianceFactorGradArgs& a) {
  check(a);
  with_row_threads(
      a.grad_z.cols, [&](auto threads) { backward<threads()>(exec, a); }, kPartOfWarp, kWarp);
}

}  // namespace felbo
