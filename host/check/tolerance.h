// How far a right result may be from the reference in double: what each op rounds, and why no more. In units
// of kEps = 2^-23 one rounding costs 1/2.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "host/check/parity.h"
#include "kernels/adam/adam.h"
#include "kernels/adam/adam_reference.h"
#include "kernels/common/noise_stream.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/unit.h"
#include "kernels/noise/noise_reference.h"

namespace felbo::checks {

using Values = std::vector<double>;

inline constexpr double kDoubleEps = std::numeric_limits<double>::epsilon();
/// Results below the smallest normal number may be flushed to zero.
inline constexpr double kTiny = 3e-38;

/// k * kEps * scale + smallest, element by element.
inline Values scaled(const Values& scale, double k, double smallest = 0.0) {
  Values out;
  for (const double s : scale) out.push_back(k * kEps * s + smallest);
  return out;
}

// --- Noise

/// Of a normal whose radius sqrt(-2 ln u) is `radius`, at most 6.8: logarithm, cosine and sine are within a
/// few ulp of values up to 1; where u is close to 1 its float rounds by 2^-25, which moves the radius by
/// 2^-25 / radius, at most sqrt(2 * 2^-25) = 2.4e-4 as it goes to 0 (u itself rounds to 1 there).
inline double normal_tolerance(double radius) {
  return 8 * kEps * std::max(1.0, radius) + std::min(2.5e-4, kEps / std::max(radius, 1e-30));
}
/// A normal of the reference, and how far the one that ops make may be off.
struct ReferenceNormal {
  double value, tolerance;
};
inline ReferenceNormal reference_normal(const NoiseStream& s, std::uint32_t datum, std::uint32_t sample,
                                        std::uint32_t element) {
  const auto purpose = static_cast<std::uint32_t>(s.purpose);
  const std::uint32_t step = s.step.get(), even = element - element % 2;
  const double u = (reference::word(s.seed, step, purpose, datum, sample, even) + 0.5) / 4294967296.0;
  return {reference::normal(s.seed, step, purpose, datum, sample, element),
          normal_tolerance(std::sqrt(-2.0 * std::log(u)))};
}

// --- Dense layers

/// Of a sum of n products, in units of kEps times the sum of magnitudes. In any order it is at most n + 1
/// roundings; libraries add in blocks, and blocks of sixteen stay below this.
inline double product_k(std::int64_t n) { return 8 + static_cast<double>(n) / 16.0; }
/// Of a value after its activation: slopes are at most 1.13, and its own error is a few ulp.
inline double activated_tolerance(double before, double value) {
  return 1.13 * before + 4 * kEps * std::max(1.0, std::abs(value));
}
/// Of a derivative taken from the rounded value (y (1 - y), 1 - y^2, 1 - e^-y), in absolute terms.
inline constexpr double kSlopeError = 8 * kEps;

// --- Reparameterised sample

/// Of a row's sum of n terms, each within a few ulp: 16 lanes of up to n / 16 additions and their joining.
inline double row_k(std::int64_t n) { return 8 + static_cast<double>(n) / 16.0; }
/// Of z = mu + sigma eps: an exp within 2 ulp whose argument is halved exactly, one fused addition, and eps's
/// own error.
inline double sample_tolerance(double mu, double sigma, double eps, double eps_error) {
  return 4 * kEps * (std::abs(mu) + sigma * (std::abs(eps) + 1)) + sigma * eps_error;
}
/// Of gradients that add S products of values within a few ulp.
inline double samples_k(int samples) { return samples + 6; }

// --- Likelihoods

/// Of log p of one element: exp and log1p within 2 and 3 ulp and up to 5 roundings beside them; more of both
/// in the families with two or three functions an element, and a negative binomial's have six, two of which
/// (the remainders of log Gamma and psi) are within 2 and 4. A softmax is a sum of up to K exponentials
/// within 2, of which up to 16 are added in float before they go on in double (K < 40: all of them), and a
/// division; a multinomial's element is a Poisson's with that beside it, and CUDA's running sums are rescaled
/// by an exponential each time that a larger logit comes: a few times a row.
inline double element_k(const Likelihood& which) {
  switch (which.family) {
    case LikelihoodFamily::kStudentT:
    case LikelihoodFamily::kDiscretizedLogistic:
    case LikelihoodFamily::kContinuousBernoulli:
    case LikelihoodFamily::kPoisson:
      return 10;
    case LikelihoodFamily::kNegativeBinomial:
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
    case LikelihoodFamily::kMultinomial:
    case LikelihoodFamily::kCategorical:
      return 24;
    default:
      return 6;
  }
}
/// Of the gradient of a Bernoulli's or Gaussian's output: exp within 2 ulp and up to 6 roundings.
inline constexpr double kOutputGradientK = 6;
/// Of the gradient of one output of any family: that, or as log p.
inline double output_gradient_k(const Likelihood& which) { return element_k(which); }
/// Of E[x|z]: an exp and a logistic function within 2 and 4 ulp and a rounding or two, or the location as it
/// is.
inline double mean_k(const Likelihood& which) {
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
    case LikelihoodFamily::kContinuousBernoulli:
      return 4;
    case LikelihoodFamily::kPoisson:
    case LikelihoodFamily::kNegativeBinomial:
      return 2;
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return 7;
    case LikelihoodFamily::kCategorical:
    case LikelihoodFamily::kMultinomial:
      return 24;  // a softmax of logits within a few units of one another
    default:
      return 0;
  }
}
/// Of log p of n elements: each within element_k;
/// each of 16 lanes adds up to 64 of them before they go on in double, 4 additions join the lanes, and the
/// result is rounded once. A lane of a Bernoulli joins factors, of two roundings each, of which at most
/// e / (1 + e) / log(1 + e) <= 0.72 reaches the logarithm where they add up instead of fading (e >= 1): 3/4.
inline double log_px_k(const Likelihood& which, std::int64_t n) {
  const double a_step = which.family == LikelihoodFamily::kBernoulli ? 0.75 : 0.5;
  return element_k(which) + a_step * static_cast<double>(std::min<std::int64_t>(n, 1024)) / 16 + 0.5 * 4 + 1;
}
/// Of the gradient of a log-variance that elements share: the same sum, or 32 rows in float where sums of
/// dimensions are taken.
inline double own_k(const Likelihood& which, std::int64_t n) {
  const bool of_rows = which.variance == VarianceKind::kPerDimension || is_unit(which.family);
  return of_rows ? element_k(which) + 0.5 * 32 + 1 : log_px_k(which, n) + 1;
}

/// Of the KL of n latent dimensions in `elbo_loss`: an element within 4 (exp within 2 ulp of its largest
/// term, and 4 roundings), summed as log p is.
inline double kl_k(std::int64_t n) {
  return 4 + 0.5 * (static_cast<double>(std::min<std::int64_t>(n, 1024)) / 16 + 4) + 1;
}
/// Of its gradients there: factor and product round; exp, the factor and 3 more.
inline constexpr double kKlMuGradientK = 1, kKlLogVarGradientK = 4;

// --- Objective

/// Of a log-mean-exp over S samples. A weight w = e^-d is off by 2 ulp of the exponential, and by its
/// argument's rounding to float, d kEps / 2. Over the sum that is 2 + (mean of d under the weights) / 2, and
/// that mean is at most the entropy of the normalised weights, log S. The double arithmetic around it costs
/// roundings of the value, and one for each of the calls that the samples are spread over.
inline double log_mean_exp_tolerance(int samples, int calls, double value) {
  return kEps * (2.0 + 0.5 * std::log(static_cast<double>(samples))) +
         kDoubleEps * (8 * (std::abs(value) + 200.0) + calls);
}

// --- Adam

/// Adam's outcome for a gradient known within some error, and how far each part may be off.
struct AdamBound {
  reference::AdamState<double> want;
  double theta = 0, m = 0, v = 0;
};
/// For a gradient `g` within `error` of the one that the op sees. The op's own share:
/// - a moment: 1 - beta, one or two products and a fused addition round: 2 of the summed magnitudes. Moments
///   below FLT_MIN become 0;
/// - the update rate m / (v_scale sqrt(v) + epsilon): two folded factors, root, fused addition and division
///   round (2.5), and half of v's relative error counts (1): 4 of its magnitude. An error of m goes through;
/// - the parameter: the last addition, 1 of the result.
inline AdamBound adam_bound(const reference::AdamState<double>& s, double g, double error,
                            const AdamOptions& o, std::int64_t t) {
  const auto at = [&](double gradient) {
    return reference::adam<double>(s, gradient, o.lr, o.beta1, o.beta2, o.epsilon, t);
  };
  AdamBound b{.want = at(g)};
  // m / sqrt(v) is largest in between where its derivative vanishes: at c d / (a e) of (a + c g) / sqrt(d + e
  // g^2).
  const double peak = (1 - o.beta1) * o.beta2 * s.v / (o.beta1 * s.m * (1 - o.beta2));
  for (const double moved : {g - error, g + error, std::clamp(peak, g - error, g + error)}) {
    if (std::isnan(moved)) continue;  // no moments yet
    const auto there = at(moved);
    b.theta = std::max(b.theta, std::abs(there.theta - b.want.theta));
    b.m = std::max(b.m, std::abs(there.m - b.want.m));
    b.v = std::max(b.v, std::abs(there.v - b.want.v));
  }
  const double own_m = 2 * kEps * (std::abs(o.beta1 * s.m) + std::abs((1 - o.beta1) * g)) + FLT_MIN;
  const double rate = o.lr / (1 - std::pow(double(o.beta1), double(t)));
  const double root = std::sqrt(b.want.v / (1 - std::pow(double(o.beta2), double(t))));
  b.theta += kEps * std::abs(b.want.theta) + 4 * kEps * std::abs(b.want.theta - s.theta) +
             std::abs(rate) / (root + o.epsilon) * own_m;
  b.m += own_m;
  b.v += 2 * kEps * (o.beta2 * s.v + (1 - o.beta2) * g * g) + FLT_MIN;
  return b;
}

}  // namespace felbo::checks
