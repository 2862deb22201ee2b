// log p(x|z) and its gradients by plain loops over the formulas of likelihood.h, in the scalar T (double to
// judge floats, long double to judge the doubles). Beside each result stands its scale: the sum of the
// magnitudes of the terms that it is made of, by which rounding errors are measured.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/unit_reference.h"

namespace felbo::reference {

template <class T>
struct LikelihoodInput {
  std::int64_t data = 0, samples = 1, dimensions = 0;  // B, S, X
  std::vector<T> x;                                    // (B, X)
  std::vector<T> output;                               // (B * S, outputs * X)
  std::vector<T> own;                                  // (own_parameters)
  T grad_scale = 1;
};

template <class T>
struct LikelihoodOutcome {
  std::vector<T> log_px_given_z, log_px_scale;  // (B * S) nats
  std::vector<T> grad_output, grad_scale;       // (B * S, outputs * X)
  std::vector<T> grad_own, grad_own_scale;      // (own_parameters)
  std::vector<std::int32_t> clamped;            // (B * S)
};

/// x l - log(1 + e^l), as x log s(l) + (1 - x) log s(-l) with the sigmoid s: both terms have one sign.
template <class T>
T bernoulli_log_p(T x, T l) {
  const auto log_sigmoid = [](T a) {
    return a < 0 ? a - std::log1p(std::exp(a)) : -std::log1p(std::exp(-a));
  };
  return x * log_sigmoid(l) + (1 - x) * log_sigmoid(-l);
}

/// x - s(l) = x s(-l) - (1 - x) s(l).
template <class T>
T bernoulli_grad(T x, T l) {
  return x / (1 + std::exp(l)) - (1 - x) / (1 + std::exp(-l));
}

/// The density of N(m, v), its logarithm taken.
template <class T>
T gaussian_log_p(T x, T m, T log_var) {
  return -(std::log(2 * std::numbers::pi_v<T>) + log_var + (x - m) * (x - m) / std::exp(log_var)) / 2;
}

namespace detail {

/// Which log-variance rules element (r, j), and where the gradient by it goes.
template <class T>
struct LogVarOf {
  T value = 0;
  T* grad = nullptr;
  T* scale = nullptr;
};

template <class T>
LogVarOf<T> log_var_of(const Likelihood& which, const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out,
                       std::int64_t r, std::int64_t j) {
  const std::int64_t last = (which.outputs() * (r + 1) - 1) * in.dimensions + j;
  switch (which.variance) {
    case VarianceKind::kUnit:
      return {};
    case VarianceKind::kFixed:
      return {std::log(static_cast<T>(which.fixed_variance))};
    case VarianceKind::kLearned:
      return {in.own[0], &out.grad_own[0], &out.grad_own_scale[0]};
    case VarianceKind::kPerDimension:
      return {in.own[j], &out.grad_own[j], &out.grad_own_scale[j]};
    case VarianceKind::kPerElement:
      return {in.output[last], &out.grad_output[last], &out.grad_scale[last]};
  }
  return {};
}

template <class T>
void gaussian_element(const Likelihood& which, const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out,
                      std::int64_t r, std::int64_t j) {
  const T lo = which.clamp.lo, hi = which.clamp.hi, a = in.grad_scale;
  const T x = in.x[(r / in.samples) * in.dimensions + j];
  const std::int64_t first = r * which.outputs() * in.dimensions + j;
  const T m = in.output[first];
  const LogVarOf<T> log_var = log_var_of(which, in, out, r, j);
  const bool bounded = log_var.grad != nullptr;  // a given variance is taken as it is
  const bool outside = bounded && (log_var.value < lo || log_var.value > hi);
  const T used = !outside ? log_var.value : (log_var.value < lo ? lo : hi);
  const T square = (x - m) * (x - m) / std::exp(used);
  out.log_px_given_z[r] += gaussian_log_p(x, m, used);
  out.log_px_scale[r] += (std::log(2 * std::numbers::pi_v<T>) + std::abs(used) + square) / 2;
  out.grad_output[first] = a * (x - m) / std::exp(used);
  out.grad_scale[first] = std::abs(out.grad_output[first]);
  if (bounded && !outside) {
    *log_var.grad += a * (square - 1) / 2;
    *log_var.scale += std::abs(a) * (square + 1) / 2;
  }
  if (outside && which.variance == VarianceKind::kPerElement) ++out.clamped[r];
}

/// A family of unit.h.
template <class T>
void unit_element(const Likelihood& which, const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out,
                  std::int64_t r, std::int64_t j) {
  const T lo = which.clamp.lo, hi = which.clamp.hi, a = in.grad_scale;
  const int locations = which.locations();
  const std::int64_t first = r * which.outputs() * in.dimensions + j;
  T location[2] = {};
  for (int k = 0; k < locations; ++k) location[k] = in.output[first + k * in.dimensions];
  const LogVarOf<T> log_var = which.has_variance() ? log_var_of(which, in, out, r, j) : LogVarOf<T>{};
  const bool bounded = log_var.grad != nullptr;
  const bool outside = bounded && (log_var.value < lo || log_var.value > hi);
  const T used = !outside ? log_var.value : (log_var.value < lo ? lo : hi);
  const UnitElement<T> e =
      reference::unit_element(which, in.x[(r / in.samples) * in.dimensions + j], location, used);
  out.log_px_given_z[r] += e.log_p;
  out.log_px_scale[r] += e.scale;
  for (int k = 0; k < locations; ++k) {
    out.grad_output[first + k * in.dimensions] = a * e.grad[k];
    out.grad_scale[first + k * in.dimensions] = std::abs(a) * e.grad_scale[k];
  }
  if (bounded && !outside) {
    *log_var.grad += a * e.grad[locations];
    *log_var.scale += std::abs(a) * e.grad_scale[locations];
  }
  out.clamped[r] += e.clamped + (outside && which.variance == VarianceKind::kPerElement ? 1 : 0);
}

/// Of n logits: the largest, log sum exp(l - largest), and sum softmax(l) (largest - l), which is how far the
/// roundings of the differences reach.
template <class T>
struct Softmax {
  T largest = 0, log_sum = 0, spread = 0;

  Softmax(const T* l, std::int64_t n) : largest(l[0]) {
    for (std::int64_t k = 0; k < n; ++k) largest = std::max(largest, l[k]);
    T sum = 0;
    for (std::int64_t k = 0; k < n; ++k) sum += std::exp(l[k] - largest);
    log_sum = std::log(sum);
    for (std::int64_t k = 0; k < n; ++k) spread += p(l[k]) * (largest - l[k]);
  }
  T log_p(T l) const { return l - largest - log_sum; }
  T p(T l) const { return std::exp(log_p(l)); }
  /// Of p(l): its own magnitude, and the roundings of the differences.
  T scale(T l) const { return p(l) * (1 + (largest - l) + spread); }
};

/// Logits (X, K); the level is x (K - 1).
template <class T>
void categorical_row(const Likelihood& which, const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out,
                     std::int64_t r) {
  const std::int64_t K = which.categories;
  for (std::int64_t j = 0; j < in.dimensions; ++j) {
    const std::int64_t first = (r * in.dimensions + j) * K;
    const T* l = &in.output[static_cast<std::size_t>(first)];
    const T x = in.x[(r / in.samples) * in.dimensions + j];
    const auto level = static_cast<std::int64_t>(std::round(x * static_cast<T>(K - 1)));
    const Softmax<T> softmax(l, K);
    out.log_px_given_z[r] += softmax.log_p(l[level]);
    out.log_px_scale[r] += softmax.largest - l[level] + softmax.log_sum + softmax.spread + 1;
    for (std::int64_t k = 0; k < K; ++k) {
      const T observed = k == level ? 1 : 0;
      out.grad_output[first + k] = in.grad_scale * (observed - softmax.p(l[k]));
      out.grad_scale[first + k] = std::abs(in.grad_scale) * (observed + softmax.scale(l[k]));
    }
  }
}

/// The multinomial of the row's counts. Its scale is that of a product of Poissons (unit_reference.h).
template <class T>
void multinomial_row(const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out, std::int64_t r) {
  const std::int64_t n = in.dimensions;
  const T* l = &in.output[static_cast<std::size_t>(r * n)];
  const T* x = &in.x[static_cast<std::size_t>((r / in.samples) * n)];
  const Softmax<T> softmax(l, n);
  T count = 0;
  for (std::int64_t j = 0; j < n; ++j) count += x[j];
  T log_p = std::lgamma(count + 1), scale = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    if (x[j] > 0) log_p += x[j] * softmax.log_p(l[j]) - std::lgamma(x[j] + 1);
    const T mean = count * softmax.p(l[j]);
    const T logs = softmax.largest - l[j] + softmax.log_sum + std::log1p(count);
    const T deviance = x[j] > 0 ? x[j] * (std::log(x[j] / count) - softmax.log_p(l[j])) + mean - x[j] : mean;
    scale += std::abs(deviance) + std::abs(x[j] - mean) * logs + (x[j] > 0 ? 1 + std::log1p(x[j]) : 0);
    out.grad_output[r * n + j] = in.grad_scale * (x[j] - mean);
    out.grad_scale[r * n + j] =
        std::abs(in.grad_scale) * (x[j] + mean * (1 + logs) + count * softmax.scale(l[j]));
  }
  out.log_px_given_z[r] = log_p;
  out.log_px_scale[r] = scale + std::log1p(count);
}

template <class T>
void bernoulli_element(const LikelihoodInput<T>& in, LikelihoodOutcome<T>& out, std::int64_t r,
                       std::int64_t j) {
  const T x = in.x[(r / in.samples) * in.dimensions + j];
  const T l = in.output[r * in.dimensions + j];
  out.log_px_given_z[r] += bernoulli_log_p(x, l);
  out.log_px_scale[r] += std::abs(bernoulli_log_p(x, l));
  out.grad_output[r * in.dimensions + j] = in.grad_scale * bernoulli_grad(x, l);
  out.grad_scale[r * in.dimensions + j] =
      std::abs(in.grad_scale) * (x / (1 + std::exp(l)) + (1 - x) / (1 + std::exp(-l)));
}

}  // namespace detail

/// Whether a gradient depends on more than its own element.
inline bool is_coupled(const Likelihood& which) {
  return which.family == LikelihoodFamily::kCategorical || which.family == LikelihoodFamily::kMultinomial;
}

/// Everything that likelihood() gives out.
template <class T>
LikelihoodOutcome<T> likelihood(const Likelihood& which, const LikelihoodInput<T>& in) {
  const std::int64_t rows = in.data * in.samples;
  LikelihoodOutcome<T> out;
  out.log_px_given_z.resize(rows);
  out.log_px_scale.resize(rows);
  out.grad_output.resize(in.output.size());
  out.grad_scale.resize(in.output.size());
  out.grad_own.resize(in.own.size());
  out.grad_own_scale.resize(in.own.size());
  out.clamped.resize(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (which.family == LikelihoodFamily::kCategorical) detail::categorical_row(which, in, out, r);
    if (which.family == LikelihoodFamily::kMultinomial) detail::multinomial_row(in, out, r);
    if (is_coupled(which)) continue;
    for (std::int64_t j = 0; j < in.dimensions; ++j) {
      if (which.family == LikelihoodFamily::kBernoulli) {
        detail::bernoulli_element(in, out, r, j);
      } else if (which.family == LikelihoodFamily::kGaussian) {
        detail::gaussian_element(which, in, out, r, j);
      } else {
        detail::unit_element(which, in, out, r, j);
      }
    }
  }
  for (const T log_var : in.own) {
    if (rows > 0 && (log_var < which.clamp.lo || log_var > which.clamp.hi)) ++out.clamped[0];
  }
  return out;
}

/// What likelihood_mean() shows of a softmax: the shares of a multinomial, the mean level of a categorical
/// over K - 1.
template <class T>
std::vector<T> softmax_mean(const Likelihood& which, std::int64_t rows, std::int64_t dimensions,
                            const std::vector<T>& output) {
  const bool levels = which.family == LikelihoodFamily::kCategorical;
  const std::int64_t n = levels ? which.categories : dimensions;
  std::vector<T> mean;
  for (std::int64_t first = 0; first < rows * dimensions * which.outputs(); first += n) {
    const T* l = &output[static_cast<std::size_t>(first)];
    const detail::Softmax<T> softmax(l, n);
    T weighed = 0;
    for (std::int64_t k = 0; k < n; ++k) {
      weighed += softmax.p(l[k]) * static_cast<T>(k);
      if (!levels) mean.push_back(softmax.p(l[k]));
    }
    if (levels) mean.push_back(weighed / static_cast<T>(std::max<std::int64_t>(n - 1, 1)));
  }
  return mean;
}

/// What likelihood_mean() shows of each of `rows` times `dimensions` elements.
template <class T>
std::vector<T> likelihood_mean(const Likelihood& which, std::int64_t rows, std::int64_t dimensions,
                               const std::vector<T>& output) {
  if (is_coupled(which)) return softmax_mean(which, rows, dimensions, output);
  std::vector<T> mean;
  for (std::int64_t i = 0; i < rows * dimensions; ++i) {
    const std::int64_t first = i / dimensions * which.outputs() * dimensions + i % dimensions;
    const T location[2] = {output[first], which.locations() == 2 ? output[first + dimensions] : T(0)};
    const bool logit = which.family == LikelihoodFamily::kBernoulli;
    mean.push_back(logit ? 1 / (1 + std::exp(-location[0])) : unit_mean(which, location));
  }
  return mean;
}

}  // namespace felbo::reference
