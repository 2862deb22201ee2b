// What gather() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A number of `data_bytes` read, a float written; bytes are divided by the divisor, and a draw is compared,
/// not computed with. An index a row.
constexpr Work gather_work(std::int64_t rows, std::int64_t cols, std::int64_t data_bytes) {
  return work_of(rows * cols, 4.0 + static_cast<double>(data_bytes), data_bytes == 1 ? 1.0 : 0.0) +
         work_of(rows, 4.0, 0.0);
}

}  // namespace felbo
