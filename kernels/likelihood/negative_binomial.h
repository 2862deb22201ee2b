// Negative binomial with log mean l and dispersion alpha, Var = mu + alpha mu^2, log_var = log alpha, for
// counts x. With mu = e^l and r = 1 / alpha:
//   log p(x) = log Gamma(x + r) - log Gamma(r) - log x! - (x + r) log(1 + alpha mu) + x (l + log alpha)
//   d log p / dl         = (x - mu) / (1 + alpha mu)
//   d log p / dlog alpha = r (psi(r) - psi(x + r) + log(1 + alpha mu)) + (x - mu) / (1 + alpha mu)
// with the digamma function psi. It tends to a Poisson for alpha to 0. Beyond +-kMaxLogMean l is clamped,
// counted, and its gradient zero.
#pragma once

#include "kernels/likelihood/poisson.h"

namespace felbo {

struct NegativeBinomial {
  static constexpr int kLocations = 1;
  static constexpr bool kSpread = true;
  static constexpr bool kClamps = true;
  static constexpr float kLogVarFactor = 0.0f;
  static constexpr Observations kObservations = Observations::kCounts;
  static constexpr ElementOperations kOperations{.value = 42, .gradient = 6, .own = 18};
  static constexpr ElementOperations kOperationsPerElement{.value = 55, .gradient = 30};
  struct Spread {
    float alpha;
    float r;          // 1 / alpha
    float remainder;  // of Stirling's formula for log Gamma(r)
    float digamma;    // r (log r - psi(r)) - 1/2
  };
  struct Element {
    float log_p, grad_log_mean, grad_log_alpha;
    std::int32_t clamped;
  };

  static NegativeBinomial of(const Likelihood&) { return {}; }
  /// For r < 1 from r + 1, by Gamma(r + 1) = r Gamma(r). Within 8 eps each, the sum of terms taken as the
  /// scale.
  FELBO_HD_INLINE static Spread spread_of(float log_alpha) {
    const float alpha = math::exp(log_alpha), r = math::exp(-log_alpha);
    const bool small = alpha > 1.0f;
    const float one_over = 1.0f / math::add(1.0f, alpha);  // r / (r + 1)
    const float w = math::select(small, math::mul(alpha, one_over), alpha);
    const float log_ratio = math::log1p(alpha);  // log((r + 1) / r)
    const float remainder = math::stirling_remainder(w), digamma = math::digamma_remainder(w);
    const float shifted = math::add(math::fma(math::add(r, 0.5f), log_ratio, -1.0f), remainder);
    const float digamma_shifted =
        math::fma(one_over, math::add(0.5f, digamma), math::fma(-r, log_ratio, 0.5f));
    return {alpha, r, math::select(small, shifted, remainder), math::select(small, digamma_shifted, digamma)};
  }
  FELBO_HD double constant() const { return 0.0; }

  /// With u = l - log x and t = alpha x, the large terms leave (Loader 2000, as in poisson.h)
  ///   log p = -D - (log x! - (x log x - x)) - 1/2 log(1 + t) + R(x + r) - R(r),
  ///   D = (x + r) log((mu + r) / (x + r)) - x u,
  /// R: the remainder of Stirling's formula. D = (x + r) (log(1 + y) - share v) with v = +-u and
  /// y = share (e^v - 1), where share <= 1/2 is that of x (u) or of r (-u) in x + r; near v = 0 it is made of
  /// the excess of e^v and the deficit of log(1 + y), so that nothing cancels. x = 0: D = r log(1 + alpha
  /// mu), no more.
  FELBO_HD_INLINE static Element element(float x, float output, const Spread& spread) {
    const LogMean log_mean = LogMean::of(output);
    const float l = log_mean.value;
    const float mu = math::exp(l), alpha_mu = math::mul(spread.alpha, mu);
    const bool none = x < 0.5f;
    const float positive = math::select(none, 1.0f, x), log_x = math::log_normal(positive);
    const float u = math::add(l, -log_x), t = math::mul(spread.alpha, x);
    const float one_over = 1.0f / math::add(1.0f, t);   // r / (x + r)
    const float w = math::mul(spread.alpha, one_over);  // 1 / (x + r)
    const bool near = u > -counts::kNear && u < counts::kNear && !none;

    // (mu - x) / (x + r), and the like with x and r in each other's place.
    const bool minor_x = t < 1.0f;
    const float grown = math::add(u, math::exp_excess(u)), shrunk = math::add(-u, math::exp_excess(-u));
    const float excess =
        math::select(near, math::mul(math::mul(t, one_over), grown), math::mul(math::add(mu, -x), w));
    const float y_minor_r =
        math::mul(one_over, math::select(near, shrunk, math::add(math::mul(positive, math::exp(-l)), -1.0f)));
    const float y = math::select(minor_x, excess, y_minor_r);
    const float v = math::select(none, 0.0f, math::select(minor_x, u, -u));
    const float log_one_plus = math::log1p_signed(y);
    const float total = math::add(x, spread.r), minor = math::select(minor_x, x, spread.r);
    const float loss_near = math::fma(minor, math::exp_excess(v), -math::mul(total, math::log1p_deficit(y)));
    const float loss_far = math::fma(total, log_one_plus, -math::mul(minor, v));
    const float remainder = math::add(math::stirling_remainder(w), -spread.remainder);
    const float rest =
        math::add(counts::log_factorial_rest(positive, log_x), math::fma(0.5f, math::log1p(t), -remainder));
    const float loss = math::add(math::select(near, loss_near, loss_far), math::select(none, 0.0f, rest));

    const float slope = 1.0f / math::add(1.0f, alpha_mu);
    // log(1 + e) - e / (1 + e) of e = excess, and r times it.
    const float share = math::mul(math::mul(excess, math::add(1.0f, t)), slope);  // e / (1 + e)
    const float log_ratio = math::select(minor_x, log_one_plus, math::add(u, log_one_plus));
    const bool small = excess > -0.29f && excess < 0.41f;
    const float bend = math::select(small, math::fma(excess, share, -math::log1p_deficit(excess)),
                                    math::add(log_ratio, -share));
    const float digamma =
        math::add(math::fma(-0.5f, math::mul(t, one_over), math::mul(one_over, math::digamma_remainder(w))),
                  -spread.digamma);
    return {-loss, log_mean.gradient(math::mul(math::add(x, -mu), slope)),
            math::fma(spread.r, bend, math::select(none, 0.0f, digamma)), log_mean.clamped};
  }

  FELBO_HD_INLINE SpreadTerms<1> operator()(float x, const float (&location)[1], const Spread& spread) const {
    const Element e = element(x, location[0], spread);
    return {e.log_p, {e.grad_log_mean}, e.grad_log_alpha, e.clamped};
  }
  FELBO_HD static float mean(const float (&location)[1]) { return Poisson::mean(location); }
};

}  // namespace felbo
