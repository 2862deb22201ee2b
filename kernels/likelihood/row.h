// What a pass over a row of log p(x|z) has in common on every device: what the row adds up to, and where a
// family gets its numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "kernels/likelihood/bernoulli.h"
#include "kernels/likelihood/gaussian.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/x_view.h"

namespace felbo {

/// What a row, or a piece of one, adds up to.
struct RowTotals {
  double log_p = 0.0;
  double own = 0.0;
  std::int32_t clamped = 0;
};

// A source makes a family from numbers that the host knows or, for parameters of the family's own, from
// memory of the Exec. It says what each row of n dimensions adds to log p beside its elements, and how many
// own parameters are out of bounds.

struct BernoulliSource {
  FELBO_HD Bernoulli family() const { return {}; }
  FELBO_HD double row_constant(std::int64_t) const { return 0.0; }
  FELBO_HD std::int32_t own_clamped() const { return 0; }
};

struct GivenVarianceSource {
  float precision;
  double log_var;
  FELBO_HD GaussianOneVariance<OwnParameters::kNone> family() const { return {precision}; }
  FELBO_HD double row_constant(std::int64_t n) const {
    return gaussian_constant(n, static_cast<double>(n) * log_var);
  }
  FELBO_HD std::int32_t own_clamped() const { return 0; }
};
inline GivenVarianceSource given_variance_source(float variance) {
  return {1.0f / variance, std::log(double{variance})};
}

struct VariancePerElementSource {
  LogVarClamp clamp;
  FELBO_HD GaussianVariancePerElement family() const { return {clamp}; }
  FELBO_HD double row_constant(std::int64_t n) const { return gaussian_constant(n, 0.0); }
  FELBO_HD std::int32_t own_clamped() const { return 0; }
};

/// One learned log-variance.
struct LearnedVarianceSource {
  const float* own;
  LogVarClamp clamp;
  FELBO_HD float log_var() const { return clamp_log_var(*own, clamp); }
  FELBO_HD GaussianOneVariance<OwnParameters::kOne> family() const { return {math::exp(-log_var())}; }
  FELBO_HD double row_constant(std::int64_t n) const {
    return gaussian_constant(n, static_cast<double>(n) * static_cast<double>(log_var()));
  }
  FELBO_HD std::int32_t own_clamped() const { return is_clamped(*own, clamp); }
};

/// What all own log-variances come to.
struct VarianceTotals {
  double sum_log_var = 0.0;
  std::int32_t clamped = 0;
};

/// A learned log-variance a dimension, its precisions made before the pass.
struct VariancePerDimensionSource {
  const float* precision;
  const VarianceTotals* totals;
  FELBO_HD GaussianVariancePerDimension family() const { return {precision}; }
  FELBO_HD double row_constant(std::int64_t n) const { return gaussian_constant(n, totals->sum_log_var); }
  FELBO_HD std::int32_t own_clamped() const { return totals->clamped; }
};

template <class F>
void with_gaussian_source(const Likelihood& which, const F& f) {
  switch (which.variance) {
    case VarianceKind::kUnit:
      return f(given_variance_source(1.0f));
    case VarianceKind::kFixed:
      return f(given_variance_source(which.fixed_variance));
    case VarianceKind::kPerElement:
      return f(VariancePerElementSource{which.clamp});
    case VarianceKind::kLearned:
    case VarianceKind::kPerDimension:
      throw std::invalid_argument("a learned variance has no source that the host knows");
  }
}

/// Calls f(source) with the source of a Bernoulli or Gaussian. Throws std::invalid_argument for a family with
/// parameters of its own, which stand in memory that the host may not read, and for the families of unit.h.
template <class F>
void with_source_of(const Likelihood& which, const F& f) {
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
      return f(BernoulliSource{});
    case LikelihoodFamily::kGaussian:
      return with_gaussian_source(which, f);
    default:
      throw std::invalid_argument("neither a Bernoulli nor a Gaussian");
  }
}

template <class Source>
using FamilyOf = decltype(std::declval<const Source&>().family());

}  // namespace felbo
