// What repeat_log_var() and sum_log_var_grad() move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A float read a row, Z written.
constexpr Work repeat_log_var_work(std::int64_t batch, std::int64_t latent) {
  return work_of(batch * latent, 4.0, 0.0) + work_of(batch, 4.0, 0.0);
}
/// Z read and summed, a float written.
constexpr Work sum_log_var_grad_work(std::int64_t batch, std::int64_t latent) {
  return work_of(batch * latent, 4.0, 1.0) + work_of(batch, 4.0, 0.0);
}

}  // namespace felbo
