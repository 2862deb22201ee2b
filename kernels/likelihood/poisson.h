// Poisson with log rate l, for counts x: log p(x) = x l - e^l - log x!,  d log p / dl = x - e^l.
// Beyond +-kMaxLogMean l is clamped, counted, and its gradient zero.
#pragma once

#include "kernels/likelihood/spread.h"

namespace felbo {
namespace counts {

inline constexpr float kHalfLogTwoPi = 0.918938533f;
/// |u| up to which e^u - 1 - u is taken from its polynomial.
inline constexpr float kNear = 0.34f;

/// log x! less its largest terms, log x! - (x log x - x), for x >= 1, from log x: 1/2 log(2 pi x) and the
/// remainder of Stirling's formula.
FELBO_HD inline float log_factorial_rest(float x, float log_x) {
  return math::add(math::fma(0.5f, log_x, kHalfLogTwoPi), math::stirling_remainder(1.0f / x));
}

/// log p(x), and x less the mean, of a Poisson of log mean l. Around its mode log p is a small difference of
/// large terms, so it is put together from what is left of them (Loader, "Fast and accurate computation of
/// binomial probabilities", 2000): with u = l - log x,
///   log p = -x (e^u - 1 - u) - (log x! - (x log x - x)).
/// Within 6 eps of |log p| + |x - e^l| (|l| + log x) + 1 + log x, where x >= 1.
struct PoissonTerms {
  float log_p, difference;
};
FELBO_HD_INLINE PoissonTerms poisson_terms(float x, float l) {
  const bool none = x < 0.5f;
  const float rate = math::exp(l), positive = math::select(none, 1.0f, x);
  const float log_x = math::log_normal(positive);
  const float u = math::add(l, -log_x);
  const bool near = u > -kNear && u < kNear;
  const float difference = math::add(x, -rate);
  const float far_loss = math::fma(-x, u, -difference);
  const float loss = math::select(near, math::mul(x, math::exp_excess(u)), far_loss);
  const float log_p = -math::add(loss, log_factorial_rest(positive, log_x));
  return {math::select(none, -rate, log_p), difference};
}

}  // namespace counts

struct Poisson {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = false;
  static constexpr bool kClamps = true;
  static constexpr float kLogVarFactor = 0.0f;
  static constexpr Observations kObservations = Observations::kCounts;
  static constexpr ElementOperations kOperations{.value = 15, .gradient = 1};
  using Spread = NoSpread;

  static Poisson of(const Likelihood&) { return {}; }
  FELBO_HD double constant() const { return 0.0; }

  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], NoSpread) const {
    const LogMean log_mean = LogMean::of(location[0]);
    const counts::PoissonTerms terms = counts::poisson_terms(x, log_mean.value);
    return {terms.log_p, {log_mean.gradient(terms.difference)}, 0.0f, log_mean.clamped};
  }
  FELBO_HD static float mean(const float (&location)[1]) { return math::exp(LogMean::of(location[0]).value); }
};

}  // namespace felbo
