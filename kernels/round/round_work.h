// What round_to_bfloat16() moves; rounding is no arithmetic.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A float read, a bfloat16 written.
constexpr Work round_work(std::int64_t elements) { return work_of(elements, 6.0, 0.0); }

}  // namespace felbo
