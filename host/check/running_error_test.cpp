#include "host/check/running_error.h"

#include <gtest/gtest.h>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"

namespace felbo::checks {
namespace {

/// Normals in float, another row for each seed.
std::vector<float> numbers(std::uint64_t seed, int n) {
  const NoiseStream stream{seed, 0, Purpose::kInit};
  std::vector<float> out;
  for (int i = 0; i < n; ++i)
    out.push_back(normals_from_words(stream.words(0, 0, static_cast<std::uint32_t>(i / 4)))[i % 4]);
  return out;
}

// Floats computed by the same operations are within the bound, and the bound is within what the worst float
// could be: 4 operations round by half a kEps each, twice that are granted.
TEST(RunningError, CoversTheSameOperationsInFloat) {
  double worst = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const std::vector<float> x = numbers(seed, 4);
    const float got = (x[0] * x[1] - x[2]) / x[3] + x[0];
    const Computed a(static_cast<double>(x[0])), b(static_cast<double>(x[1])), c(static_cast<double>(x[2])),
        d(static_cast<double>(x[3]));
    const Computed bound = (a * b - c) / d + a;
    const double error = std::abs(static_cast<double>(got) - bound.value);
    ASSERT_LE(error, bound.error) << seed;
    worst = std::max(worst, error / bound.error);
    const double magnitude =
        (std::abs(a.value * b.value) + std::abs(c.value)) / std::abs(d.value) + std::abs(a.value);
    ASSERT_LE(bound.error, 4.001 * kEps * magnitude) << seed;
  }
  EXPECT_GT(worst, 0.2);  // it is no bound that anything stays below
}

/// f in float of a number that is off, beside its bound.
struct Function {
  const char* name;
  Computed (*bound)(Computed);
  float (*f)(float);
  bool positive = false;
};

// With room for an argument that is off by 1e-5 of itself, either way.
TEST(RunningError, CoversFunctions) {
  const Function functions[] = {
      {"exp", [](Computed a) { return exp(a); }, [](float a) { return std::exp(a); }},
      {"expm1", [](Computed a) { return expm1(a); }, [](float a) { return std::expm1(a); }},
      {"tanh", [](Computed a) { return tanh(a); }, [](float a) { return std::tanh(a); }},
      {"erfc", [](Computed a) { return erfc(a); }, [](float a) { return std::erfc(a); }},
      {"log", [](Computed a) { return log(a); }, [](float a) { return std::log(a); }, true},
      {"sqrt", [](Computed a) { return sqrt(a); }, [](float a) { return std::sqrt(a); }, true}};
  for (const Function& function : functions) {
    SCOPED_TRACE(function.name);
    double worst = 0;
    for (const float normal : numbers(3, 2000)) {
      const float x = function.positive ? std::abs(normal) : 2.5f * normal;
      const double error = 1e-5 * std::abs(static_cast<double>(x));
      const Computed bound = function.bound({static_cast<double>(x), error});
      for (const double moved : {-0.9 * error, 0.0, 0.9 * error}) {
        const auto got = static_cast<double>(function.f(static_cast<float>(static_cast<double>(x) + moved)));
        ASSERT_LE(std::abs(got - bound.value), bound.error) << x;
        worst = std::max(worst, std::abs(got - bound.value) / bound.error);
      }
    }
    EXPECT_GT(worst, 0.5);  // it is no bound that anything stays below
  }
  EXPECT_EQ(log(Computed(1.0, 2.0)).error, std::numeric_limits<double>::infinity());
  EXPECT_EQ(std::numbers::pi_v<Computed>.value, std::numbers::pi);
}

TEST(RunningError, AProductMayVanish) {
  const Computed tiny = Computed(1e-30) * Computed(1e-30);
  EXPECT_GE(tiny.error, FLT_MIN);
  EXPECT_GE((tiny * Computed(1e10)).error, 1e10 * FLT_MIN);  // and grow
}

TEST(RunningError, CarriesTheErrorsOfWhatGoesIn) {
  const Computed a(2.0, 0.5), b(-3.0, 0.25);
  EXPECT_NEAR((a + b).error, 0.75, 1e-5);
  EXPECT_NEAR((a - b).error, 0.75, 1e-5);
  EXPECT_NEAR((a * b).error, 2 * 0.25 + 3 * 0.5 + 0.5 * 0.25, 1e-5);
  EXPECT_NEAR((a / b).error, (0.5 + 2.0 / 3 * 0.25) / 2.75, 1e-5);
  EXPECT_NEAR(smooth(std::exp(2.0), std::exp(2.5), a, 2).error, 0.5 * std::exp(2.5), 1e-4);
  EXPECT_NEAR(dot({a, a}, {b, b}, 4).error, 2 * (2 * 0.25 + 3 * 0.5 + 0.5 * 0.25), 1e-4);
  EXPECT_EQ((a / Computed(0.1, 0.2)).error, std::numeric_limits<double>::infinity());
  EXPECT_EQ((-a).error, 0.5);
}

// 100 products added one after the other in float: 99 additions at most, so k = 8 + 100 / 16 holds for lanes
// only, and k = 100 / 2 for this order.
TEST(RunningError, DotCoversASum) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const std::vector<float> x = numbers(seed, 100), y = numbers(seed + 1000, 100);
    ComputedRow a, b;
    float sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += x[i] * y[i];
      a.emplace_back(static_cast<double>(x[i]));
      b.emplace_back(static_cast<double>(y[i]));
    }
    const Computed bound = dot(a, b, 50);
    ASSERT_LE(std::abs(static_cast<double>(sum) - bound.value), bound.error) << seed;
  }
}

}  // namespace
}  // namespace felbo::checks
