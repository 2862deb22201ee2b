// What free_bits() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// mu and log_var read; the KL 7, its sum over the batch among them.
constexpr Work free_bits_work(std::int64_t batch, std::int64_t latent) {
  return work_of(batch * latent, 8.0, 7.0);
}

}  // namespace felbo
