// What dense() and dense_backward() move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// The operations of the product alone. Each matrix is read or written once, as if the rest stayed in cache.
constexpr Work dense_work(std::int64_t batch, std::int64_t in, std::int64_t out) {
  return work_of(batch * in * out, 0.0, 2.0) + work_of(batch * in + in * out + batch * out + out, 4.0, 0.0);
}
/// With both gradients.
constexpr Work dense_backward_work(std::int64_t batch, std::int64_t in, std::int64_t out) {
  return work_of(batch * in * out, 0.0, 4.0) +
         work_of(2 * batch * in + 2 * in * out + batch * out + out, 4.0, 0.0);
}

}  // namespace felbo
