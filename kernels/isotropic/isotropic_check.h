// What the ops of the isotropic posterior refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/isotropic/isotropic.h"

namespace felbo {

inline void check(const RepeatLogVarArgs& a) {
  FELBO_CHECK(a.one.rows == a.log_var.rows && a.one.cols == 1,
              "repeat_log_var: {} x {} log-variances for {} rows of a column each", a.one.rows, a.one.cols,
              a.log_var.rows);
}

inline void check(const SumLogVarGradArgs& a) {
  FELBO_CHECK(a.grad_one.rows == a.grad_log_var.rows && a.grad_one.cols == 1,
              "sum_log_var_grad: {} x {} sums for {} rows of a column each", a.grad_one.rows, a.grad_one.cols,
              a.grad_log_var.rows);
}

}  // namespace felbo
