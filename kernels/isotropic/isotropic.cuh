// A thread an element to repeat, a group of threads a row to add.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/isotropic/isotropic.h"

namespace felbo {

inline constexpr int kRepeatBlock = 256;

__global__ void __launch_bounds__(kRepeatBlock) repeat_log_vars(RepeatLogVarArgs a) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kRepeatBlock + threadIdx.x;
  const std::int64_t b = item / a.log_var.cols;
  if (b < a.log_var.rows) a.log_var(b, item % a.log_var.cols) = a.one(b, 0);
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) sum_log_var_grads(SumLogVarGradArgs a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  const bool inside = b < a.grad_one.rows;
  double sum = 0.0;
  for (std::int64_t d = Group::thread(); inside && d < a.grad_log_var.cols; d += kThreads) {
    sum += static_cast<double>(a.grad_log_var(b, d));
  }
  sum = Group::reduce(sum, Sum());
  if (inside && Group::thread() == 0) a.grad_one(b, 0) = static_cast<float>(sum);
}

}  // namespace felbo
