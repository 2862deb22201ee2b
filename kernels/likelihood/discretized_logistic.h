// Logistic with location m and scale s, log_var = log s^2, that fell into one of 256 bins of grey: x = level
// / 255, bins 1/255 wide around it, the first and the last open (Salimans, Karpathy, Chen and Kingma,
// "PixelCNN++", ICLR 2017, equation 2). With the logistic function L, a = (x + 1/510 - m) / s and b = (x -
// 1/510 - m) / s:
//   log p = log(L(a) - L(b)), without L(b) for level 0, with L(a) = 1 for level 255;
// since L(a) - L(b) = (1 - e^-(a - b)) L(a) L(-b), nothing cancels in
//   log p = log(1 - e^-d) - log(1 + e^-a) - log(1 + e^b),    d = a - b = 1 / (255 s)
//   d log p / dm       = (L(b) - L(-a)) / s
//   d log p / dlog_var = -1/2 (d / (e^d - 1) + a L(-a) - b L(b)).
// In a first or last bin the terms of its open side, and of d, are absent.
#pragma once

#include "kernels/likelihood/spread.h"

namespace felbo {

struct DiscretizedLogistic {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = true;
  static constexpr bool kClamps = false;
  static constexpr float kLogVarFactor = 0.0f;
  static constexpr Observations kObservations = Observations::kGrey;
  static constexpr ElementOperations kOperations{.value = 16, .gradient = 6, .own = 7};
  static constexpr ElementOperations kOperationsPerElement{.value = 25, .gradient = 16};
  struct Spread {
    float levels;     // 1 / (255 s) = d
    float log_width;  // log(1 - e^-d)
    float slope;      // -1/2 d / (e^d - 1): its derivative by log_var
  };

  static DiscretizedLogistic of(const Likelihood&) { return {}; }
  /// Within 8 eps each. 1 - e^-d is close to 1 for wide d: then its distance from 1 has the digits.
  FELBO_HD_INLINE static Spread spread_of(float log_var) {
    const float d = math::mul(math::exp(-0.5f * log_var), 1.0f / 255.0f);
    const float mass = math::one_minus_exp(d), rest = math::exp_nonpositive(-d);
    const float log_width = math::select(d > 1.0f, math::log1p_signed(-math::select(d > 1.0f, rest, 0.0f)),
                                         math::log_normal(mass));
    return {d, log_width, math::mul(-0.5f, math::mul(d, rest) / mass)};
  }
  FELBO_HD double constant() const { return 0.0; }

  /// x counts as the level nearest to 255 x, and the distance of either end of its bin from m is taken in
  /// levels, in one rounding: an end that lies next to m keeps its digits.
  /// log p within 8 eps of the sum of its terms' magnitudes, and likewise its derivatives.
  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], const Spread& spread) const {
    const float scaled = math::mul(255.0f, x);
    const float level = math::add(math::add(scaled, 12582912.0f), -12582912.0f);  // 1.5 * 2^23: to an integer
    const bool above = !(level <= 0.0f), below = !(level >= 255.0f);  // bins with a lower and an upper end
    const float a = math::mul(math::fma(-255.0f, location[0], math::add(level, 0.5f)), spread.levels);
    const float b = math::mul(math::fma(-255.0f, location[0], math::add(level, -0.5f)), spread.levels);
    const math::SoftplusSigmoid upper = math::softplus_sigmoid(-a), lower = math::softplus_sigmoid(b);
    const float up = math::select(below, upper.softplus, 0.0f),
                up_share = math::select(below, upper.sigmoid, 0.0f);
    const float low = math::select(above, lower.softplus, 0.0f),
                low_share = math::select(above, lower.sigmoid, 0.0f);
    const float log_width = math::select(above && below, spread.log_width, 0.0f);
    const float slope = math::select(above && below, spread.slope, 0.0f);
    const float moment = math::fma(b, low_share, -math::mul(a, up_share));
    return {math::add(log_width, -math::add(up, low)),
            {math::mul(math::mul(255.0f, spread.levels), math::add(low_share, -up_share))},
            math::fma(0.5f, moment, slope),
            0};
  }
  /// Not the mean of 256 bins but what it is close to: the location, held to [0, 1].
  FELBO_HD static float mean(const float (&location)[1]) {
    return math::at_least(math::at_most(location[0], 1.0f), 0.0f);
  }
};

}  // namespace felbo
