// What dense() and dense_backward() move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// The operations of the product alone. Each matrix, of numbers of `bytes`, is read or written once, as if
/// the rest stayed in cache.
constexpr Work dense_work(std::int64_t batch, std::int64_t in, std::int64_t out, double bytes = 4.0) {
  return work_of(batch * in * out, 0.0, 2.0) + work_of(batch * in + in * out + batch * out + out, bytes, 0.0);
}
/// With both gradients, the parameters' in float.
constexpr Work dense_backward_work(std::int64_t batch, std::int64_t in, std::int64_t out,
                                   double bytes = 4.0) {
  return work_of(batch * in * out, 0.0, 4.0) + work_of(2 * batch * in + in * out + batch * out, bytes, 0.0) +
         work_of(in * out + out, 4.0, 0.0);
}

}  // namespace felbo
