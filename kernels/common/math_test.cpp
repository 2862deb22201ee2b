// The elementary functions against the C library in double.
#include "kernels/common/math.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <numbers>

#include "kernels/common/lanes.h"
#include "kernels/common/log_var_exp.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

/// Largest error in ulp of the true value's float over a dense grid of [lo, hi].
double max_ulp(const std::function<float(float)>& f, const std::function<double(double)>& truth, float lo,
               float hi) {
  double worst = 0.0;
  const int n = 400001;
  for (int i = 0; i < n; ++i) {
    const float x = lo + (hi - lo) * (static_cast<float>(i) / (n - 1));
    const double want = truth(x);
    const float rounded = static_cast<float>(std::abs(want));
    const double ulp =
        static_cast<double>(std::nextafter(rounded, std::numeric_limits<float>::infinity())) - rounded;
    const double error = std::abs(f(x) - want) / ulp;
    if (!(error <= worst)) worst = error;  // a NaN sticks and fails the test
  }
  return worst;
}

TEST(Math, Exp) {
  EXPECT_LE(max_ulp(
                math::exp, [](double x) { return std::exp(x); }, -87.2f, 88.7f),
            2.0);
  EXPECT_EQ(math::exp(0.0f), 1.0f);
  EXPECT_EQ(math::exp(-1e30f), 0.0f);
  EXPECT_EQ(math::exp(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(math::exp(89.0f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(math::exp(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(math::exp(std::nanf(""))));
}

// Bit for bit the same, down to the smallest normal number, below it and for NaN.
TEST(Math, ExpNonpositiveIsExp) {
  for (int i = 0; i <= 400000; ++i) {
    const float x = -100.0f * (static_cast<float>(i) / 400000.0f);
    ASSERT_EQ(math::bits(math::exp_nonpositive(x)), math::bits(math::exp(x))) << x;
  }
  EXPECT_EQ(math::exp_nonpositive(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_TRUE(std::isnan(math::exp_nonpositive(std::nanf(""))));
}

// Bit for bit the same for what a clamped log-variance, its half and their negatives can be, and a NaN stays
// one.
TEST(Math, ExpLogVarIsExp) {
  for (int i = 0; i <= 400000; ++i) {
    const float v = -87.0f + 175.0f * (static_cast<float>(i) / 400000.0f);
    ASSERT_EQ(math::bits(math::exp_log_var(v)), math::bits(math::exp(v))) << v;
  }
  EXPECT_TRUE(std::isnan(math::exp_log_var(std::nanf(""))));
}

TEST(Math, Log) {
  EXPECT_LE(max_ulp(
                math::log_normal, [](double x) { return std::log(x); }, 1e-6f, 4.0f),
            2.0);
  EXPECT_LE(max_ulp(
                math::log_normal, [](double x) { return std::log(x); }, 1e-37f, 1e38f),
            2.0);
  EXPECT_EQ(math::log_normal(1.0f), 0.0f);
}

TEST(Math, Log1pUnit) {
  EXPECT_LE(max_ulp(
                math::log1p_unit, [](double x) { return std::log1p(x); }, 0.0f, 1.0f),
            3.0);
  EXPECT_LE(max_ulp(
                math::log1p_unit, [](double x) { return std::log1p(x); }, 0.0f, 1e-6f),
            3.0);
}

TEST(Math, Log1p) {
  const auto truth = [](double x) { return std::log1p(x); };
  for (const float end : {1e-6f, 0.5f, 4.0f, 1e4f, 0x1p64f, 0x1p126f}) {
    EXPECT_LE(max_ulp(math::log1p, truth, 0.0f, end), 3.0) << end;
  }
  EXPECT_EQ(math::log1p(1e-30f), 1e-30f);
  EXPECT_TRUE(std::isnan(math::log1p(std::nanf(""))));
}

TEST(Math, Log1pSigned) {
  const auto truth = [](double x) { return std::log1p(x); };
  for (const float end : {1e-6f, 0.5f, 1e4f})
    EXPECT_LE(max_ulp(math::log1p_signed, truth, 0.0f, end), 3.0) << end;
  EXPECT_LE(max_ulp(math::log1p_signed, truth, -0.5f, -1e-3f), 3.0);
  EXPECT_LE(max_ulp(math::log1p_signed, truth, -1e-3f, -1e-30f), 3.0);
  EXPECT_TRUE(std::isnan(math::log1p_signed(std::nanf(""))));
}

TEST(Math, WhatIsLeftOfXBesideItsFunctions) {
  const auto deficit = [](double x) {
    return std::abs(x) < 1e-3 ? x * x * (0.5 - x / 3 + x * x / 4) : x - std::log1p(x);
  };
  const auto excess = [](double x) {
    return std::abs(x) < 1e-3 ? x * x * (0.5 + x / 6 + x * x / 24) : std::expm1(x) - x;
  };
  EXPECT_LE(max_ulp(math::log1p_deficit, deficit, -0.29f, 0.41f), 3.0);
  EXPECT_LE(max_ulp(math::exp_excess, excess, -0.36f, 0.36f), 3.0);
  const auto mass = [](double x) { return -std::expm1(-x); };
  for (const float end : {1e-6f, 1.0f, 100.0f})
    EXPECT_LE(max_ulp(math::one_minus_exp, mass, 0.0f, end), 4.0) << end;
  EXPECT_TRUE(std::isnan(math::one_minus_exp(std::nanf(""))));
}

// The remainders of log Gamma and digamma, from long double: psi by its recurrence from z + 64, where three
// terms of its asymptotic series are exact to 1e-16.
TEST(Math, RemaindersOfGammaAndDigamma) {
  for (int i = 0; i <= 20000; ++i) {
    const float w = 0.01f + 0.99f * static_cast<float>(i) / 20000.0f;
    const long double z = 1.0L / static_cast<long double>(w);
    const long double leading =
        (z - 0.5L) * std::log(z) - z + 0.5L * std::log(2 * std::numbers::pi_v<long double>);
    ASSERT_NEAR(math::stirling_remainder(w), static_cast<double>(std::lgamma(z) - leading), 1.5e-8 * w) << w;
    const long double far = z + 64, v = 1 / (far * far);
    long double psi = std::log(far) - 0.5L / far - v * (1.0L / 12 - v * (1.0L / 120 - v / 252));
    for (int k = 0; k < 64; ++k) psi -= 1 / (z + static_cast<long double>(k));
    ASSERT_NEAR(math::digamma_remainder(w), static_cast<double>(z * (std::log(z) - psi) - 0.5L), 3e-8 * w)
        << w;
  }
  EXPECT_EQ(math::stirling_remainder(0.0f), 0.0f);
  EXPECT_EQ(math::digamma_remainder(0.0f), 0.0f);
}

TEST(Math, SelectTakesBitsAsTheyAre) {
  EXPECT_EQ(math::bits(math::select(true, -0.0f, 1.0f)), math::bits(-0.0f));
  EXPECT_TRUE(std::isnan(math::select(false, 1.0f, std::nanf(""))));
  EXPECT_EQ(math::select(true, 2.0f, std::nanf("")), 2.0f);
}

// The relative error of the logarithm of n factors: each join rounds twice, and y is exact here.
TEST(Math, JoinedFactorsKeepTheirLogarithm) {
  for (const float y : {1e-30f, 1e-9f, 1e-4f, 0.02f, 0.3f, 1.0f}) {
    float excess = 0.0f;
    for (int n = 1; n <= 64; ++n) {
      excess = math::join_excess(excess, y);
      const double want = n * std::log1p(static_cast<double>(y));
      EXPECT_LE(std::abs(math::log1p(excess) - want), (3 + n) * test::kEps * want) << y << " " << n;
    }
  }
  EXPECT_EQ(math::join_excess(0.0f, 0.25f), 0.25f);
}

TEST(Math, SoftplusAndSigmoid) {
  const auto softplus = [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); };
  const auto sigmoid = [](double x) {
    return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
  };
  EXPECT_LE(max_ulp(math::softplus, softplus, -80.0f, 100.0f), 5.0);
  EXPECT_LE(max_ulp(math::sigmoid, sigmoid, -80.0f, 100.0f), 4.0);
  for (const float x : {1e4f, 1e38f}) {
    EXPECT_EQ(math::softplus(x), x);
    EXPECT_EQ(math::softplus(-x), 0.0f);
    EXPECT_EQ(math::sigmoid(x), 1.0f);
    EXPECT_EQ(math::sigmoid(-x), 0.0f);
  }
  EXPECT_TRUE(std::isnan(math::softplus(std::nanf(""))));
  EXPECT_TRUE(std::isnan(math::sigmoid(std::nanf(""))));
}

TEST(Math, Tanh) {
  EXPECT_LE(max_ulp(
                math::tanh, [](double x) { return std::tanh(x); }, -10.0f, 10.0f),
            3.0);
  EXPECT_LE(max_ulp(
                math::tanh, [](double x) { return std::tanh(x); }, -1e-3f, 1e-3f),
            3.0);
  EXPECT_EQ(math::tanh(1e4f), 1.0f);
  EXPECT_EQ(math::tanh(-1e4f), -1.0f);
  EXPECT_TRUE(std::isnan(math::tanh(std::nanf(""))));
}

TEST(Math, CosAndSinOfAQuarterTurn) {
  double worst = 0.0;
  for (int i = -2000; i <= 2000; ++i) {
    const float r = static_cast<float>(i) / 4000.0f;
    const math::CosSin got = math::cos_sin_quarter(r);
    worst = std::max({worst, std::abs(got.cos - std::cos(std::numbers::pi / 2 * r)),
                      std::abs(got.sin - std::sin(std::numbers::pi / 2 * r))});
  }
  EXPECT_LE(worst, 2e-7);
}

// lane_sum's stated bound, and its independence of everything but the row.
TEST(LaneSum, KeepsItsErrorBound) {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 31, 33, 784, 1023, 1024, 1025, 65537}) {
    std::vector<float> x(static_cast<std::size_t>(n));
    if (n > 0) test::fill_normal(View<float, 2>(x.data(), 1, n), 5, 1.0f, 0.1f);
    double want = 0.0, magnitude = 0.0;
    for (const float v : x) want += v, magnitude += std::abs(v);
    const double got = lane_sum(n, [&](std::int64_t j) { return x[static_cast<std::size_t>(j)]; });
    EXPECT_LE(std::abs(got - want), (kLaneSpan / kLanes + 4) * test::kEps * magnitude) << n;
  }
}

}  // namespace
}  // namespace felbo
