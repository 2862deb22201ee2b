#include "kernels/common/cuda/launch.h"
#include "kernels/isotropic/isotropic.cuh"
#include "kernels/isotropic/isotropic_check.h"

namespace felbo {

void repeat_log_var(const CudaExec& exec, const RepeatLogVarArgs& a) {
  check(a);
  launch(exec, repeat_log_vars, blocks_for(a.log_var.rows * a.log_var.cols, kRepeatBlock), kRepeatBlock, 0,
         a);
}

void sum_log_var_grad(const CudaExec& exec, const SumLogVarGradArgs& a) {
  check(a);
  with_row_threads(a.grad_log_var.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, sum_log_var_grads<threads()>, blocks_for(a.grad_one.rows, Group::kRows), Group::kBlock, 0,
           a);
  });
}

}  // namespace felbo
