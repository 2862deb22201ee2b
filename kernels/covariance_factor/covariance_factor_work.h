// What covariance_factor() and its backward move and compute. N = Z (Z - 1) / 2 elements of a datum lie below
// the diagonal.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// The factor read, z and KL read and written. An element: a product and a sum a sample, and a square and a
/// sum for the KL. A sample's dimension: its normal, and what is added to z.
constexpr Work covariance_factor_work(std::int64_t batch, std::int64_t latent, std::int64_t samples) {
  const auto S = static_cast<double>(samples);
  return work_of(batch * (latent * (latent - 1) / 2), 4.0, 2.0 * S + 2.0) +
         work_of(batch * samples * latent, 8.0, 1.0) + normals_work(batch * samples * latent) +
         work_of(batch, 8.0, 0.0);
}

/// The factor and grad_z read, the factor's gradient written. An element: a fused sum a sample, and the KL's
/// share.
constexpr Work covariance_factor_backward_work(std::int64_t batch, std::int64_t latent,
                                               std::int64_t samples) {
  const auto S = static_cast<double>(samples);
  return work_of(batch * (latent * (latent - 1) / 2), 8.0, 2.0 * S + 1.0) +
         work_of(batch * samples * latent, 4.0, 0.0) + normals_work(batch * samples * latent);
}

}  // namespace felbo
