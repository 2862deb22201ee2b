// What add_counts() and add_non_finite() move; they add integers, which is no arithmetic here.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A 32-bit count read.
constexpr Work add_counts_work(std::int64_t rows) { return work_of(rows, 4.0, 0.0); }
/// A float read.
constexpr Work add_non_finite_work(std::int64_t values) { return work_of(values, 4.0, 0.0); }

}  // namespace felbo
