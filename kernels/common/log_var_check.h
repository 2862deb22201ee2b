// The bounds that log-variances may be clamped to.
#pragma once

#include <string_view>

#include "kernels/common/check.h"
#include "kernels/common/log_var_clamp.h"

namespace felbo {

/// The widest: e^80, e^-80 and their products with numbers of ordinary size stay inside the range of float.
inline constexpr float kMaxLogVar = 80.0f;

/// Throws std::invalid_argument unless -kMaxLogVar <= lo <= hi <= kMaxLogVar.
inline void check_log_var_clamp(std::string_view op, const LogVarClamp& bounds) {
  FELBO_CHECK(-kMaxLogVar <= bounds.lo && bounds.lo <= bounds.hi && bounds.hi <= kMaxLogVar,
              "{0}: the bounds of log_var must lie in [-{1}, {1}] in rising order, got [{2}, {3}]", op,
              kMaxLogVar, bounds.lo, bounds.hi);
}

}  // namespace felbo
