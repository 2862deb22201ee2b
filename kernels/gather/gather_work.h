// What every gather() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A number of `data_bytes` read, a float written; bytes are divided by the divisor, and a draw (`draws`) is
/// compared, not computed with. An index a row. `rounded`: x is written in bfloat16 too.
constexpr Work gather_work(std::int64_t rows, std::int64_t cols, std::int64_t data_bytes, bool draws,
                           bool rounded = false) {
  return work_of(rows * cols, 4.0 + static_cast<double>(data_bytes) + (rounded ? 2.0 : 0.0),
                 data_bytes == 1 ? 1.0 : 0.0) +
         work_of(rows, 4.0, 0.0) + words_work(draws ? rows * cols : 0);
}
/// Of sparse rows with `elements` elements in all: their columns and values read, every float written. An
/// index and two ends a row.
constexpr Work gather_csr_work(std::int64_t rows, std::int64_t cols, std::int64_t elements, bool draws,
                               bool rounded = false) {
  return work_of(elements, 8.0, 0.0) + work_of(rows * cols, rounded ? 6.0 : 4.0, 0.0) +
         work_of(rows, 20.0, 0.0) + words_work(draws ? elements : 0);
}

}  // namespace felbo
