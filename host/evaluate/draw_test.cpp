// Draws against the distribution that they come from: its function, mean and variance, each written down here
// from the family's formula. Seeds are fixed, so a test that passes goes on passing; with other seeds each
// comparison of a right program would fail once in a million, and there are about 150 of them.
#include "host/evaluate/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using Function = std::function<double(double)>;
using Values = std::vector<double>;
constexpr double kPi = std::numbers::pi;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

constexpr int kDraws = 40000;
constexpr double kSigmas = 4.9;       // a normal lies beyond on either side once in a million
constexpr double kKolmogorov = 2.70;  // 2 exp(-2 t^2), the chance of sqrt(n) D > t, is 1e-6 (rounded up)
constexpr double kOneSided = 4.76;    // for chi-square, which is large when it is wrong

NoiseStream noise(std::uint64_t seed = 5) { return {seed, 0, Purpose::kObservation}; }

Likelihood family(const char* name, const char* variance = "unit", float nu = 5) {
  return likelihood_from_names(name, variance, {}, nu);
}

/// kDraws of one element with these outputs.
Values draws_of(const Likelihood& which, const std::vector<float>& outputs, std::vector<float> own = {}) {
  const View<const float, 2> output{outputs.data(), kDraws, static_cast<std::int64_t>(outputs.size()), 0};
  const std::vector<float> x =
      draw_observations(which, output, {own.data(), static_cast<std::int64_t>(own.size())}, noise());
  return {x.begin(), x.end()};
}

struct Moments {
  double mean, variance, error_of_mean, error_of_variance;  // standard errors, of the draws
};

Moments moments_of(const Values& x) {
  const double n = double(x.size());
  double mean = 0, m2 = 0, m4 = 0;
  for (const double v : x) mean += v / n;
  for (const double v : x) m2 += std::pow(v - mean, 2) / n, m4 += std::pow(v - mean, 4) / n;
  return {mean, m2, std::sqrt(m2 / n), std::sqrt((m4 - m2 * m2) / n)};
}

void expect_moments(const Values& x, double mean, double variance) {
  const Moments m = moments_of(x);
  EXPECT_LT(std::abs(m.mean - mean), kSigmas * m.error_of_mean) << m.mean << " for " << mean;
  EXPECT_LT(std::abs(m.variance - variance), kSigmas * m.error_of_variance)
      << m.variance << " for " << variance;
}

/// Kolmogorov and Smirnov's test. A float's rounding moves the function by far less than 1 / sqrt(kDraws).
void expect_distribution(Values x, const Function& cdf) {
  std::ranges::sort(x);
  const double n = double(x.size());
  double furthest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = cdf(x[i]);
    furthest = std::max({furthest, at - double(i) / n, double(i + 1) / n - at});
  }
  EXPECT_LT(std::sqrt(n) * furthest, kKolmogorov);
}

/// Pearson's chi-square over the values 0, 1, ..., `last` (each / `unit`) in bins of 20 or more expected, and
/// the mean and variance of the same probabilities. What lies beyond `last` joins the last bin. The quantile
/// is that of Wilson and Hilferty (1931).
void expect_masses(const Values& x, double unit, int last, const Function& log_mass) {
  std::vector<double> seen(std::size_t(last) + 1);
  for (const double v : x) {
    const double level = std::round(v * unit);
    ASSERT_NEAR(level, v * unit, 1e-4);
    ASSERT_GE(level, 0);
    seen[std::size_t(std::min(level, double(last)))] += 1;
  }
  double expected = 0, count = 0, chi_square = 0, mass = 0, mean = 0, square = 0;
  int bins = 0;
  for (int k = 0; k <= last; ++k) {
    const double p = std::exp(log_mass(k));
    mass += p, mean += p * k, square += p * k * k;
    expected += p * double(x.size()), count += seen[std::size_t(k)];
    const double rest = (1 - mass) * double(x.size());
    if (k < last && (expected < 20 || rest < 20)) continue;
    if (k == last) expected += rest;
    chi_square += std::pow(count - expected, 2) / std::max(expected, 1e-9);
    expected = count = 0;
    ++bins;
  }
  ASSERT_NEAR(mass, 1, 1e-6) << "the test's own masses";
  if (bins > 1) {
    const double f = bins - 1, spread = 2 / (9 * f);
    EXPECT_LT(chi_square, f * std::pow(1 - spread + kOneSided * std::sqrt(spread), 3)) << bins << " bins";
  }
  expect_moments(x, mean / unit, (square - mean * mean) / (unit * unit));
}

double logistic(double a) { return 1 / (1 + std::exp(-a)); }

TEST(Draw, Bernoulli) {
  for (const float logit : {-4.0f, -0.5f, 0.0f, 2.0f}) {
    SCOPED_TRACE(logit);
    expect_masses(draws_of(family("bernoulli"), {logit}), 1, 1,
                  [&](double k) { return std::log(k > 0 ? logistic(logit) : logistic(-logit)); });
  }
}

TEST(Draw, BernoulliOfCertainPixels) {
  for (const double x : draws_of(family("bernoulli"), {200.0f})) ASSERT_EQ(x, 1);
  for (const double x : draws_of(family("bernoulli"), {-200.0f})) ASSERT_EQ(x, 0);
}

TEST(Draw, Gaussian) {
  for (const float log_var : {-6.0f, 0.0f, 3.0f}) {
    const double sigma = std::exp(double(log_var) / 2);
    const Values x = draws_of(family("gaussian", "learned"), {1.5f}, {log_var});
    expect_distribution(x, [&](double v) { return std::erfc((1.5 - v) / (sigma * std::sqrt(2.0))) / 2; });
    expect_moments(x, 1.5, sigma * sigma);
  }
}

TEST(Draw, Laplace) {
  for (const float log_var : {-6.0f, 0.0f, 3.0f}) {
    const double b = std::exp(double(log_var) / 2);
    const Values x = draws_of(family("laplace", "learned"), {-2.0f}, {log_var});
    expect_distribution(x, [&](double v) {
      const double a = (v + 2) / b;
      return a < 0 ? std::exp(a) / 2 : 1 - std::exp(-a) / 2;
    });
    expect_moments(x, -2, 2 * b * b);
  }
}

/// Abramowitz and Stegun, 26.7.3 and 26.7.4: the function of a Student's t with a whole number of degrees.
double student_cdf(double t, int nu) {
  const double theta = std::atan(t / std::sqrt(nu)), s = std::sin(theta), c = std::cos(theta);
  double term = nu % 2 == 1 ? c : 1, sum = nu == 1 ? 0 : term;
  for (int k = nu % 2 == 1 ? 3 : 2; k < nu; k += 2) sum += term *= c * c * (k - 1) / k;
  return (1 + (nu % 2 == 1 ? 2 / kPi * (theta + s * sum) : s * sum)) / 2;
}

TEST(Draw, StudentT) {
  for (const int nu : {1, 2, 5, 10, 101}) {
    SCOPED_TRACE(nu);
    const double sigma = std::exp(-0.75);
    const Values x = draws_of(family("student-t", "learned", float(nu)), {0.5f}, {-1.5f});
    expect_distribution(x, [&](double v) { return student_cdf((v - 0.5) / sigma, nu); });
    if (nu > 8) expect_moments(x, 0.5, sigma * sigma * nu / (nu - 2));  // else their errors have no variance
  }
}

TEST(Draw, StudentTOfTheHeaviestTailsStaysFinite) {
  double largest = 0;
  for (const double x : draws_of(family("student-t", "unit", 1e-3f), {0.0f})) {
    ASSERT_TRUE(std::isfinite(x));
    largest = std::max(largest, std::abs(x));
  }
  EXPECT_EQ(largest, double{std::numeric_limits<float>::max()});
}

TEST(Draw, DiscretizedLogistic) {
  struct Case {
    float location, log_var;
  };
  // A spread of 0.0006 is narrower than a level, one of 1.6 wider than all of them; two locations outside.
  for (const auto& [m, log_var] :
       {Case{0.5f, -6}, Case{0.3f, -15}, Case{0.02f, -5}, Case{0.9f, 1}, Case{-0.1f, -4}, Case{1.2f, -3}}) {
    SCOPED_TRACE(m);
    const double s = std::exp(double(log_var) / 2);
    const auto cdf = [&](double level) {
      return level < 0 ? 0 : level >= 255 ? 1 : logistic(((level + 0.5) / 255 - m) / s);
    };
    expect_masses(draws_of(family("discretized-logistic", "learned"), {m}, {log_var}), 255, 255,
                  [&](double k) { return std::log(cdf(k) - cdf(k - 1)); });
  }
}

TEST(Draw, DiscretizedLogisticGivesTheDataSetsOwnFloats) {
  for (const double x : draws_of(family("discretized-logistic"), {0.5f})) {
    const auto level = float(std::round(255 * x));
    ASSERT_EQ(float(x), level / 255.0f);
  }
}

TEST(Draw, ContinuousBernoulli) {
  for (const float logit : {-30.0f, -2.0f, -1e-7f, 0.0f, 1e-3f, 1.0f, 25.0f}) {
    SCOPED_TRACE(logit);
    const double l = logit;
    const Values x = draws_of(family("continuous-bernoulli"), {logit});
    expect_distribution(x,
                        [&](double v) { return std::abs(l) < 1e-6 ? v : std::expm1(l * v) / std::expm1(l); });
    const bool flat = std::abs(l) < 0.01;
    const double spread = std::pow(2 * std::sinh(l / 2), -2.0);
    expect_moments(x, flat ? 0.5 + l / 12 : 1 / -std::expm1(-l) - 1 / l,
                   flat ? 1.0 / 12 : 1 / (l * l) - spread);
  }
}

TEST(Draw, ContinuousBernoulliOfHugeLogitsStaysInTheUnitInterval) {
  for (const float logit : {-3e4f, 3e4f, -3e38f, 3e38f}) {
    for (const double x : draws_of(family("continuous-bernoulli"), {logit})) {
      ASSERT_GE(x, 0);
      ASSERT_LE(x, 1);
      ASSERT_NEAR(x, logit < 0 ? 0 : 1, 1e-2);
    }
  }
}

TEST(Draw, Poisson) {
  for (const double rate : {0.05, 1.0, 5.0, 11.9, 12.5, 90.0, 3000.0}) {
    SCOPED_TRACE(rate);
    const auto log_rate = float(std::log(rate));
    const double l = log_rate;
    expect_masses(draws_of(family("poisson"), {log_rate}), 1, int(rate + 12 * std::sqrt(rate) + 12),
                  [&](double k) { return k * l - std::exp(l) - std::lgamma(k + 1); });
  }
}

TEST(Draw, PoissonOfLargeRatesIsNormal) {
  // Below and above the rate at which it is drawn as one, and at the clamp.
  for (const float log_rate : {20.0f, 25.0f, 30.0f, 80.0f}) {
    const double rate = std::exp(std::min(double(log_rate), 30.0));
    const Values x = draws_of(family("poisson"), {log_rate});
    // Floats of this size are this far apart.
    const double grid = rate * std::pow(2.0, -23);
    const Moments m = moments_of(x);
    EXPECT_LT(std::abs(m.mean - rate), kSigmas * m.error_of_mean + grid);
    EXPECT_LT(std::abs(m.variance - rate), kSigmas * m.error_of_variance + grid * grid);
  }
}

Function negative_binomial(double mu, double alpha) {
  const double r = 1 / alpha;
  return [=](double k) {
    return std::lgamma(k + r) - std::lgamma(r) - std::lgamma(k + 1) - r * std::log1p(alpha * mu) +
           k * std::log(alpha * mu / (1 + alpha * mu));
  };
}

TEST(Draw, NegativeBinomial) {
  struct Case {
    double mu, alpha;
    int last;
  };
  for (const auto& [mu, alpha, last] :
       {Case{3, 0.5, 200}, Case{0.2, 4, 200}, Case{40, 1e-4, 200}, Case{50, 1, 2000}, Case{5, 10, 3000}}) {
    SCOPED_TRACE(mu);
    const auto log_mean = float(std::log(mu)), log_alpha = float(std::log(alpha));
    expect_masses(draws_of(family("negative-binomial", "learned"), {log_mean}, {log_alpha}), 1, last,
                  negative_binomial(std::exp(double(log_mean)), std::exp(double(log_alpha))));
  }
}

TEST(Draw, NegativeBinomialOfExtremeDispersions) {
  const Likelihood which = likelihood_from_names("negative-binomial", "learned", {-40, 40});
  // A dispersion of 0 but for a rounding is a Poisson; one without end gives nothing but zeros, nearly.
  expect_masses(draws_of(which, {1.0f}, {-40.0f}), 1, 60,
                [&](double k) { return k - std::exp(1.0) - std::lgamma(k + 1); });
  for (const double x : draws_of(which, {30.0f}, {40.0f})) ASSERT_TRUE(std::isfinite(x) && x >= 0);
}

TEST(Draw, ZeroInflatedNegativeBinomial) {
  for (const float logit : {-3.0f, 0.0f, 2.0f}) {
    SCOPED_TRACE(logit);
    const auto log_mean = float(std::log(4.0)), log_alpha = float(std::log(0.3));
    const Function counts = negative_binomial(std::exp(double(log_mean)), std::exp(double(log_alpha)));
    expect_masses(
        draws_of(family("zero-inflated-negative-binomial", "learned"), {log_mean, logit}, {log_alpha}), 1,
        200, [&](double k) {
          const double own = logistic(-logit) * std::exp(counts(k));
          return std::log(k > 0 ? own : own + logistic(logit));
        });
  }
}

// --- where the variance comes from -----------------------------------------------------------------------

double variance_of(const std::vector<float>& x, std::int64_t X, std::int64_t j) {
  Values column;
  for (std::size_t i = std::size_t(j); i < x.size(); i += std::size_t(X)) column.push_back(x[i]);
  return moments_of(column).variance;
}

TEST(Draw, TakesTheVarianceFromWhereItIs) {
  constexpr std::int64_t X = 3;
  const double tolerance = kSigmas * std::sqrt(2.0 / kDraws);  // of a normal's variance, relative
  const std::vector<float> own{-1.0f, 0.5f, 2.0f}, means{5, 6, 7}, both{5, 6, 7, -1.0f, 0.5f, 2.0f};
  const auto expect = [&](const char* variance, const std::vector<float>& outputs, std::int64_t owned,
                          const Values& want) {
    SCOPED_TRACE(variance);
    const View<const float, 2> output{outputs.data(), kDraws, std::int64_t(outputs.size()), 0};
    const std::vector<float> x =
        draw_observations(family("gaussian", variance), output, {own.data(), owned}, noise());
    for (std::int64_t j = 0; j < X; ++j) {
      EXPECT_NEAR(variance_of(x, X, j) / want[std::size_t(j)], 1, tolerance) << j;
    }
  };
  const Values each{std::exp(-1.0), std::exp(0.5), std::exp(2.0)};
  expect("unit", means, 0, {1, 1, 1});
  expect("fixed:0.25", means, 0, {0.25, 0.25, 0.25});
  expect("learned", means, 1, {each[0], each[0], each[0]});
  expect("per-dimension", means, 3, each);
  expect("per-element", both, 0, each);
}

TEST(Draw, ClampsLogVariancesAsTheLikelihoodDoes) {
  const double tolerance = kSigmas * std::sqrt(2.0 / kDraws);
  for (const char* variance : {"learned", "per-dimension", "per-element"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {-1.0f, 0.5f});
    for (const float log_var : {-9.0f, 9.0f}) {
      const bool element = which.variance == VarianceKind::kPerElement;
      const Values x = draws_of(which, element ? std::vector<float>{0, log_var} : std::vector<float>{0},
                                element ? std::vector<float>{} : std::vector<float>{log_var});
      EXPECT_NEAR(moments_of(x).variance / std::exp(log_var < 0 ? -1.0 : 0.5), 1, tolerance) << variance;
    }
  }
  // One that the user fixed is not.
  const Values x = draws_of(likelihood_from_names("gaussian", "fixed:9", {-1.0f, 0.5f}), {0.0f});
  EXPECT_NEAR(moments_of(x).variance / 9, 1, tolerance);
}

// --- names and bits --------------------------------------------------------------------------------------

const char* const kAll[] = {"bernoulli",
                            "gaussian",
                            "laplace",
                            "student-t",
                            "discretized-logistic",
                            "continuous-bernoulli",
                            "poisson",
                            "negative-binomial",
                            "zero-inflated-negative-binomial"};

TEST(Draw, AnElementIsAFunctionOfItsName) {
  constexpr std::int64_t R = 33, X = 31;
  for (const char* name : kAll) {
    SCOPED_TRACE(name);
    const Likelihood which = family(name);
    std::vector<float> values(std::size_t(R * (X * which.outputs() + 3)));
    test::fill_normal({values.data(), 1, std::int64_t(values.size())}, 4);
    const View<const float, 2> output{values.data(), R, X * which.outputs(), X * which.outputs() + 3};
    const std::vector<float> all = draw_observations(which, output, {}, noise());
    ASSERT_EQ(all.size(), std::size_t(R * X));
    for (const std::int64_t row : {0, 7, 32}) {
      const std::vector<float> one =
          draw_observations(which, output.row_slice(row, 1), {}, noise(), std::uint32_t(row));
      EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + row * X)) << row;
    }
    EXPECT_NE(all, draw_observations(which, output, {}, noise(6)));
    EXPECT_NE(all, draw_observations(which, output, {}, {5, 1, Purpose::kObservation}));
    EXPECT_NE(all, draw_observations(which, output, {}, {5, 0, Purpose::kPrior}));
    EXPECT_NE(all, draw_observations(which, output, {}, noise(), 1));
  }
}

/// Neighbours along a row, along a column, and of the next seed share nothing.
TEST(Draw, ElementsAreIndependent) {
  constexpr std::int64_t R = 400, X = 101;
  const std::vector<float> outputs(X, 0.0f);
  const auto normals = [&](std::uint64_t seed) {
    return draw_observations(family("gaussian"), {outputs.data(), R, X, 0}, {}, noise(seed));
  };
  const std::vector<float> x = normals(5), other = normals(6);
  const auto expect_uncorrelated = [&](const std::vector<float>& y, std::size_t lag) {
    double sum = 0;
    const std::size_t count = x.size() - lag;
    for (std::size_t i = 0; i < count; ++i) sum += double{x[i]} * double{y[i + lag]};
    EXPECT_LT(std::abs(sum), kSigmas * std::sqrt(double(count))) << lag;
  };
  expect_uncorrelated(x, 1);
  expect_uncorrelated(x, 2);
  expect_uncorrelated(x, X);
  expect_uncorrelated(x, X + 1);
  expect_uncorrelated(other, 0);
}

TEST(Draw, NanGivesNanAndNothingElse) {
  for (const char* name : kAll) {
    SCOPED_TRACE(name);
    const Likelihood which = family(name, "per-element");
    std::vector<float> outputs(std::size_t(2 * which.outputs()), 0.25f);
    for (int k = 0; k < which.outputs(); ++k) {
      outputs[std::size_t(2 * k + 1)] = kNan;
      const std::vector<float> x =
          draw_observations(which, {outputs.data(), 1, std::int64_t(outputs.size())}, {}, noise());
      EXPECT_TRUE(std::isfinite(x[0]));
      EXPECT_TRUE(std::isnan(x[1]));
      outputs[std::size_t(2 * k + 1)] = 0.25f;
    }
  }
}

TEST(Draw, RefusesShapesThatDoNotFit) {
  const std::vector<float> values(12);
  const auto message = [&](const Likelihood& which, std::int64_t cols, std::int64_t own,
                           std::uint32_t first) -> std::string {
    try {
      draw_observations(which, {values.data(), 2, cols}, {values.data(), own}, noise(), first);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message(family("gaussian", "per-element"), 5, 0, 0),
            "5 columns of output are not 2 for each dimension");
  EXPECT_EQ(message(family("gaussian", "per-dimension"), 5, 4, 0), "own must have 5 log-variances, got 4");
  EXPECT_EQ(message(family("gaussian"), 5, 0, 0xffffffffu),
            "the noise has names for 2^32 rows: 2 from 4294967295 on are too many");
  EXPECT_EQ(message(family("gaussian"), 5, 0, 0xfffffffeu), "nothing was thrown");
}

// The share of each level is within 5 standard errors of its softmax: a false alarm in 1 of 300,000 runs. The
// second dimension has logits of its own.
TEST(DrawObservations, LevelsOfACategorical) {
  Likelihood which{.family = LikelihoodFamily::kCategorical, .categories = 4};
  constexpr std::int64_t kDraws = 20'000;
  const std::vector<float> logits{0.5f, -1.0f, 2.0f, 0.0f, -30.0f, 1.0f, 1.0f, -2.0f};
  std::vector<float> output;
  for (std::int64_t i = 0; i < kDraws; ++i) output.insert(output.end(), logits.begin(), logits.end());
  const std::vector<float> x = draw_observations(which, View<const float, 2>(output.data(), kDraws, 8), {},
                                                 {3, 0, Purpose::kObservation});
  ASSERT_EQ(x.size(), 2u * kDraws);
  for (std::size_t j = 0; j < 2; ++j) {
    double sum = 0;
    for (std::size_t k = 0; k < 4; ++k) sum += std::exp(double(logits[4 * j + k]));
    std::vector<double> counts(4);
    for (std::size_t i = j; i < x.size(); i += 2) {
      const double level = std::round(3 * double(x[i]));
      EXPECT_NEAR(double(x[i]), level / 3, 1e-7);
      counts.at(std::size_t(level)) += 1;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      const double p = std::exp(double(logits[4 * j + k])) / sum;
      EXPECT_NEAR(counts[k], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 0.5) << j << " " << k;
    }
  }
}

TEST(DrawObservations, AMultinomialHasNoTotalOfItsOwn) {
  const std::vector<float> output(3);
  EXPECT_THROW(
      draw_observations({.family = LikelihoodFamily::kMultinomial}, View<const float, 2>(output.data(), 1, 3),
                        {}, {1, 0, Purpose::kObservation}),
      std::invalid_argument);
}

}  // namespace
}  // namespace felbo
