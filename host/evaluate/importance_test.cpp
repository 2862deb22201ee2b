#include "host/evaluate/importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace felbo {
namespace {

const double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::nan("");

WeightDiagnostics diagnose(const std::vector<double>& log_w) {
  WeightTail tail(static_cast<std::int64_t>(log_w.size()));
  for (const double v : log_w) tail.add(v);
  return tail.diagnose();
}

/// K log-weights, f of uniform numbers on a grid in a scattered order.
std::vector<double> scattered(int K, const std::function<double(double)>& f) {
  std::vector<double> out;
  for (std::int64_t i = 1; i <= K; ++i) out.push_back(f((double(i * 7919 % K) + 0.5) / K));
  return out;
}

TEST(TailLength, IsThatOfThePaper) {
  EXPECT_EQ(tail_length(1), 1);
  EXPECT_EQ(tail_length(20), 4);
  EXPECT_EQ(tail_length(21), 5);
  EXPECT_EQ(tail_length(100), 20);
  EXPECT_EQ(tail_length(225), 45);  // where K / 5 = 3 sqrt K
  EXPECT_EQ(tail_length(1000), 95);
  EXPECT_EQ(tail_length(1'000'000), 3000);
}

// Golden values: psislw() of ArviZ 0.x, another implementation of the paper. The sums of the fit have up to
// 213 terms, on grids of 44 points: 1e-9 leaves room for their roundings, which the grid's differences
// amplify.
TEST(KHat, GoldenValues) {
  struct Golden {
    const char* name;
    std::function<double(double)> f;
    double want[4];  // for K = 25, 100, 1000, 5000
  };
  const Golden goldens[] = {
      {"log-logistic",
       [](double u) { return 0.8 * std::log(u / (1 - u)); },
       {0.5731903985748251, 0.6543142813115083, 0.751774128292091, 0.7773394472387595}},
      {"Pareto 0.9",
       [](double u) { return -0.9 * std::log(u); },
       {0.6042117338168264, 0.720596743489738, 0.8442664334030595, 0.8737133169487152}},
      {"Pareto 0.3",
       [](double u) { return -0.3 * std::log(u); },
       {0.4512926042661839, 0.37726986816579694, 0.32356064382606115, 0.3112787572029243}},
      {"uniform",
       [](double u) { return std::log(u); },
       {0.12653389959211367, -0.40462148035522866, -0.8192112494404742, -0.903345285645423}}};
  const int counts[] = {25, 100, 1000, 5000};
  for (const Golden& golden : goldens) {
    for (int i = 0; i < 4; ++i)
      EXPECT_NEAR(diagnose(scattered(counts[i], golden.f)).k_hat, golden.want[i], 1e-9)
          << golden.name << " " << counts[i];
  }
}

TEST(KHat, DoesNotDependOnScaleOrOrder) {
  std::vector<double> log_w = scattered(500, [](double u) { return -0.6 * std::log(u); });
  const WeightDiagnostics first = diagnose(log_w);
  std::ranges::reverse(log_w);
  for (const double shift : {0.0, 1e4, -1e4}) {
    std::vector<double> shifted = log_w;
    for (double& v : shifted) v += shift;
    const WeightDiagnostics other = diagnose(shifted);
    // A log-weight of 1e4 has lost 1e-12 of itself before it gets here.
    EXPECT_NEAR(other.k_hat, first.k_hat, 1e-9) << shift;
    EXPECT_NEAR(other.effective_samples, first.effective_samples, 1e-8) << shift;
    EXPECT_NEAR(other.standard_error, first.standard_error, 1e-9) << shift;
  }
}

TEST(KHat, OfEqualWeightsIsMinusInfinity) {
  EXPECT_EQ(diagnose(std::vector<double>(100, -91.3)).k_hat, -kInfinity);
  // Equal but for the rounding of floats of this size.
  std::vector<double> log_w = scattered(100, [](double u) { return double(float(-91.3 + 1e-5 * u)); });
  EXPECT_EQ(diagnose(log_w).k_hat, -kInfinity);
  log_w = scattered(100, [](double u) { return double(float(-91.3 + 1e-2 * u)); });
  EXPECT_TRUE(std::isfinite(diagnose(log_w).k_hat));
}

TEST(KHat, IsNotDefinedForFewSamplesOrManyTies) {
  EXPECT_TRUE(std::isnan(diagnose(scattered(20, [](double u) { return u; })).k_hat));
  EXPECT_TRUE(std::isfinite(diagnose(scattered(21, [](double u) { return u; })).k_hat));
  std::vector<double> ties(100, 0.0);
  ties[3] = 1.0;  // all but one equal the threshold
  EXPECT_TRUE(std::isnan(diagnose(ties).k_hat));
  EXPECT_THROW(fit_pareto_shape({1, 2, 3, 4}), std::invalid_argument);
  EXPECT_THROW(WeightTail(0), std::invalid_argument);
}

TEST(EffectiveSamples, ByHand) {
  EXPECT_DOUBLE_EQ(diagnose({2, 2, 2, 2}).effective_samples, 4);
  EXPECT_DOUBLE_EQ(diagnose({2, 2, -kInfinity, -kInfinity}).effective_samples, 2);
  EXPECT_DOUBLE_EQ(diagnose({800, -800}).effective_samples, 1);
  EXPECT_NEAR(diagnose({std::log(1.0), std::log(3.0)}).effective_samples, 16.0 / 10, 1e-14);
}

// Weights 1 and 3: mean 2, variance (divisor K - 1) 2, of the mean 1; of its logarithm 1 / 2^2.
TEST(StandardError, ByTheDeltaMethod) {
  EXPECT_NEAR(diagnose({std::log(1.0), std::log(3.0)}).standard_error, 0.5, 1e-14);
  EXPECT_EQ(diagnose({5, 5, 5}).standard_error, 0.0);
  EXPECT_TRUE(std::isnan(diagnose({5}).standard_error));
  EXPECT_DOUBLE_EQ(diagnose({5}).effective_samples, 1);
}

TEST(WeightTail, ASpoiltWeightSpoilsAllFigures) {
  for (const double bad : {kNaN, kInfinity}) {
    for (const std::size_t at : {0, 50, 99}) {
      std::vector<double> log_w = scattered(100, [](double u) { return u; });
      log_w[at] = bad;
      const WeightDiagnostics d = diagnose(log_w);
      EXPECT_TRUE(std::isnan(d.k_hat) && std::isnan(d.standard_error) && std::isnan(d.effective_samples))
          << bad << " " << at;
    }
  }
  EXPECT_TRUE(std::isnan(diagnose(std::vector<double>(50, -kInfinity)).effective_samples));
}

TEST(Summary, CountsAndNamesTheUnreliable) {
  const auto datum = [](double k_hat, double effective) { return WeightDiagnostics{0.3, effective, k_hat}; };
  const WeightSummary s = summarize({datum(0.2, 50), datum(0.6, 40), datum(0.9, 3), datum(kNaN, 30),
                                     datum(-kInfinity, 100), datum(0.72, 20)});
  EXPECT_EQ(s.unreliable, 3);
  EXPECT_EQ(s.worst, (std::vector<std::int64_t>{3, 2, 5}));
  EXPECT_DOUBLE_EQ(s.k_hat_median, 0.6);  // of five
  EXPECT_DOUBLE_EQ(s.effective_median, 35);
  EXPECT_DOUBLE_EQ(s.effective_least, 3);
  EXPECT_NEAR(s.sampling_error, 0.3 / std::sqrt(6.0), 1e-15);
  const WeightSummary many = summarize(std::vector<WeightDiagnostics>(40, datum(2.0, 1)));
  EXPECT_EQ(many.unreliable, 40);
  EXPECT_EQ(many.worst.size(), 10u);
}

}  // namespace
}  // namespace felbo
