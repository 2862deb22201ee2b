#include <charconv>
#include <cmath>
#include <string_view>

#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_check.h"

namespace felbo {
namespace {

// exp(+-80) and its products with a gradient of ordinary size stay inside the range of float.
constexpr float kMaxLogVar = 80.0f;

LikelihoodFamily family_from_name(const std::string& name) {
  if (name == "bernoulli") return LikelihoodFamily::kBernoulli;
  if (name == "gaussian") return LikelihoodFamily::kGaussian;
  throw std::invalid_argument(
      fmt::format("likelihood \"{}\" is not known; give bernoulli or gaussian", name));
}

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

}  // namespace

int Likelihood::outputs() const {
  return family == LikelihoodFamily::kGaussian && variance == VarianceKind::kPerElement ? 2 : 1;
}

std::int64_t Likelihood::own_parameters(std::int64_t dimensions) const {
  if (family != LikelihoodFamily::kGaussian) return 0;
  if (variance == VarianceKind::kLearned) return 1;
  return variance == VarianceKind::kPerDimension ? dimensions : 0;
}

void Likelihood::check() const {
  if (family != LikelihoodFamily::kGaussian) return;
  FELBO_CHECK(-kMaxLogVar <= clamp.lo && clamp.lo <= clamp.hi && clamp.hi <= kMaxLogVar,
              "the bounds of log-variances must lie in [-{0}, {0}] in rising order, got [{1}, {2}]",
              kMaxLogVar, clamp.lo, clamp.hi);
  if (variance != VarianceKind::kFixed) return;
  FELBO_CHECK(fixed_variance > 0.0f && std::abs(std::log(fixed_variance)) <= kMaxLogVar,
              "variance \"fixed:V\" needs V above 0, with a logarithm in [-{0}, {0}], got {1}", kMaxLogVar,
              fixed_variance);
}

std::int64_t likelihood_scratch(const Likelihood& which, std::int64_t rows, std::int64_t dimensions) {
  if (which.own_parameters(dimensions) == 0) return 0;
  if (which.variance == VarianceKind::kLearned) return rows;
  return dimensions * (1 + blocks_of(rows, kRowsABlock));
}

Likelihood likelihood_from_names(const std::string& likelihood, const std::string& variance,
                                 LogVarClamp clamp) {
  Likelihood which;
  which.family = family_from_name(likelihood);
  which.clamp = clamp;
  set_variance(which, variance);
  which.check();
  return which;
}

}  // namespace felbo
