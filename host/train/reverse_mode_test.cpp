#include "host/train/reverse_mode.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <functional>
#include <string>

namespace felbo::reference {
namespace {

using Values = std::vector<double>;
using V = Traced<double>;

/// A function of one number with its derivative.
struct Case {
  std::string name;
  std::function<V(const V&)> f;
  std::function<double(double)> value, slope;
  Values at = {-1.3, -0.2, 0.4, 2.1};
};

std::vector<Case> cases() {
  const double root = std::sqrt(std::numbers::pi);
  return {
      {"-a", [](const V& a) { return -a; }, [](double a) { return -a; }, [](double) { return -1.0; }},
      {"a + a", [](const V& a) { return a + a; }, [](double a) { return 2 * a; }, [](double) { return 2.0; }},
      {"3 - a", [](const V& a) { return 3 - a; }, [](double a) { return 3 - a; },
       [](double) { return -1.0; }},
      {"a a a", [](const V& a) { return a * a * a; }, [](double a) { return a * a * a; },
       [](double a) { return 3 * a * a; }},
      {"a / (a a + 2)", [](const V& a) { return a / (a * a + 2.0); },
       [](double a) { return a / (a * a + 2); },
       [](double a) { return (2 - a * a) / ((a * a + 2) * (a * a + 2)); }},
      {"exp", [](const V& a) { return exp(a); }, [](double a) { return std::exp(a); },
       [](double a) { return std::exp(a); }},
      {"expm1", [](const V& a) { return expm1(a); }, [](double a) { return std::expm1(a); },
       [](double a) { return std::exp(a); }},
      {"log",
       [](const V& a) { return log(a); },
       [](double a) { return std::log(a); },
       [](double a) { return 1 / a; },
       {0.01, 1.0, 7.0}},
      {"sqrt",
       [](const V& a) { return sqrt(a); },
       [](double a) { return std::sqrt(a); },
       [](double a) { return 0.5 / std::sqrt(a); },
       {0.01, 1.0, 7.0}},
      {"tanh", [](const V& a) { return tanh(a); }, [](double a) { return std::tanh(a); },
       [](double a) { return 1 / (std::cosh(a) * std::cosh(a)); }},
      {"erfc", [](const V& a) { return erfc(a); }, [](double a) { return std::erfc(a); },
       [root](double a) { return -2 / root * std::exp(-a * a); }},
      {"+=, -=, *=",
       [](const V& a) {
         V b = a;
         b += a * a;
         b -= exp(a);
         return b *= a;
       },
       [](double a) { return (a + a * a - std::exp(a)) * a; },
       [](double a) { return 2 * a + 3 * a * a - std::exp(a) * (1 + a); }},
      {"clamped", [](const V& a) { return std::clamp(a * a, V(0.1), V(1.0)); },
       [](double a) { return std::clamp(a * a, 0.1, 1.0); },
       [](double a) { return a * a < 0.1 || a * a > 1 ? 0 : 2 * a; }},
  };
}

TEST(ReverseMode, DerivativesOfEachOperation) {
  for (const Case& c : cases()) {
    for (const double at : c.at) {
      SCOPED_TRACE(c.name + " at " + std::to_string(at));
      const auto got = differentiate(Values{at}, [&](const std::vector<V>& x) { return c.f(x[0]); });
      // A handful of roundings.
      EXPECT_NEAR(got.value, c.value(at), 8 * DBL_EPSILON * (1 + std::abs(c.value(at))));
      EXPECT_NEAR(got.gradient.at(0), c.slope(at), 32 * DBL_EPSILON * (1 + std::abs(c.slope(at))));
    }
  }
}

/// Something in which every number is read more than once.
template <class T>
T tangle(const std::vector<T>& x) {
  using std::exp, std::log, std::tanh;
  T sum = 0, product = 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += x[i] * tanh(x[(i + 1) % x.size()]);
    product *= T(1) + x[i] * x[i] / T(std::numbers::pi_v<T>);
  }
  return sum * log(product) - exp(sum / T(4)) / product;
}

TEST(ReverseMode, GradientIsThatOfCentralDifferences) {
  const Values x{0.3, -1.1, 0.7, 2.0, -0.4};
  const auto got = differentiate(x, [](const std::vector<V>& v) { return tangle(v); });
  EXPECT_NEAR(got.value, tangle(x), 1e-13);
  ASSERT_EQ(got.gradient.size(), x.size());
  const double h = 1e-5;  // truncation h^2 and rounding 1e-16 / h, both below 1e-9
  for (std::size_t i = 0; i < x.size(); ++i) {
    Values up = x, down = x;
    up[i] += h, down[i] -= h;
    EXPECT_NEAR(got.gradient[i], (tangle(up) - tangle(down)) / (2 * h), 1e-8) << i;
  }
}

TEST(ReverseMode, StopsAndScalesGradients) {
  const Values x{1.5, -0.5};
  const auto got = differentiate(x, [](const std::vector<V>& v) {
    return v[0] * stopped(v[0]) * 2.0 + with_gradient_times(0.25, v[1]) * v[1] + stopped(v[1]);
  });
  EXPECT_EQ(got.value, 2 * 2.25 + 0.25 - 0.5);
  EXPECT_EQ(got.gradient, (Values{2 * 1.5, -0.5 * 1.25}));
}

TEST(ReverseMode, AConstantHasNoGradient) {
  const auto got = differentiate(Values{1.0, 2.0}, [](const std::vector<V>&) { return V(3.0) * V(2.0); });
  EXPECT_EQ(got.value, 6.0);
  EXPECT_EQ(got.gradient, (Values{0.0, 0.0}));
}

// 0 times an infinite derivative is no contribution.
TEST(ReverseMode, WhatCountsForNothingMakesNoNan) {
  const auto got = differentiate(Values{0.0, 2.0}, [](const std::vector<V>& v) {
    return std::clamp(sqrt(v[0]), V(1.0), V(2.0)) + V(0.0) * sqrt(v[0]) + v[1];
  });
  EXPECT_EQ(got.gradient, (Values{0.0, 1.0}));
}

TEST(ReverseMode, KnowsTheLargestNumberThereAndBack) {
  const auto there = differentiate(Values{30.0}, [](const std::vector<V>& v) { return v[0] * 1e20 / 1e21; });
  EXPECT_EQ(there.largest, 3e21);
  const auto back = differentiate(Values{1e-30}, [](const std::vector<V>& v) { return log(v[0]); });
  EXPECT_NEAR(back.largest, 1e30, 1e15);
  const auto nan = differentiate(Values{-1.0}, [](const std::vector<V>& v) { return log(v[0]) * 0.0; });
  EXPECT_EQ(nan.largest, HUGE_VAL);
}

}  // namespace
}  // namespace felbo::reference
