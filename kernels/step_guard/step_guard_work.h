// What guard_step() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// The gradient read, squared and summed.
constexpr Work step_guard_work(std::int64_t parameters) { return work_of(parameters, 4.0, 2.0); }

}  // namespace felbo
