// What the ops of conditional_gaussian.h move and compute, of R = B S rows.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// mu and log_var read, z written. The normal, sigma 2, z 2 and log q 5; log N(h; 0, I) 4 if wanted.
constexpr Work conditional_draw_work(std::int64_t rows, std::int64_t latent, bool standard) {
  return work_of(rows * latent, 12.0, 9.0 + (standard ? 4.0 : 0.0)) + normals_work(rows * latent);
}
/// mu, log_var and grad_z read, two gradients written. The normal, z 4, its gradient 2, log_var's 6.
constexpr Work conditional_draw_backward_work(std::int64_t rows, std::int64_t latent) {
  return work_of(rows * latent, 20.0, 12.0) + normals_work(rows * latent);
}
/// z, mu and log_var read. The standardised z 4, log p 5.
constexpr Work conditional_density_work(std::int64_t rows, std::int64_t latent) {
  return work_of(rows * latent, 12.0, 9.0);
}
/// z, mu, log_var and grad_z read, three gradients written. The standardised z 4, its pull 2 and the sum 1,
/// log_var's gradient 3.
constexpr Work conditional_density_backward_work(std::int64_t rows, std::int64_t latent) {
  return work_of(rows * latent, 28.0, 10.0);
}
/// Two read, one written, and the sum.
constexpr Work add_gradient_work(std::int64_t rows, std::int64_t latent) {
  return work_of(rows * latent, 12.0, 1.0);
}

}  // namespace felbo
