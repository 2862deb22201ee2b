// What normal_cdf() and its backward move and compute, of numbers of `bytes` each.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// z read, u written: one function, whatever quotient, polynomial and exponential stand for it.
constexpr Work normal_cdf_work(std::int64_t elements, double bytes = 4.0) {
  return work_of(elements, 2.0 * bytes, 1.0);
}
/// z read, the gradient read and written. The exponential of -z^2 / 2 takes 3, and two products.
constexpr Work normal_cdf_backward_work(std::int64_t elements, double bytes = 4.0) {
  return work_of(elements, 3.0 * bytes, 5.0);
}

}  // namespace felbo
