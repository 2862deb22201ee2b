// What gaussian_kl() and its backward move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// mu and log_var read; the prior's are a row. The terms 6: two differences, two exponentials, two products.
/// The KL 4, and its sum.
constexpr Work gaussian_kl_work(std::int64_t batch, std::int64_t latent) {
  return work_of(batch * latent, 8.0, 11.0);
}
/// mu and log_var read, both gradients read and written. The terms 6, grad_mu 2, grad_log_var 4, the prior's
/// 3, and two sums over the batch.
constexpr Work gaussian_kl_backward_work(std::int64_t batch, std::int64_t latent) {
  return work_of(batch * latent, 24.0, 17.0);
}

}  // namespace felbo
