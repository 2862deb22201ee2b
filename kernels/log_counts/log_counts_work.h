// What log_counts() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// x read, y written in `y_bytes` each; a sum and a logarithm.
constexpr Work log_counts_work(std::int64_t elements, double y_bytes = 4.0) {
  return work_of(elements, 4.0 + y_bytes, 2.0);
}

}  // namespace felbo
