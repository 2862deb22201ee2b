// Categorical and multinomial: golden values, arguments far out, and probabilities that sum to one. (Parity
// in all shapes: likelihood_test.cpp.)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "host/check/tolerance.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/likelihood/test_problem.h"

namespace felbo {
namespace {

using test::kEps;
using test::kTiny;
using test::Parity;
using test::Problem;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Likelihood categorical_of(int K) { return likelihood_from_names("categorical", "unit", {}, 5, K); }
Likelihood multinomial_of() { return likelihood_from_names("multinomial", "unit", {}); }

/// log p of one row, its gradient, and log p's value of the reference.
struct Row {
  std::vector<float> x, logits;
};
struct RowOutcome {
  float log_px;
  std::vector<float> grad;
};

RowOutcome evaluate(const Likelihood& which, const Row& row) {
  const auto n = static_cast<std::int64_t>(row.x.size());
  Problem p(which, {1, 1, n});
  std::ranges::copy(row.x, p.x.matrix().row(0));
  std::ranges::copy(row.logits, p.output.matrix().row(0));
  likelihood(test::exec(1), which, p.args(true, 1.0f));
  const float* grad = p.output.matrix().row(0);
  return {p.log_px.vector()(0), {grad, grad + row.logits.size()}};
}

reference::LikelihoodOutcome<double> reference_of(const Likelihood& which, const Row& row) {
  return reference::likelihood<double>(which, {1,
                                               1,
                                               static_cast<std::int64_t>(row.x.size()),
                                               {row.x.begin(), row.x.end()},
                                               {row.logits.begin(), row.logits.end()},
                                               {},
                                               1.0});
}

/// x of `level`.
float level_of(int level, int K) {
  return static_cast<float>(level) / static_cast<float>(std::max(K - 1, 1));
}

// --- The reference

struct Golden {
  Row row;
  double log_px;
  std::vector<double> grad;
};

void expect_golden(const Likelihood& which, const Golden& g) {
  const auto got = reference_of(which, g.row);
  EXPECT_NEAR(got.log_px_given_z[0], g.log_px, 1e-14 * (1 + got.log_px_scale[0])) << g.log_px;
  for (std::size_t k = 0; k < g.grad.size(); ++k)
    EXPECT_NEAR(got.grad_output[k], g.grad[k], 1e-14 * (1 + got.grad_scale[k])) << g.log_px << " " << k;
}

// mpmath, 40 digits.
TEST(SoftmaxReference, CategoricalGoldenValues) {
  const auto golden = [](std::vector<float> logits, int level, double log_px, std::vector<double> grad) {
    const auto K = static_cast<int>(logits.size());
    expect_golden(categorical_of(K), {{{level_of(level, K)}, std::move(logits)}, log_px, std::move(grad)});
  };
  golden({0}, 0, 0, {0});
  golden({0.5f, -1.25f}, 0, -0.1602241504380872268869476,
         {0.1480471980316894697061849, -0.1480471980316894697061849});
  golden({0.5f, -1.25f}, 1, -1.910224150438087226886948,
         {-0.8519528019683105302938151, 0.8519528019683105302938151});
  golden({1, 2, 3, 4}, 2, -1.440189698561195330492722,
         {-0.03205860328008498845081147, -0.08714431874203256748945939, 0.7631171819100898677019707,
          -0.6439142598879723117616999});
  golden({1e4f, -1e4f, 0}, 0, 0, {0, 0, 0});
  golden({1e4f, -1e4f, 0}, 1, -20000, {-1, 1, 0});
  golden({-40, 0, 2.5f}, 0, -42.57888973429254962366632,
         {1, -0.07585818002124355116885918, -0.9241418199787564485088684});
  golden({0.25f, 0.25f, 0.25f}, 1, -1.098612288668109691395245, {-1.0 / 3, 2.0 / 3, -1.0 / 3});
}

TEST(SoftmaxReference, MultinomialGoldenValues) {
  const auto golden = [](std::vector<float> logits, std::vector<float> x, double log_px,
                         std::vector<double> grad) {
    expect_golden(multinomial_of(), {{std::move(x), std::move(logits)}, log_px, std::move(grad)});
  };
  golden({0.5f}, {7}, 0, {0});
  golden({0.5f, -1.25f, 2}, {3, 0, 5}, -2.33562417408111217843096,
         {1.585438543140445746312883, -0.2458139226114914545183944, -1.339624620528954291794489});
  golden({1e4f, -1e4f, 0}, {1, 0, 0}, 0, {0, 0, 0});
  golden({1e4f, -1e4f, 0}, {2, 1, 0}, -19998.9013877113318903086, {-1, 1, 0});
  golden({0.1f, 0.2f, 0.3f}, {0, 0, 0}, 0, {0, 0, 0});
  golden({13.75f, 12.5f, -3}, {1e6f, 250000, 0}, -1915.395883675418199192234,
         {28375.21367877523405692754, -28375.16202928811446046742, -0.05164948711959646011453595});
  golden({0, 0, -30}, {0, 10, 1}, -35.2267237133615425287909,
         {-5.499999999999742665368357, 4.500000000000257334631643, 0.9999999999994853307367138});
  golden({2, -1}, {0, 1}, -3.048587351573742058758926,
         {-0.9525741268224332191211518, 0.9525741268224332191211518});
}

// --- The fast path where arguments are extreme

void expect_reference(Parity& parity, const std::string& what, const Likelihood& which, const Row& row) {
  const auto want = reference_of(which, row);
  const RowOutcome got = evaluate(which, row);
  const auto n = static_cast<std::int64_t>(row.x.size());
  parity.element(what, 0, 0, got.log_px, want.log_px_given_z[0],
                 checks::log_px_k(which, n) * kEps * want.log_px_scale[0] + kTiny);
  for (std::size_t k = 0; k < got.grad.size(); ++k) {
    parity.element(what + " grad", 0, static_cast<std::int64_t>(k), got.grad[k], want.grad_output[k],
                   checks::output_gradient_k(which) * kEps * want.grad_scale[k] + kTiny);
  }
}

TEST(Softmax, CategoricalIsRightFarOut) {
  Parity parity;
  const std::vector<float> values{0, 1e4f, -1e4f, 3, 87, -87.5f, 1e-30f, 2e37f, -2e37f, 20};
  for (const int K : {1, 2, 3, 4, 5, 16, 17, 31, 39, 40, 41, 64, 65, 255, 256, 257, 1000}) {
    for (std::size_t shift = 0; shift < values.size(); ++shift) {
      Row row{{}, {}};
      for (const int level : {0, K / 2, K - 1}) {
        row.x.push_back(level_of(level, K));
        for (int k = 0; k < K; ++k)
          row.logits.push_back(values[(static_cast<std::size_t>(k) * 7 + shift) % values.size()]);
      }
      expect_reference(parity, fmt::format("K {} shift {}", K, shift), categorical_of(K), row);
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

TEST(Softmax, MultinomialIsRightFarOut) {
  Parity parity;
  const std::vector<float> counts{0, 1, 3, 0, 1e6f, 0, 40, 1000, 0},
      logits{0, 1e4f, -1e4f, 3, 13.8f, -87, 5, 0.5f};
  for (const int n : {1, 2, 5, 16, 33, 300, 1500}) {
    for (std::size_t shift = 0; shift < 8; ++shift) {
      Row row, mild;
      for (int j = 0; j < n; ++j) {
        row.x.push_back(counts[(static_cast<std::size_t>(j) * 2 + shift) % counts.size()]);
        row.logits.push_back(logits[(static_cast<std::size_t>(j) * 3 + shift) % logits.size()]);
      }
      mild = row;
      for (float& l : mild.logits) l *= 1e-3f;
      const std::string what = fmt::format("X {} shift {}", n, shift);
      expect_reference(parity, what, multinomial_of(), row);
      expect_reference(parity, what + ", mild", multinomial_of(), mild);
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

// A large row at its mode: log p is some nats, of terms of 10^8.
TEST(Softmax, MultinomialKeepsItsDigitsAtTheMode) {
  Row row;
  for (int j = 0; j < 50; ++j) {
    row.x.push_back(static_cast<float>(1000 * (1 + j * j)));
    row.logits.push_back(std::log(static_cast<float>(1 + j * j)));
  }
  const auto want = reference_of(multinomial_of(), row);
  // Fifty elements and their sum, each of 1 + log x: 500 in all. By the textbook formula floats are off
  // by 10.
  EXPECT_NEAR(evaluate(multinomial_of(), row).log_px, want.log_px_given_z[0], 24 * kEps * 1200);
}

TEST(Softmax, ARowOfZerosHasProbabilityOne) {
  for (const std::int64_t n : {1, 7, 33, 1500}) {
    Row row{std::vector<float>(static_cast<std::size_t>(n), 0.0f), {}};
    for (std::int64_t j = 0; j < n; ++j) row.logits.push_back(static_cast<float>(j % 5) * 100.0f);
    const RowOutcome got = evaluate(multinomial_of(), row);
    EXPECT_EQ(got.log_px, 0.0f);
    for (const float g : got.grad) EXPECT_EQ(g, 0.0f);
  }
}

TEST(Softmax, OneCategoryIsCertain) {
  const RowOutcome got = evaluate(categorical_of(1), {{0, 0, 0}, {1e4f, -3, 0}});
  EXPECT_EQ(got.log_px, 0.0f);
  for (const float g : got.grad) EXPECT_EQ(g, 0.0f);
}

// Logits may differ by a constant and mean the same, and a level that cannot be is one of logit -infinity.
TEST(Softmax, ALevelMayBeImpossible) {
  for (const int K : {3, 30, 300}) {
    Row row{{level_of(K - 1, K)}, std::vector<float>(static_cast<std::size_t>(K), -kInfinity)};
    row.logits[0] = 1.0f;
    row.logits[static_cast<std::size_t>(K) - 1] = 1.0f;
    const RowOutcome got = evaluate(categorical_of(K), row);
    EXPECT_NEAR(got.log_px, -std::log(2.0f), kEps) << K;
    EXPECT_NEAR(got.grad[0], -0.5f, kEps) << K;
    EXPECT_EQ(got.grad[1], 0.0f) << K;
  }
}

// x is level / (K - 1) rounded, and its product with K - 1 may fall short of the level.
TEST(Softmax, EveryLevelIsFound) {
  for (const int K : {2, 3, 23, 24, 38, 42, 50, 200, 256}) {
    Row row{{}, std::vector<float>(static_cast<std::size_t>(K) * static_cast<std::size_t>(K), 0.0f)};
    for (int level = 0; level < K; ++level) row.x.push_back(level_of(level, K));
    const RowOutcome got = evaluate(categorical_of(K), row);
    for (int i = 0; i < K * K; ++i)
      ASSERT_EQ(got.grad[static_cast<std::size_t>(i)] > 0, i / K == i % K) << K << " " << i;
  }
}

// What is no level is still within memory.
TEST(Softmax, ValuesThatAreNoLevelsGiveFiniteNonsense) {
  for (const int K : {2, 40}) {
    for (const float x : {-1.0f, 1.5f, 1e30f, -kInfinity, kInfinity}) {
      Row row{{x}, std::vector<float>(static_cast<std::size_t>(K), 0.25f)};
      EXPECT_TRUE(std::isfinite(evaluate(categorical_of(K), row).log_px)) << x;
    }
  }
}

// --- Normalisation: the probabilities of everything there is to observe.

/// Sum of p(x) over all the rows of `x`, which share one row of logits.
double total_probability(const Likelihood& which, const std::vector<std::vector<float>>& x,
                         const std::vector<float>& logits) {
  Problem p(which, {static_cast<std::int64_t>(x.size()), 1, static_cast<std::int64_t>(x[0].size())});
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::ranges::copy(x[i], p.x.matrix().row(static_cast<std::int64_t>(i)));
    std::ranges::copy(logits, p.output.matrix().row(static_cast<std::int64_t>(i)));
  }
  likelihood(test::exec(1), which, p.args(false));
  double sum = 0.0;
  for (const float log_px : p.log_px.vector()) sum += std::exp(static_cast<double>(log_px));
  return sum;
}

TEST(Softmax, ProbabilitiesSumToOne) {
  for (const int K : {1, 2, 5, 31}) {
    std::vector<std::vector<float>> x;
    for (int a = 0; a < K; ++a) {
      for (int b = 0; b < K; ++b) x.push_back({level_of(a, K), level_of(b, K)});
    }
    std::vector<float> logits;
    for (int k = 0; k < 2 * K; ++k) logits.push_back(3.0f * std::sin(static_cast<float>(k * k)));
    EXPECT_NEAR(total_probability(categorical_of(K), x, logits), 1, 40 * kEps) << K;
  }
  // Every way in which N counts fall on three places.
  for (const int N : {0, 1, 5, 24}) {
    std::vector<std::vector<float>> x;
    for (int a = 0; a <= N; ++a) {
      for (int b = 0; a + b <= N; ++b)
        x.push_back({static_cast<float>(a), static_cast<float>(b), static_cast<float>(N - a - b)});
    }
    EXPECT_NEAR(total_probability(multinomial_of(), x, {0.5f, -1, 2}), 1, 100 * kEps) << N;
  }
}

// --- The gradient over a dimension's logits, and over a row's, sums to 0: a constant added to all of them
// changes nothing.

TEST(Softmax, GradientsSumToZero) {
  for (const Likelihood& which : {categorical_of(7), categorical_of(256), multinomial_of()}) {
    Problem p(which, {4, 2, 60});
    likelihood(test::exec(1), which, p.args(true, 1.0f));
    for (std::int64_t r = 0; r < p.rows; ++r) {
      double sum = 0.0, magnitude = 0.0;
      for (std::int64_t k = 0; k < p.output.matrix().cols; ++k) {
        sum += static_cast<double>(p.output.matrix()(r, k));
        magnitude += std::abs(static_cast<double>(p.output.matrix()(r, k)));
      }
      EXPECT_LE(std::abs(sum), 16 * kEps * (magnitude + 60));
    }
  }
}

TEST(Softmax, NamesGiveOutputs) {
  EXPECT_EQ(categorical_of(256).outputs(), 256);
  EXPECT_EQ(categorical_of(256).observations(), Observations::kLevels);
  EXPECT_FALSE(categorical_of(256).has_variance());
  EXPECT_EQ(multinomial_of().outputs(), 1);
  EXPECT_EQ(multinomial_of().observations(), Observations::kCounts);
  for (const int K : {0, -1, kMostCategories + 1}) {
    EXPECT_THROW(categorical_of(K), std::invalid_argument) << K;
  }
}

}  // namespace
}  // namespace felbo
