// The clamp of log-variances, one definition for values, gradients and counts.
#pragma once

#include "kernels/common/math.h"

namespace felbo {

/// Bounds of every log-variance that a network gives out or a likelihood learns; ops refuse beyond +-80.
struct LogVarClamp {
  float lo = -20.0f;
  float hi = 20.0f;
};

/// A NaN is kept, so that it reaches the loss.
FELBO_HD inline float clamp_log_var(float log_var, const LogVarClamp& bounds) {
  return math::at_least(math::at_most(log_var, bounds.hi), bounds.lo);
}
/// Where the gradient is zero and the count rises. False for a NaN, whose gradient has to stay a NaN.
FELBO_HD inline bool is_clamped(float log_var, const LogVarClamp& bounds) {
  return log_var < bounds.lo || log_var > bounds.hi;
}

}  // namespace felbo
