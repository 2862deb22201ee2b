// A negative binomial whose zeros have a second source (as in Lopez et al., "Deep generative modeling for
// single-cell transcriptomics", Nature Methods 2018): outputs log mean l and logit a of the probability of an
// extra zero. With the logistic function L and log NB of negative_binomial.h:
//   log p(0) = log(L(a) + L(-a) NB(0)),          log p(x) = log L(-a) + log NB(x) for x > 0
//   d log p(0) / da = L(a + d) - L(a),  d = -log NB(0);      d log p(x) / da = -L(a)
// and the gradients of log NB, times L(-(a + d)) for x = 0: the probability that the zero is the negative
// binomial's.
#pragma once

#include "kernels/likelihood/negative_binomial.h"

namespace felbo {

struct ZeroInflatedNegativeBinomial {
  static constexpr int kLocations = 2;
  static constexpr bool kSpread = true;
  static constexpr bool kClamps = true;
  static constexpr float kLogVarFactor = 0.0f;
  static constexpr Observations kObservations = Observations::kCounts;
  static constexpr ElementOperations kOperations{.value = 54, .gradient = 11, .own = 19};
  static constexpr ElementOperations kOperationsPerElement{.value = 67, .gradient = 36};
  using Spread = NegativeBinomial::Spread;

  static ZeroInflatedNegativeBinomial of(const Likelihood&) { return {}; }
  FELBO_HD_INLINE static Spread spread_of(float log_alpha) { return NegativeBinomial::spread_of(log_alpha); }
  FELBO_HD double constant() const { return 0.0; }

  /// log(1 + e^a), L(a) and L(-a), each with all its digits.
  struct Logistic {
    float rest;  // log(1 + e^-|a|)
    float up, down;

    FELBO_HD_INLINE static Logistic of(float a) {
      const math::SoftplusSigmoid small = math::softplus_sigmoid(math::minus_magnitude(a));
      const float large = math::add(1.0f, -small.sigmoid);
      const bool positive = a > 0.0f;
      return {small.softplus, math::select(positive, large, small.sigmoid),
              math::select(positive, small.sigmoid, large)};
    }
  };

  /// log p(0) = log(1 - L(-a) (1 - e^-d)), or where that is below log 1/2 the logarithm of (e^a + e^-d) / (1
  /// + e^a) from its larger terms; its derivative by a is L(a + d) L(-a) (1 - e^-d).
  FELBO_HD_INLINE SpreadTerms<2> operator()(float x, const float (&location)[2], const Spread& spread) const {
    const NegativeBinomial::Element nb = NegativeBinomial::element(x, location[0], spread);
    const float a = location[1];
    const bool none = x < 0.5f;
    const float d = math::select(none, -nb.log_p, 0.0f);
    const Logistic extra = Logistic::of(a), zero = Logistic::of(math::add(a, d));
    const float log_own = -math::add(math::at_least(a, 0.0f), extra.rest);  // log L(-a)
    const float lost = math::mul(extra.down, math::one_minus_exp(d));
    const float small = math::log1p_signed(-math::at_most(lost, 0.5f));
    const float large = math::add(math::add(math::at_least(a, -d), zero.rest), log_own);
    const float log_zero = math::select(lost <= 0.5f, small, large);
    const float own = math::select(none, zero.down, 1.0f);
    return {math::select(none, log_zero, math::add(nb.log_p, log_own)),
            {math::mul(own, nb.grad_log_mean), math::select(none, math::mul(zero.up, lost), -extra.up)},
            math::mul(own, nb.grad_log_alpha),
            nb.clamped};
  }
  FELBO_HD static float mean(const float (&location)[2]) {
    const float log_mean[1] = {location[0]};
    return math::mul(math::sigmoid(-location[1]), Poisson::mean(log_mean));
  }
};

}  // namespace felbo
