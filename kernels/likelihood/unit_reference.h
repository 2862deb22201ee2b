// One element of each family of unit.h by the textbook formula, in the scalar T, for likelihood_reference.h.
// A scale is the sum of the magnitudes of the terms that a careful program can make the result of.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>

#include "kernels/likelihood/likelihood.h"

namespace felbo::reference {

/// Gradients by each location, then by log_var.
template <class T>
struct UnitElement {
  T log_p = 0, scale = 0;
  T grad[3] = {}, grad_scale[3] = {};
  std::int32_t clamped = 0;
};

/// log of the logistic function.
template <class T>
T log_logistic(T a) {
  return a < 0 ? a - std::log1p(std::exp(a)) : -std::log1p(std::exp(-a));
}

template <class T>
UnitElement<T> laplace(T x, T m, T log_var) {
  const T b = std::exp(log_var / 2), distance = std::abs(x - m) / b;
  UnitElement<T> e;
  e.log_p = -std::log(2 * b) - distance;
  e.scale = std::log(T(2)) + std::abs(log_var) / 2 + distance;
  e.grad[0] = (x > m ? 1 : (x < m ? -1 : 0)) / b;
  e.grad_scale[0] = std::abs(e.grad[0]);
  e.grad[1] = (distance - 1) / 2;
  e.grad_scale[1] = (distance + 1) / 2;
  return e;
}

/// (1 + z^2 / nu)^(-(nu + 1) / 2) Gamma((nu + 1) / 2) / (Gamma(nu / 2) sqrt(nu pi) sigma), its logarithm
/// taken.
template <class T>
UnitElement<T> student_t(T x, T m, T log_var, T nu) {
  const T sigma = std::exp(log_var / 2), z = (x - m) / sigma;
  const T normaliser =
      std::lgamma((nu + 1) / 2) - std::lgamma(nu / 2) - std::log(nu * std::numbers::pi_v<T>) / 2;
  const T tail = (nu + 1) / 2 * std::log1p(z * z / nu), shrink = nu + z * z;
  UnitElement<T> e;
  e.log_p = normaliser - log_var / 2 - tail;
  e.scale = std::abs(normaliser) + std::abs(log_var) / 2 + tail;
  e.grad[0] = (nu + 1) * z / (sigma * shrink);
  e.grad_scale[0] = std::abs(e.grad[0]);
  e.grad[1] = ((nu + 1) * z * z / shrink - 1) / 2;
  e.grad_scale[1] = ((nu + 1) * z * z / shrink + 1) / 2;
  return e;
}

/// log(L(a) - L(b)) for a > b with the logistic function L, by the larger of the two on the side where both
/// are small.
template <class T>
T log_logistic_difference(T a, T b) {
  if (a + b > 0) return log_logistic_difference(-b, -a);
  const T step = log_logistic(b) - log_logistic(a);  // of the logarithms, negative
  return log_logistic(a) + (step < -1 ? std::log1p(-std::exp(step)) : std::log(-std::expm1(step)));
}

/// The mass of the bin of x. L'(a) / p is the exponential of its logarithm, so that tiny masses divide.
template <class T>
UnitElement<T> discretized_logistic(T x, T m, T log_var) {
  const T s = std::exp(log_var / 2), level = std::round(255 * x);
  const T a = ((level + T(0.5)) / 255 - m) / s, b = ((level - T(0.5)) / 255 - m) / s, d = 1 / (255 * s);
  const bool first = level <= 0, last = level >= 255, inside = !first && !last;
  UnitElement<T> e;
  e.log_p = first ? log_logistic(a) : (last ? log_logistic(-b) : log_logistic_difference(a, b));
  const T slope_a = last ? 0 : std::exp(log_logistic(a) + log_logistic(-a) - e.log_p);
  const T slope_b = first ? 0 : std::exp(log_logistic(b) + log_logistic(-b) - e.log_p);
  e.grad[0] = (slope_b - slope_a) / s;
  e.grad[1] = ((first ? 0 : b * slope_b) - (last ? 0 : a * slope_a)) / 2;
  const T up = std::exp(log_logistic(-a)), low = std::exp(log_logistic(b));
  e.scale = (inside ? std::abs(std::log(-std::expm1(-d))) : 0) + (last ? 0 : -log_logistic(a)) +
            (first ? 0 : -log_logistic(-b));
  // A rounding of a or b counts by the slope of log p there.
  e.scale += (last ? 0 : std::abs(a) * up) + (first ? 0 : std::abs(b) * low);
  e.grad_scale[0] =
      ((last ? 0 : up * (1 + std::abs(a) * (1 - up))) + (first ? 0 : low * (1 + std::abs(b) * (1 - low)))) /
      s;
  e.grad_scale[1] =
      ((last ? 0 : std::abs(a) * up * (1 + std::abs(a) * (1 - up))) +
       (first ? 0 : std::abs(b) * low * (1 + std::abs(b) * (1 - low))) + (inside ? d / std::expm1(d) : 0)) /
      2;
  return e;
}

template <class T>
UnitElement<T> continuous_bernoulli(T x, T l) {
  // log((e^l - 1) / l) and its derivative, which lose their digits near 0 if they are not series there.
  const T a = std::abs(l);
  const T shrunk = a < T(1e-3) ? a * a / 24 - a / 2 : std::log(-std::expm1(-a) / a);
  const T normaliser = std::max(l, T(0)) + shrunk;
  const T mean = a < T(1e-3) ? T(0.5) + l / 12 - l * l * l / 720 : 1 / -std::expm1(-l) - 1 / l;
  UnitElement<T> e;
  e.log_p = x * l - normaliser;
  e.grad[0] = x - mean;
  const T middle = a < 1 ? T(0.5) : (l > 0 ? T(1) : T(0));
  e.scale = std::abs((x - middle) * l) + (a < 1 ? l * l / 24 : std::abs(shrunk));
  e.grad_scale[0] = std::abs(x - middle) + (a < 1 ? a / 12 : 1 / a + 1 / std::expm1(a));
  return e;
}

/// The logarithm of a mean, clamped to [-30, 30].
template <class T>
struct LogMean {
  T value;
  bool clamped;
  explicit LogMean(T l) : value(l < -30 ? -30 : (l > 30 ? 30 : l)), clamped(l < -30 || l > 30) {}
};

template <class T>
UnitElement<T> poisson(T x, T log_rate) {
  const LogMean<T> l(log_rate);
  const T rate = std::exp(l.value);
  UnitElement<T> e;
  e.log_p = x * l.value - rate - std::lgamma(x + 1);
  e.grad[0] = l.clamped ? 0 : x - rate;
  // The logarithms of rate and x are rounded, and a count has constants.
  const T logs = std::abs(l.value) + std::log1p(x);
  e.scale = std::abs(e.log_p) + std::abs(x - rate) * (x > 0 ? logs : 0) + (x > 0 ? 1 + std::log1p(x) : 0);
  e.grad_scale[0] = l.clamped ? 0 : x + rate;
  e.clamped = l.clamped;
  return e;
}

/// Gamma(x + 1/alpha) / (Gamma(1/alpha) x!) (1 / (1 + alpha mu))^(1/alpha) (alpha mu / (1 + alpha mu))^x, its
/// logarithm taken: Gamma(x + r) / Gamma(r) is the product of r + k for k below x.
template <class T>
UnitElement<T> negative_binomial(T x, T log_mean, T log_alpha) {
  const LogMean<T> l(log_mean);
  const T mu = std::exp(l.value), alpha = std::exp(log_alpha), odds = alpha * mu, w = odds / (1 + odds);
  T product = 0, slope = 0;  // of r + k over r, and its derivative by log alpha
  for (T k = 1; k < x; ++k) product += std::log1p(k * alpha), slope += k * alpha / (1 + k * alpha);
  UnitElement<T> e;
  e.log_p = product - std::lgamma(x + 1) + x * l.value - (x + 1 / alpha) * std::log1p(odds);
  e.grad[0] = l.clamped ? 0 : (x - mu) / (1 + odds);
  // log(1 + odds) - w cancels where odds is small.
  const T bend =
      odds < T(1e-3) ? odds * odds * (T(0.5) - odds * (T(2) / 3 - odds * T(0.75))) : std::log1p(odds) - w;
  e.grad[1] = slope + bend / alpha - x * w;
  const T logs = std::abs(l.value) + std::log1p(x);
  e.scale = std::abs(e.log_p) + std::abs((x - mu) / (1 + odds)) * (x > 0 ? logs : 0) +
            (x > 0 ? 1 + std::log1p(x) + std::log1p(alpha * x) : 0);
  e.grad_scale[0] = l.clamped ? 0 : (x + mu) / (1 + odds);
  e.grad_scale[1] = slope + bend / alpha + x * w + x * alpha / (1 + x * alpha);
  e.clamped = l.clamped;
  return e;
}

template <class T>
UnitElement<T> zero_inflated_negative_binomial(T x, T log_mean, T logit, T log_alpha) {
  const UnitElement<T> nb = negative_binomial(x, log_mean, log_alpha);
  const T extra = std::exp(log_logistic(logit)), none = std::exp(log_logistic(-logit));
  UnitElement<T> e;
  e.clamped = nb.clamped;
  // p(0) = extra + none NB(0): with 1 = extra + none, all but what the negative binomial gives to other
  // counts.
  const T lost = none * -std::expm1(nb.log_p);
  const T from_extra = log_logistic(logit), from_nb = log_logistic(-logit) + nb.log_p;
  const T larger = std::max(from_extra, from_nb), smaller = std::min(from_extra, from_nb);
  const T log_zero = lost < T(0.5) ? std::log1p(-lost) : larger + std::log1p(std::exp(smaller - larger));
  const T own = x > 0 ? 1 : std::exp(from_nb - log_zero);  // that this zero is the negative binomial's
  e.log_p = x > 0 ? log_logistic(-logit) + nb.log_p : log_zero;
  e.scale =
      x > 0 ? -log_logistic(-logit) + nb.scale : std::abs(log_zero) + (lost < T(0.5) ? 0 : -nb.log_p * own);
  e.grad[0] = own * nb.grad[0];
  e.grad[1] = x > 0 ? -extra : std::exp(from_extra - log_zero) * lost;
  e.grad[2] = own * nb.grad[1];
  // A rounding of logit - log NB(0) moves a share by that much of it.
  const T sway = x > 0 ? 1 : 1 + std::abs(logit) - nb.log_p;
  for (int k = 0; k < 3; ++k) e.grad_scale[k] = std::abs(e.grad[k]) * sway;
  e.grad_scale[0] = std::max(e.grad_scale[0], own * nb.grad_scale[0] * sway);
  e.grad_scale[2] = std::max(e.grad_scale[2], own * nb.grad_scale[1] * sway);
  return e;
}

/// One element of `which` at the locations and the log-variance, neither of them clamped here but log means.
template <class T>
UnitElement<T> unit_element(const Likelihood& which, T x, const T* location, T log_var) {
  switch (which.family) {
    case LikelihoodFamily::kLaplace:
      return laplace(x, location[0], log_var);
    case LikelihoodFamily::kStudentT:
      return student_t(x, location[0], log_var, static_cast<T>(which.degrees_of_freedom));
    case LikelihoodFamily::kDiscretizedLogistic:
      return discretized_logistic(x, location[0], log_var);
    case LikelihoodFamily::kContinuousBernoulli:
      return continuous_bernoulli(x, location[0]);
    case LikelihoodFamily::kPoisson:
      return poisson(x, location[0]);
    case LikelihoodFamily::kNegativeBinomial:
      return negative_binomial(x, location[0], log_var);
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return zero_inflated_negative_binomial(x, location[0], location[1], log_var);
    default:
      break;
  }
  throw std::logic_error("not a family of unit.h");
}

/// E[x|z], or what likelihood_mean() shows in its place.
template <class T>
T unit_mean(const Likelihood& which, const T* location) {
  switch (which.family) {
    case LikelihoodFamily::kDiscretizedLogistic:
      return std::min(std::max(location[0], T(0)), T(1));
    case LikelihoodFamily::kContinuousBernoulli:
      return -continuous_bernoulli(T(0), location[0]).grad[0];
    case LikelihoodFamily::kPoisson:
    case LikelihoodFamily::kNegativeBinomial:
      return std::exp(LogMean<T>(location[0]).value);
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return std::exp(LogMean<T>(location[0]).value + log_logistic(-location[1]));
    default:
      return location[0];
  }
}

}  // namespace felbo::reference
