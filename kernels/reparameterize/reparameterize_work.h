// What reparameterize() and reparameterize_backward() move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// mu and log_var read, S samples written in `z_bytes` each. A datum: sigma 2, the KL 7. A sample: its
/// normal, and z 2; the log-densities 4 and 5.
constexpr Work reparameterize_work(std::int64_t batch, std::int64_t latent, std::int64_t samples,
                                   bool densities, double z_bytes = 4.0) {
  return work_of(batch * latent, 8.0, 9.0) +
         work_of(batch * samples * latent, z_bytes, 2.0 + (densities ? 9.0 : 0.0)) +
         normals_work(batch * samples * latent) + work_of(densities ? batch * samples : 0, 8.0, 0.0);
}

/// By the analytic KL: mu, log_var and S gradients read, two gradients written, gradients of `bytes` each. A
/// datum: 1 for mu, and 8 for log_var: sigma, the KL's slope, a sum and a half. A sample: its normal, and two
/// sums 3.
constexpr Work reparameterize_backward_work(std::int64_t batch, std::int64_t latent, std::int64_t samples,
                                            double bytes = 4.0) {
  return work_of(batch * latent, 8.0 + 2.0 * bytes, 9.0) + work_of(batch * samples * latent, bytes, 3.0) +
         normals_work(batch * samples * latent);
}

}  // namespace felbo
