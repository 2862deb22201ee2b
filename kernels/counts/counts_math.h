// What counts as a number, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/math.h"

namespace felbo::counts_math {

/// 1 for NaN and the infinities: an exponent of all ones.
FELBO_HD inline std::int32_t is_non_finite(float x) {
  return (math::bits(x) & 0x7f800000) == 0x7f800000 ? 1 : 0;
}

}  // namespace felbo::counts_math
