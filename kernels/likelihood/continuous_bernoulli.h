// Continuous Bernoulli on logits l (Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a
// pervasive error in variational autoencoders", NeurIPS 2019), a density of x in [0, 1]:
//   log p(x) = x l - log((e^l - 1) / l),     0 at l = 0 (the uniform density)
//   d log p / dl = x - mean(l),              mean(l) = 1 / (1 - e^-l) - 1 / l, 1/2 at l = 0.
#pragma once

#include "kernels/likelihood/spread.h"

namespace felbo {

struct ContinuousBernoulli {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = false;
  static constexpr bool kClamps = false;
  static constexpr float kLogVarFactor = 0.0f;
  static constexpr Observations kObservations = Observations::kUnitInterval;
  static constexpr ElementOperations kOperations{.value = 18, .gradient = 14};
  using Spread = NoSpread;

  static ContinuousBernoulli of(const Likelihood&) { return {}; }
  FELBO_HD double constant() const { return 0.0; }

  /// (mean(l) - 1/2) / l for |l| <= 1, within 1 eps, from t = l^2: the power series.
  FELBO_HD static float mean_tail(float t) {
    float p = 2.08767569878e-8f;
    p = math::fma(p, t, -8.26719576720e-7f);
    p = math::fma(p, t, 3.30687830688e-5f);
    p = math::fma(p, t, -1.38888888889e-3f);
    return math::fma(p, t, 8.33333333333e-2f);
  }
  /// log(sinh(l/2) / (l/2)) for |l| <= 1, within 1 eps, from t = l^2.
  FELBO_HD static float log_sinh_ratio(float t) {
    float p = 2.08767569878e-9f;
    p = math::fma(p, t, -1.03339947090e-7f);
    p = math::fma(p, t, 5.51146384480e-6f);
    p = math::fma(p, t, -3.47222222222e-4f);
    return math::mul(math::fma(p, t, 4.16666666667e-2f), t);
  }

  /// Near 0 about 1/2: log p = (x - 1/2) l - log(sinh(l/2) / (l/2)). Else with t = [l > 0] and a = |l|, so
  /// that nothing cancels for x in {0, 1}:
  ///   log p = (x - t) l + log(a / (1 - e^-a)),   gradient = (x - t) +- (1 / a - e^-a / (1 - e^-a)).
  /// Within 6 eps of the sum of these terms' magnitudes. Finite for every finite l.
  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], NoSpread) const {
    const float l = location[0];
    const bool near = l > -1.0f && l<1.0f, positive = l> 0.0f;
    const float square = math::mul(l, l);
    const float a = math::select(near, 1.0f, -math::minus_magnitude(l));
    const float y = math::exp_nonpositive(-a), rest = math::add(1.0f, -y);
    const float missing = math::add(x, math::select(near, -0.5f, math::select(positive, -1.0f, -0.0f)));
    const float outer = math::log_normal(a / rest);
    const float log_ratio = math::select(near, -log_sinh_ratio(square), outer);
    const float spare = math::add(1.0f / a, -(y / rest));
    const float shift =
        math::select(near, -math::mul(l, mean_tail(square)), math::select(positive, spare, -spare));
    return {math::fma(missing, l, log_ratio), {math::add(missing, shift)}, 0.0f, 0};
  }
  FELBO_HD static float mean(const float (&location)[1]) {
    const float zero[1] = {location[0]};
    return -ContinuousBernoulli{}(0.0f, zero, {}).grad[0];
  }
};

}  // namespace felbo
