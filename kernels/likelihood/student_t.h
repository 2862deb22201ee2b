// Student's t with nu degrees of freedom, location m and scale sigma, log_var = log sigma^2. With
// w = (x - m) / (sigma sqrt(nu)):
//   log p(x) = log Gamma((nu + 1) / 2) - log Gamma(nu / 2) - 1/2 log(nu pi) - log_var / 2
//              - (nu + 1) / 2 log(1 + w^2)
//   d log p / dm       = (nu + 1) / (sigma sqrt(nu)) w / (1 + w^2)
//   d log p / dlog_var = 1/2 ((nu + 1) w^2 / (1 + w^2) - 1).
// The variance is sigma^2 nu / (nu - 2) where nu > 2. For nu <= 1 there is no mean: pictures show the
// location.
#pragma once

#include <cmath>

#include "kernels/likelihood/spread.h"

namespace felbo {

struct StudentT {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = true;
  static constexpr bool kClamps = false;
  static constexpr float kLogVarFactor = -0.5f;
  static constexpr Observations kObservations = Observations::kReal;
  static constexpr ElementOperations kOperations{.value = 8, .gradient = 5, .own = 4};
  static constexpr ElementOperations kOperationsPerElement{.value = 12, .gradient = 9};
  struct Spread {
    float inverse;  // 1 / sigma
  };
  float inverse_root_nu;
  float half_nu_plus_one;
  float nu_plus_one_by_root;  // (nu + 1) / sqrt(nu)
  double log_normaliser;

  static StudentT of(const Likelihood& which) {
    const double nu = which.degrees_of_freedom, root = std::sqrt(nu);
    constexpr double kLogPi = 1.1447298858494001741;
    return {static_cast<float>(1 / root), static_cast<float>((nu + 1) / 2),
            static_cast<float>((nu + 1) / root),
            std::lgamma((nu + 1) / 2) - std::lgamma(nu / 2) - (std::log(nu) + kLogPi) / 2};
  }
  FELBO_HD_INLINE static Spread spread_of(float log_var) { return {math::exp(-0.5f * log_var)}; }
  FELBO_HD double constant() const { return log_normaliser; }

  /// Within 10 eps each. Where w^2 could overflow, log(1 + w^2) = 2 log |w| and w / (1 + w^2) = 1 / w.
  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], const Spread& spread) const {
    const float w = math::mul(math::mul(math::add(x, -location[0]), spread.inverse), inverse_root_nu);
    const float size = -math::minus_magnitude(w), square = math::mul(w, w);
    const bool far = size > 1e9f;
    const float log_one_plus =
        math::mul(math::log1p(math::select(far, size, square)), math::select(far, 2.0f, 1.0f));
    const float ratio =
        math::select(far, 1.0f, w) / math::select(far, w, math::add(1.0f, square));  // w / (1 + w^2)
    return {-math::mul(half_nu_plus_one, log_one_plus),
            {math::mul(math::mul(nu_plus_one_by_root, spread.inverse), ratio)},
            math::mul(half_nu_plus_one, math::mul(w, ratio)),
            0};
  }
  FELBO_HD static float mean(const float (&location)[1]) { return location[0]; }
};

}  // namespace felbo
