// What mixture_prior() and its backward move and compute, of R rows of z and K components with learned
// weights.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// z read, responsibilities written. A dimension of a component's density: its distance 3, and the sum;
/// twice, since responsibilities make densities again. A component of a row: its density 2, its exponential 2
/// and the sum, and for the responsibility 4 and a quotient. Of the mixture m, v and exp(-v), which takes 1
/// and log det 1.
constexpr Work mixture_prior_work(std::int64_t rows, std::int64_t latent, std::int64_t components) {
  return work_of(rows * latent, 4.0, 0.0) + work_of(rows * components * latent, 0.0, 8.0) +
         work_of(rows * components, 4.0, 10.0) + work_of(components * latent, 12.0, 2.0);
}

/// z read, its gradient read and written, responsibilities read; a row's weight is 1 / S. A dimension of a
/// component: the pull 2 and its sum 2, for m and v the pull 2, the distance 3, its difference to 1, two
/// products and two sums. grad_z 2 a dimension; a component of a row: its share 1, the logit's gradient 3. Of
/// the mixture m and exp(-v) read, two gradients written with a factor.
constexpr Work mixture_prior_backward_work(std::int64_t rows, std::int64_t latent, std::int64_t components) {
  return work_of(rows * latent, 12.0, 2.0) + work_of(rows * components * latent, 0.0, 14.0) +
         work_of(rows * components, 4.0, 4.0) + work_of(components * latent, 16.0, 1.0);
}

}  // namespace felbo
