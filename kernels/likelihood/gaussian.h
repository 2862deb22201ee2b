// Gaussian: log p(x) = -1/2 (log 2 pi + log_var + (x - m)^2 exp(-log_var)),
//   d log p / dm       = (x - m) exp(-log_var)
//   d log p / dlog_var = 1/2 ((x - m)^2 exp(-log_var) - 1), zero where log_var is clamped.
// One struct for each place that the variance may come from. What is the same for all rows (log 2 pi,
// log-variances that no element changes) is left out of log_p here and added once a row.
#pragma once

#include <cstdint>

#include "kernels/common/log_var_clamp.h"
#include "kernels/common/math.h"
#include "kernels/likelihood/family.h"

namespace felbo {

/// -(x - m)^2 / (2 sigma^2) and its derivative by m, within 4 eps each for a precision within 2 ulp. The
/// square is never formed by itself: it would overflow where the product does not.
struct ScaledSquare {
  float value;
  float grad_mean;
};
FELBO_HD inline ScaledSquare scaled_square(float x, float mean, float precision) {
  const float difference = math::add(x, -mean);
  const float grad_mean = math::mul(difference, precision);
  return {math::mul(math::mul(-0.5f, grad_mean), difference), grad_mean};
}

inline constexpr double kLogTwoPi = 1.8378770664093454835606594728112;

/// What each row of log p has besides its squares: -1/2 (X log 2 pi + the log-variances that all rows share).
FELBO_HD inline double gaussian_constant(std::int64_t dimensions, double sum_log_var) {
  return -0.5 * (static_cast<double>(dimensions) * kLogTwoPi + sum_log_var);
}

/// Of log-variances that `count` elements share, given the sum of their scaled squares.
FELBO_HD inline double gaussian_own_gradient(double sum, double count) { return -sum - 0.5 * count; }

/// One variance for everything: given (kNone) or learned (kOne).
template <OwnParameters Own>
struct GaussianOneVariance {
  static constexpr int kOutputs = 1;
  static constexpr OwnParameters kOwn = Own;
  static constexpr bool kClamps = false;
  static constexpr bool kExcess = false;
  static constexpr ElementOperations kOperations{.value = 5, .gradient = 1, .own = 1};
  float precision;

  FELBO_HD ElementTerms<1> operator()(float x, const float (&output)[1], std::int64_t) const {
    const ScaledSquare square = scaled_square(x, output[0], precision);
    return {square.value, {square.grad_mean}, square.value, false, 0.0f};
  }
  FELBO_HD static float mean(float output) { return output; }
  FELBO_HD double own_gradient(double sum, double count) const { return gaussian_own_gradient(sum, count); }
};

/// A learned variance a dimension.
struct GaussianVariancePerDimension {
  static constexpr int kOutputs = 1;
  static constexpr OwnParameters kOwn = OwnParameters::kPerDimension;
  static constexpr bool kClamps = false;
  static constexpr bool kExcess = false;
  static constexpr ElementOperations kOperations{.value = 5, .gradient = 1, .own = 2};
  const float* precision;  // (X)

  FELBO_HD ElementTerms<1> operator()(float x, const float (&output)[1], std::int64_t j) const {
    const ScaledSquare square = scaled_square(x, output[0], precision[j]);
    return {square.value, {square.grad_mean}, square.value, false, 0.0f};
  }
  FELBO_HD static float mean(float output) { return output; }
  FELBO_HD double own_gradient(double sum, double count) const { return gaussian_own_gradient(sum, count); }
};

/// Mean and log-variance of each element from the decoder.
struct GaussianVariancePerElement {
  static constexpr int kOutputs = 2;
  static constexpr OwnParameters kOwn = OwnParameters::kNone;
  static constexpr bool kClamps = true;
  static constexpr bool kExcess = false;
  static constexpr ElementOperations kOperations{.value = 8, .gradient = 3};
  LogVarClamp clamp;

  FELBO_HD ElementTerms<2> operator()(float x, const float (&output)[2], std::int64_t) const {
    const float log_var = clamp_log_var(output[1], clamp);
    const ScaledSquare square = scaled_square(x, output[0], math::exp(-log_var));
    const bool clamped = is_clamped(output[1], clamp);
    const float grad_log_var = math::add(-square.value, -0.5f);
    return {math::fma(-0.5f, log_var, square.value),
            {square.grad_mean, clamped ? 0.0f : grad_log_var},
            0.0f,
            clamped,
            0.0f};
  }
  FELBO_HD static float mean(float output) { return output; }
};

}  // namespace felbo
