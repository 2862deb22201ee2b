#include "host/evaluate/draw.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/common/check.h"
#include "kernels/likelihood/spread.h"

namespace felbo {
namespace {

/// The random words of one element: those of the Philox counters that name it, one after another.
class ElementWords {
 public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  ElementWords(const NoiseStream& noise, std::uint32_t row, std::uint32_t dimension)
      : noise_(noise), row_(row), dimension_(dimension) {}

  result_type operator()() {
    if (used_ == 4) {
      words_ = noise_.words(row_, block_++, dimension_);
      used_ = 0;
    }
    return words_[used_++];
  }

  /// In (0, 1), on a grid of 2^-53 shifted by half of it.
  double uniform() {
    const std::uint64_t high = (*this)(), low = (*this)();
    return (static_cast<double>((high << 32 | low) >> 11) + 0.5) * 0x1p-53;
  }
  double normal() { return std::normal_distribution<double>()(*this); }

 private:
  NoiseStream noise_;
  std::uint32_t row_, dimension_, block_ = 0;
  Words4 words_{};
  int used_ = 4;
};

/// The parameters of one element: those that the decoder gave, and the log-variance wherever it is from.
struct Element {
  const float* first;
  std::int64_t step;
  double log_var;
  double location(int k) const { return static_cast<double>(first[k * step]); }
  double scale() const { return std::exp(log_var / 2.0); }
};

double logistic(double a) { return a < 0 ? std::exp(a) / (1.0 + std::exp(a)) : 1.0 / (1.0 + std::exp(-a)); }

double bernoulli(double logit, ElementWords& words) { return words.uniform() < logistic(logit) ? 1.0 : 0.0; }

/// By the inverse of its distribution function, taken at the tail that u is in.
double laplace(double mean, double scale, ElementWords& words) {
  const double u = words.uniform();
  return u < 0.5 ? mean + scale * std::log(2.0 * u) : mean - scale * std::log(2.0 * (1.0 - u));
}

double student_t(double location, double scale, double nu, ElementWords& words) {
  const double normal = words.normal();
  const double chi_squared = 2.0 * std::gamma_distribution<double>(nu / 2.0)(words);
  // Few degrees of freedom let it underflow.
  return location +
         scale * normal * std::sqrt(nu / std::max(chi_squared, std::numeric_limits<double>::min()));
}

/// A logistic x in the bin of the level nearest to it, those below 0 and above 255 in the outermost.
double discretized_logistic(double location, double scale, ElementWords& words) {
  const double u = words.uniform();
  const double level = std::round(255.0 * (location + scale * (std::log(u) - std::log1p(-u))));
  return static_cast<double>(static_cast<float>(std::clamp(level, 0.0, 255.0)) / 255.0f);
}

/// By the inverse of F(x) = (exp(l x) - 1) / (exp(l) - 1), for negative logits l, where no exponential
/// overflows; 1 - x has the logit -l.
double continuous_bernoulli(double logit, ElementWords& words) {
  const double u = words.uniform();
  if (std::abs(logit) < 1e-12) return u;
  const double l = -std::abs(logit), x = std::log1p(u * std::expm1(l)) / l;
  return logit < 0 ? x : 1.0 - x;
}

/// Beyond this mean a Poisson is the nearest normal one to within 4e-6 of its distribution function, and the
/// rounding of log x! spoils the exact method.
constexpr double kNormalPoisson = 1e10;

double poisson(double mean, ElementWords& words) {
  if (mean <= 0.0) return 0.0;
  if (mean > kNormalPoisson) return std::round(mean + std::sqrt(mean) * words.normal());
  return static_cast<double>(std::poisson_distribution<std::int64_t>(mean)(words));
}

double mean_of_counts(double log_mean) {
  return std::exp(std::clamp<double>(log_mean, -kMaxLogMean, kMaxLogMean));
}

/// A Poisson whose mean is Gamma distributed with shape 1 / alpha and mean mu.
double negative_binomial(double mean, double alpha, ElementWords& words) {
  return poisson(std::gamma_distribution<double>(1.0 / alpha, alpha * mean)(words), words);
}

double zero_inflated(double mean, double alpha, double logit, ElementWords& words) {
  const bool extra = bernoulli(logit, words) > 0.0;
  return extra ? 0.0 : negative_binomial(mean, alpha, words);
}

/// A level of K logits that lie side by side, as a share of the largest.
double categorical(const float* logits, int categories, ElementWords& words) {
  const double largest = static_cast<double>(*std::max_element(logits, logits + categories));
  const auto weight = [&](int k) { return std::exp(static_cast<double>(logits[k]) - largest); };
  double sum = 0.0;
  for (int k = 0; k < categories; ++k) sum += weight(k);
  double left = words.uniform() * sum;
  int k = 0;
  while (k + 1 < categories && left >= weight(k)) left -= weight(k++);
  return static_cast<double>(k) / std::max(categories - 1, 1);
}

/// A family with one draw from each `locations` numbers of a dimension. The levels of a categorical lie
/// otherwise, and a multinomial's dimensions are not independent.
double draw(const Likelihood& which, const Element& e, ElementWords& words) {
  const double first = e.location(0);
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
      return bernoulli(first, words);
    case LikelihoodFamily::kGaussian:
      return first + e.scale() * words.normal();
    case LikelihoodFamily::kLaplace:
      return laplace(first, e.scale(), words);
    case LikelihoodFamily::kStudentT:
      return student_t(first, e.scale(), static_cast<double>(which.degrees_of_freedom), words);
    case LikelihoodFamily::kDiscretizedLogistic:
      return discretized_logistic(first, e.scale(), words);
    case LikelihoodFamily::kContinuousBernoulli:
      return continuous_bernoulli(first, words);
    case LikelihoodFamily::kPoisson:
      return poisson(mean_of_counts(first), words);
    case LikelihoodFamily::kNegativeBinomial:
      return negative_binomial(mean_of_counts(first), std::exp(e.log_var), words);
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return zero_inflated(mean_of_counts(first), std::exp(e.log_var), e.location(1), words);
    case LikelihoodFamily::kCategorical:
    case LikelihoodFamily::kMultinomial:
      break;
  }
  throw std::logic_error("a likelihood family that nothing can be drawn from");
}

double log_var_of(const Likelihood& which, View<const float, 1> own, const float* element,
                  std::int64_t dimensions, std::int64_t j) {
  if (!which.has_variance()) return 0.0;
  switch (which.variance) {
    case VarianceKind::kUnit:
      return 0.0;
    case VarianceKind::kFixed:
      return std::log(static_cast<double>(which.fixed_variance));
    case VarianceKind::kLearned:
      return static_cast<double>(clamp_log_var(own(0), which.clamp));
    case VarianceKind::kPerDimension:
      return static_cast<double>(clamp_log_var(own(j), which.clamp));
    case VarianceKind::kPerElement:
      return static_cast<double>(clamp_log_var(element[which.locations() * dimensions], which.clamp));
  }
  throw std::logic_error("a variance that comes from nowhere");
}

/// A NaN would keep a rejection loop from ending.
bool has_nan(const Element& e, int locations) {
  for (int k = 0; k < locations; ++k) {
    if (std::isnan(e.location(k))) return true;
  }
  return std::isnan(e.log_var);
}

float to_float(double x) {
  constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());
  return static_cast<float>(std::clamp(x, -kLargest, kLargest));
}

}  // namespace

std::vector<float> draw_observations(const Likelihood& which, View<const float, 2> output,
                                     View<const float, 1> own, const NoiseStream& noise,
                                     std::uint32_t first_row) {
  const std::int64_t X = output.cols / which.outputs();
  FELBO_CHECK(X >= 1 && X * which.outputs() == output.cols,
              "{} columns of output are not {} for each dimension", output.cols, which.outputs());
  FELBO_CHECK(own.size == which.own_parameters(X), "own must have {} log-variances, got {}",
              which.own_parameters(X), own.size);
  FELBO_CHECK(output.rows <= (std::int64_t{1} << 32) - first_row,
              "the noise has names for 2^32 rows: {} from {} on are too many", output.rows, first_row);
  FELBO_CHECK(
      can_draw(which),
      "a multinomial's counts of a row have a sum N that the model does not give: take E[x / N|z] in place "
      "of draws");
  const bool levels = which.family == LikelihoodFamily::kCategorical;
  const int locations = levels ? which.categories : which.locations();
  const NoiseStream now = noise.now();
  std::vector<float> x;
  x.reserve(static_cast<std::size_t>(output.rows * X));
  for (std::int64_t i = 0; i < output.rows; ++i) {
    for (std::int64_t j = 0; j < X; ++j) {
      const float* first = output.row(i) + (levels ? j * locations : j);
      const Element element{first, levels ? 1 : X, log_var_of(which, own, first, X, j)};
      ElementWords words(now, first_row + static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(j));
      x.push_back(has_nan(element, locations) ? std::numeric_limits<float>::quiet_NaN()
                  : levels                    ? to_float(categorical(first, locations, words))
                                              : to_float(draw(which, element, words)));
    }
  }
  return x;
}

}  // namespace felbo
