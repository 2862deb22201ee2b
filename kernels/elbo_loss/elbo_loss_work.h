// What elbo_loss() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

struct Likelihood;

/// x read, an element of `data_bytes`, the decoder's output read and its gradient written; mu and log_var
/// read and their gradients written. In place or apart, the count is the same. Bytes are divided by the
/// divisor for each sample. An element of z: its KL 7, its gradients 1 and 4.
Work elbo_loss_work(const Likelihood& which, std::int64_t batch, std::int64_t dimensions, std::int64_t latent,
                    std::int64_t samples, std::int64_t data_bytes, bool gradient);

}  // namespace felbo
