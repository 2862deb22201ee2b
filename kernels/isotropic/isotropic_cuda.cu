#include "kernels/common/cuda/launch.h"
#include "kernels/isotropic/isotropic.cuh"
#include "kernels/isotropic/isotropic_check.h"

namespace felbo {
namespace {

// Columns up to which a row is worth a quarter of a warp, or a warp; they decide the order of the sums.
constexpr std::int64_t kPartOfWarp = 64, kWarp = 2048;

template <int kThreads>
void launch_rows(const CudaExec& exec, const SumLogVarGradArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, sum_log_var_grads<kThreads>, blocks_for(a.grad_one.rows, Group::kRows), Group::kBlock, 0, a);
}

}  // namespace

void repeat_log_var(const CudaExec& exec, const RepeatLogVarArgs& a) {
  check(a);
  launch(exec, repeat_log_vars, blocks_for(a.log_var.rows * a.log_var.cols, kRepeatBlock), kRepeatBlock, 0,
         a);
}

void sum_log_var_grad(const CudaExec& exec, const SumLogVarGradArgs& a) {
  check(a);
  if (a.grad_log_var.cols <= kPartOfWarp) return launch_rows<8>(exec, a);
  if (a.grad_log_var.cols <= kWarp) return launch_rows<32>(exec, a);
  launch_rows<256>(exec, a);
}

}  // namespace felbo
