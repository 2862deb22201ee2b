// Laplace with mean m and scale b, log_var = log b^2: log p(x) = -log 2 - log_var / 2 - |x - m| / b,
//   d log p / dm       = sign(x - m) / b, 0 at x = m
//   d log p / dlog_var = 1/2 (|x - m| / b - 1).
#pragma once

#include "kernels/likelihood/spread.h"

namespace felbo {

struct Laplace {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = true;
  static constexpr bool kClamps = false;
  static constexpr float kLogVarFactor = -0.5f;
  static constexpr Observations kObservations = Observations::kReal;
  static constexpr ElementOperations kOperations{.value = 3, .gradient = 1, .own = 3};
  static constexpr ElementOperations kOperationsPerElement{.value = 7, .gradient = 4};
  struct Spread {
    float inverse;  // 1 / b
  };

  static Laplace of(const Likelihood&) { return {}; }
  FELBO_HD_INLINE static Spread spread_of(float log_var) { return {math::exp(-0.5f * log_var)}; }
  FELBO_HD double constant() const { return -0.69314718055994530942; }

  /// Within 4 eps each.
  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], const Spread& spread) const {
    const float z = math::mul(math::add(x, -location[0]), spread.inverse);
    const float minus_size = math::minus_magnitude(z);
    // Of z = 0 and NaN itself.
    const float grad = z > 0.0f ? spread.inverse : (z < 0.0f ? -spread.inverse : z);
    return {minus_size, {grad}, math::mul(-0.5f, minus_size), 0};
  }
  FELBO_HD static float mean(const float (&location)[1]) { return location[0]; }
};

}  // namespace felbo
