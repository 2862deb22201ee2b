// What adam() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// Parameter and both moments read and written, the gradient read. 1 to scale the gradient, 3 for m, 4 for v,
/// and sqrt, fma, /, fma for the step. `rounded`: the parameter is written in bfloat16 too.
constexpr Work adam_work(std::int64_t parameters, bool rounded = false) {
  return work_of(parameters, rounded ? 30.0 : 28.0, 14.0);
}

}  // namespace felbo
