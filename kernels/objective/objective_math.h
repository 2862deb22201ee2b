// Importance weights and their sums, shared by the CPU loops and the CUDA kernels.
#pragma once

#include <cmath>

#include "kernels/common/math.h"

namespace felbo::objective_math {

/// log p(x|z) + log p(z) - log q(z|x), exact but for one rounding of double.
FELBO_HD inline double log_weight(float log_px_given_z, float log_pz, float log_qz_given_x) {
  return (static_cast<double>(log_px_given_z) + static_cast<double>(log_pz)) -
         static_cast<double>(log_qz_given_x);
}

/// A sum of weights, as sum * e^max with max the largest log-weight: no size of log-weight overflows. NaN
/// weights live in `sum`, since no comparison selects them for `max`.
struct WeightSum {
  double max;
  double sum;
};

/// e^(log_w - max) for log_w <= max. Relative error below (2 + |d| / 2) 2^-23 with d = log_w - max, which
/// rounds to float; a weight below e^-87 counts as 0. The largest weight is 1 even if it is infinite, so that
/// -infinity everywhere stays -infinity and +infinity stays +infinity. A NaN is kept.
FELBO_HD inline float relative_weight(double log_w, double max) {
  return math::exp(log_w == max ? 0.0f : static_cast<float>(log_w - max));
}

/// e^(from - to), and 1 if both are the same infinity.
FELBO_HD inline double rescale(double from, double to) { return from == to ? 1.0 : ::exp(from - to); }

/// log of the mean of `count` weights.
FELBO_HD inline double log_mean(WeightSum weights, double count) {
  return weights.max + ::log(weights.sum / count);
}

/// The share of a weight in the sum of all; all weights share evenly if they are 0.
FELBO_HD inline float normalised_weight(double log_w, WeightSum all) {
  return static_cast<float>(static_cast<double>(relative_weight(log_w, all.max)) / all.sum);
}

FELBO_HD inline WeightSum join(WeightSum a, WeightSum b) {
  const double max = a.max > b.max ? a.max : b.max;
  return {max, a.sum * rescale(a.max, max) + b.sum * rescale(b.max, max)};
}

}  // namespace felbo::objective_math
