#include <charconv>
#include <cmath>
#include <string_view>

#include "kernels/common/log_var_check.h"
#include "kernels/likelihood/categorical.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace {

// Products of a dispersion, its inverse and a mean stay inside the range of float as well.
constexpr float kMaxLogDispersion = 40.0f;
constexpr float kLeastDegrees = 1e-3f, kMostDegrees = 1e6f;

struct NamedFamily {
  const char* name;
  LikelihoodFamily family;
};
constexpr NamedFamily kFamilies[] = {
    {"bernoulli", LikelihoodFamily::kBernoulli},
    {"gaussian", LikelihoodFamily::kGaussian},
    {"laplace", LikelihoodFamily::kLaplace},
    {"student-t", LikelihoodFamily::kStudentT},
    {"discretized-logistic", LikelihoodFamily::kDiscretizedLogistic},
    {"continuous-bernoulli", LikelihoodFamily::kContinuousBernoulli},
    {"poisson", LikelihoodFamily::kPoisson},
    {"negative-binomial", LikelihoodFamily::kNegativeBinomial},
    {"zero-inflated-negative-binomial", LikelihoodFamily::kZeroInflatedNegativeBinomial},
    {"categorical", LikelihoodFamily::kCategorical},
    {"multinomial", LikelihoodFamily::kMultinomial},
};

float fixed_variance_from_name(const std::string& name, std::string_view number) {
  float value = 0.0f;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  FELBO_CHECK(error == std::errc() && end == number.data() + number.size(),
              "variance \"{}\": \"{}\" is not a number that a float holds; give fixed:V with V like 0.25",
              name, number);
  return value;
}

void set_variance(Likelihood& which, const std::string& name) {
  constexpr std::string_view kFixed = "fixed:";
  if (name == "unit") {
    which.variance = VarianceKind::kUnit;
  } else if (name.starts_with(kFixed)) {
    which.variance = VarianceKind::kFixed;
    which.fixed_variance = fixed_variance_from_name(name, std::string_view(name).substr(kFixed.size()));
  } else if (name == "learned") {
    which.variance = VarianceKind::kLearned;
  } else if (name == "per-dimension") {
    which.variance = VarianceKind::kPerDimension;
  } else if (name == "per-element") {
    which.variance = VarianceKind::kPerElement;
  } else {
    throw std::invalid_argument(fmt::format(
        "variance \"{}\" is not known; give unit, fixed:V, learned, per-dimension or per-element", name));
  }
}

/// The spreads of X dimensions, then X sums of own gradients a block of rows.
std::int64_t unit_scratch(const Likelihood& which, std::int64_t rows, std::int64_t dimensions) {
  if (!which.has_variance() || which.variance == VarianceKind::kPerElement) return 0;
  const std::int64_t spread =
      with_unit(which.family, []<class Family>(Unit<Family>) { return kSpreadFloats<Family>; });
  const std::int64_t blocks = which.own_parameters(dimensions) > 0 ? blocks_of(rows, kRowsABlock) : 0;
  return dimensions * (spread + blocks);
}

void check_degrees_of_freedom(const Likelihood& which) {
  if (which.family != LikelihoodFamily::kStudentT) return;
  FELBO_CHECK(which.degrees_of_freedom >= kLeastDegrees && which.degrees_of_freedom <= kMostDegrees,
              "degrees of freedom must lie in [{}, {}], got {}", kLeastDegrees, kMostDegrees,
              which.degrees_of_freedom);
}

void check_categories(const Likelihood& which) {
  if (which.family != LikelihoodFamily::kCategorical) return;
  FELBO_CHECK(which.categories >= 1 && which.categories <= kMostCategories,
              "a categorical needs 1 to {} categories, got {}", kMostCategories, which.categories);
}

}  // namespace

LikelihoodFamily likelihood_family_from_name(const std::string& name) {
  for (const NamedFamily& known : kFamilies) {
    if (name == known.name) return known.family;
  }
  throw std::invalid_argument(
      fmt::format("likelihood \"{}\" is not known; give {}", name, likelihood_names()));
}

std::string likelihood_names() {
  constexpr std::size_t kCount = std::size(kFamilies);
  std::string names;
  for (std::size_t i = 0; i < kCount; ++i) {
    names += i == 0 ? "" : (i + 1 == kCount ? " or " : ", ");
    names += kFamilies[i].name;
  }
  return names;
}

bool Likelihood::has_variance() const {
  if (!is_unit(family)) return family == LikelihoodFamily::kGaussian;
  return with_unit(family, []<class Family>(Unit<Family>) { return Family::kSpread; });
}

Observations Likelihood::observations() const {
  if (family == LikelihoodFamily::kBernoulli) return Observations::kUnitInterval;
  if (family == LikelihoodFamily::kGaussian) return Observations::kReal;
  if (family == LikelihoodFamily::kCategorical) return Observations::kLevels;
  if (family == LikelihoodFamily::kMultinomial) return Observations::kCounts;
  return with_unit(family, []<class Family>(Unit<Family>) { return Family::kObservations; });
}

int Likelihood::locations() const {
  if (family == LikelihoodFamily::kCategorical) return categories;
  if (!is_unit(family)) return 1;
  return with_unit(family, []<class Family>(Unit<Family>) { return int{Family::kLocations}; });
}

int Likelihood::outputs() const {
  return locations() + (has_variance() && variance == VarianceKind::kPerElement ? 1 : 0);
}

std::int64_t Likelihood::own_parameters(std::int64_t dimensions) const {
  if (!has_variance()) return 0;
  if (variance == VarianceKind::kLearned) return 1;
  return variance == VarianceKind::kPerDimension ? dimensions : 0;
}

void Likelihood::check() const {
  check_categories(*this);
  if (!has_variance()) return;
  const bool counts = observations() == Observations::kCounts;
  const float most = counts ? kMaxLogDispersion : kMaxLogVar;
  FELBO_CHECK(-most <= clamp.lo && clamp.lo <= clamp.hi && clamp.hi <= most,
              "the bounds of {0} must lie in [-{1}, {1}] in rising order, got [{2}, {3}]",
              counts ? "log-dispersions" : "log-variances", most, clamp.lo, clamp.hi);
  check_degrees_of_freedom(*this);
  if (variance != VarianceKind::kFixed) return;
  FELBO_CHECK(fixed_variance > 0.0f && std::abs(std::log(fixed_variance)) <= most,
              "variance \"fixed:V\" needs V above 0, with a logarithm in [-{0}, {0}], got {1}", most,
              fixed_variance);
}

std::int64_t likelihood_scratch(const Likelihood& which, std::int64_t rows, std::int64_t dimensions) {
  if (is_unit(which.family)) return unit_scratch(which, rows, dimensions);
  if (which.family == LikelihoodFamily::kCategorical)
    return rows * categorical_pieces(which.categories, dimensions);
  if (which.own_parameters(dimensions) == 0) return 0;
  if (which.variance == VarianceKind::kLearned) return rows;
  return dimensions * (1 + blocks_of(rows, kRowsABlock));
}

Likelihood likelihood_from_names(const std::string& likelihood, const std::string& variance,
                                 LogVarClamp clamp, float degrees_of_freedom, int categories) {
  Likelihood which;
  which.family = likelihood_family_from_name(likelihood);
  which.clamp = clamp;
  which.degrees_of_freedom = degrees_of_freedom;
  which.categories = categories;
  set_variance(which, variance);
  which.check();
  return which;
}

}  // namespace felbo
