// The exponential of a log-variance that has been clamped.
#pragma once

#include "kernels/common/math.h"

namespace felbo::math {

/// exp(v), bit for bit, for v in [-87, 88], a NaN kept: no bounds to look at, and one factor of 2^n; half the
/// instructions. (kernels/common/log_var_check.h holds log-variances within it.)
FELBO_HD inline float exp_log_var(float v) {
  const detail::ExpParts e = detail::exp_parts(v);
  return mul(e.mantissa, detail::power_of_two(e.exponent));
}

}  // namespace felbo::math
