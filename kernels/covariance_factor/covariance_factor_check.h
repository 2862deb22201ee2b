// What every covariance_factor and its backward refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/covariance_factor/covariance_factor.h"

namespace felbo {

template <class Args, class T>
void check_covariance_shapes(const Args& a, View<T, 2> z, const char* name) {
  FELBO_CHECK(a.samples >= 1 &&
                  std::uint64_t{a.first_sample} + static_cast<std::uint64_t>(a.samples) <= kMaxNoiseSamples,
              "{}: samples {} ... {} are not between 0 and {}", name, a.first_sample,
              std::int64_t{a.first_sample} + a.samples - 1, kMaxNoiseSamples - 1);
  const std::int64_t batch = a.datum.size;
  FELBO_CHECK(z.rows == batch * a.samples && z.cols >= 1,
              "{}: z or its gradient is {} x {}, expected {} rows of at least one column", name, z.rows,
              z.cols, batch * a.samples);
  FELBO_CHECK(a.factor.rows == batch && a.factor.cols == below_diagonal(z.cols),
              "{}: the factor is {} x {}, expected {} x {}", name, a.factor.rows, a.factor.cols, batch,
              below_diagonal(z.cols));
}

inline void check(const CovarianceFactorArgs& a) {
  check_covariance_shapes(a, a.z, "covariance_factor");
  FELBO_CHECK(a.kl.empty() || a.kl.size == a.datum.size, "covariance_factor: kl needs {} rows, has {}",
              a.datum.size, a.kl.size);
}

inline void check(const CovarianceFactorGradArgs& a) {
  check_covariance_shapes(a, a.grad_z, "covariance_factor_backward");
  FELBO_CHECK(a.grad_factor.rows == a.factor.rows && a.grad_factor.cols == a.factor.cols,
              "covariance_factor_backward: the gradient is {} x {}, expected {} x {}", a.grad_factor.rows,
              a.grad_factor.cols, a.factor.rows, a.factor.cols);
}

}  // namespace felbo
