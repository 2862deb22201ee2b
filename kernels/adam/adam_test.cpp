#include "kernels/adam/adam.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/adam/adam_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using reference::AdamState;
using test::Guarded;
using test::kEps;
using test::Parity;

struct Hyper {
  float lr, beta1, beta2, epsilon;
  std::int64_t step;
};

/// Vectors of one size in guarded memory, filled by a fixed seed.
struct Problem {
  Problem(std::int64_t n, std::int64_t offset, std::uint64_t seed, float gradient_scale)
      : parameter(1, n, 0, offset), gradient(1, n, 0, 1 - offset % 2), m(1, n, 0, 2 * offset), v(1, n, 0, 3) {
    test::fill_normal(parameter.matrix(), seed);
    test::fill_normal(gradient.matrix(), seed + 1, gradient_scale);
    test::fill_normal(m.matrix(), seed + 2, gradient_scale);
    test::fill_normal(v.matrix(), seed + 3, gradient_scale);
    for (float& x : v.vector()) x *= x;
  }
  AdamArgs args(const Hyper& h) {
    return {parameter.vector(), gradient.vector(), m.vector(), v.vector(),
            adam_step({h.lr, h.beta1, h.beta2, h.epsilon}, h.step)};
  }
  Guarded<float> parameter, gradient, m, v;
};

struct Expected {
  std::vector<double> parameter, m, v, parameter_tolerance, m_tolerance, v_tolerance;
};

// Tolerances, in units of kEps = 2^-23, where one rounding costs 1/2:
// - a moment: 1 - beta, one or two products and a fused addition round: 2 of the summed magnitudes. Moments
//   below FLT_MIN become 0;
// - the update rate m / (v_scale sqrt(v) + epsilon): two folded factors, root, fused addition and division
//   round (2.5), and half of v's relative error counts (1): 4 of its magnitude. An error of m goes through;
// - the parameter: the last addition, 1 of the result.
Expected expect(Problem& problem, const Hyper& h) {
  Expected e;
  const AdamArgs a = problem.args(h);
  for (std::int64_t i = 0; i < a.parameter.size; ++i) {
    const double g = a.gradient(i), m = a.m(i), v = a.v(i);
    const AdamState<double> s =
        reference::adam<double>({a.parameter(i), m, v}, g, h.lr, h.beta1, h.beta2, h.epsilon, h.step);
    e.parameter.push_back(s.theta);
    e.m.push_back(s.m);
    e.v.push_back(s.v);
    e.m_tolerance.push_back(2 * kEps * (std::abs(h.beta1 * m) + std::abs((1 - h.beta1) * g)) + FLT_MIN);
    e.v_tolerance.push_back(2 * kEps * (h.beta2 * v + (1 - h.beta2) * g * g) + FLT_MIN);
    const double update = std::abs(s.theta - a.parameter(i));
    const double rate = h.lr / (1 - std::pow(double(h.beta1), double(h.step)));
    const double denominator = std::sqrt(s.v / (1 - std::pow(double(h.beta2), double(h.step)))) + h.epsilon;
    e.parameter_tolerance.push_back(kEps * std::abs(s.theta) + 4 * kEps * update +
                                    std::abs(rate) / denominator * e.m_tolerance.back());
  }
  return e;
}

void compare(std::int64_t n, const Hyper& h, float gradient_scale, int threads, Parity& parity) {
  Problem problem(n, n % 3, 100 + static_cast<std::uint64_t>(n), gradient_scale);
  const Expected e = expect(problem, h);
  adam(test::exec(threads), problem.args(h));
  parity.compare("parameter", problem.parameter.vector(), e.parameter, e.parameter_tolerance);
  parity.compare("m", problem.m.vector(), e.m, e.m_tolerance);
  parity.compare("v", problem.v.vector(), e.v, e.v_tolerance);
  problem.parameter.check_guards(parity, "parameter");
  problem.gradient.check_guards(parity, "gradient");
  problem.m.check_guards(parity, "m");
  problem.v.check_guards(parity, "v");
}

// 16384 and its neighbours stand around the split over threads.
constexpr std::int64_t kSizes[] = {1,   2,   3,   7,   8,   9,   15,  16,  17,    31,    32,    33,   127,
                                   128, 129, 255, 256, 257, 783, 784, 785, 16383, 16384, 16385, 40001};

TEST(Adam, MatchesTheReference) {
  for (const std::int64_t n : kSizes) {
    SCOPED_TRACE("P " + std::to_string(n));
    Parity parity;
    compare(n, {1e-3f, 0.9f, 0.999f, 1e-8f, 1}, 1.0f, 2, parity);
    compare(n, {1e-3f, 0.9f, 0.999f, 1e-8f, 1000}, 1e-4f, 2, parity);
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(Adam, MatchesTheReferenceForEveryKindOfStep) {
  for (const Hyper& h :
       {Hyper{1e-3f, 0.9f, 0.999f, 1e-8f, 2}, Hyper{1e-3f, 0.9f, 0.999f, 1e-4f, std::int64_t{1} << 40},
        Hyper{0.1f, 0.0f, 0.0f, 1e-8f, 3}, Hyper{-0.5f, 0.5f, 0.9f, 1.0f, 10},
        Hyper{1e-3f, 0.99f, 0.9999999f, 1e-8f, 7}, Hyper{0.0f, 0.9f, 0.999f, 1e-8f, 4}}) {
    for (const float scale : {1e-9f, 1e-3f, 1.0f, 1e5f}) {
      SCOPED_TRACE("step " + std::to_string(h.step) + ", gradients of " + std::to_string(scale));
      Parity parity;
      compare(1000, h, scale, 2, parity);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Adam, BitsDoNotDependOnTheSplit) {
  const Hyper h{1e-3f, 0.9f, 0.999f, 1e-8f, 5};
  Problem whole(50001, 0, 7, 1.0f);
  adam(test::exec(1), whole.args(h));
  const auto same = [&](Problem& other) {
    return test::same_bits(whole.parameter.matrix(), other.parameter.matrix()) &&
           test::same_bits(whole.m.matrix(), other.m.matrix()) &&
           test::same_bits(whole.v.matrix(), other.v.matrix());
  };
  for (const int threads : {2, 3}) {
    Problem threaded(50001, 1, 7, 1.0f);
    adam(test::exec(threads), threaded.args(h));
    EXPECT_TRUE(same(threaded));
  }
  Problem pieces(50001, 2, 7, 1.0f);
  const AdamArgs all = pieces.args(h);
  for (const auto& [begin, count] :
       {std::pair<std::int64_t, std::int64_t>{0, 5}, {5, 33331}, {33336, 16665}}) {
    AdamArgs part = all;
    part.parameter = all.parameter.slice(begin, count);
    part.gradient = all.gradient.slice(begin, count);
    part.m = all.m.slice(begin, count);
    part.v = all.v.slice(begin, count);
    adam(test::exec(2), part);
  }
  EXPECT_TRUE(same(pieces));
}

// Recorded steps find theirs in memory when they run.
TEST(Adam, TakesTheStepFromMemory) {
  Problem given(1001, 0, 7, 1.0f), read(1001, 0, 7, 1.0f);
  const test::Array<AdamStep> steps{adam_step({.lr = 3e-3f}, 17)};
  AdamArgs args = read.args({1e-3f, 0.5f, 0.5f, 1.0f, 1});
  args.step = Scalar<AdamStep>::read(steps.data());
  adam(test::exec(2), args);
  adam(test::exec(2), given.args({3e-3f, 0.9f, 0.999f, 1e-8f, 17}));
  EXPECT_TRUE(test::same_bits(given.parameter.matrix(), read.parameter.matrix()));
}

// A gradient that is scaled by a power of two is that gradient, bit for bit.
TEST(Adam, ScalesTheGradient) {
  for (const std::int64_t n : {1, 5, 257, 40001}) {
    Problem scaled(n, 0, 7, 1.0f), given(n, 0, 7, 1.0f);
    const test::Array<float> scale{0.25f};
    AdamArgs args = scaled.args({1e-3f, 0.9f, 0.999f, 1e-8f, 2});
    args.scale = Scalar<float>::read(scale.data());
    for (float& g : given.gradient.vector()) g *= 0.25f;
    adam(test::exec(2), args);
    adam(test::exec(2), given.args({1e-3f, 0.9f, 0.999f, 1e-8f, 2}));
    EXPECT_TRUE(test::same_bits(scaled.parameter.matrix(), given.parameter.matrix())) << n;
    EXPECT_TRUE(test::same_bits(scaled.m.matrix(), given.m.matrix())) << n;
    EXPECT_TRUE(test::same_bits(scaled.v.matrix(), given.v.matrix())) << n;
  }
}

TEST(Adam, AStepOfScaleZeroIsNotTaken) {
  for (const std::int64_t n : {1, 5, 257, 40001}) {
    Problem problem(n, 0, 7, 1.0f), before(n, 0, 7, 1.0f);
    problem.gradient.vector()(n / 2) = std::nanf("");
    Guarded<BFloat16> rounded(1, n);
    AdamArgs args = problem.args({1e-3f, 0.9f, 0.999f, 1e-8f, 2});
    args.scale = 0.0f;
    args.rounded = rounded.vector();
    adam(test::exec(2), args);
    EXPECT_TRUE(test::same_bits(problem.parameter.matrix(), before.parameter.matrix())) << n;
    EXPECT_TRUE(test::same_bits(problem.m.matrix(), before.m.matrix())) << n;
    EXPECT_TRUE(test::same_bits(problem.v.matrix(), before.v.matrix())) << n;
    for (const BFloat16 b : args.rounded) EXPECT_EQ(b.bits, 0xffff);  // as it was poisoned
  }
}

TEST(Adam, WritesTheParametersInBfloat16Too) {
  for (const std::int64_t n : {1, 3, 4, 5, 31, 257, 1025}) {
    for (const std::int64_t offset : {0, 1}) {
      SCOPED_TRACE("P " + std::to_string(n));
      Problem problem(n, offset, 9, 1.0f);
      Guarded<BFloat16> rounded(1, n, 0, offset);
      AdamArgs args = problem.args({1e-3f, 0.9f, 0.999f, 1e-8f, 2});
      args.rounded = rounded.vector();
      adam(test::exec(2), args);
      Parity parity;
      // To nearest: at most half a unit in the last of 8 bits.
      for (std::int64_t i = 0; i < n; ++i) {
        const double parameter = args.parameter(i);
        parity.element("rounded", 0, i, static_cast<float>(args.rounded(i)), parameter,
                       std::abs(parameter) / 256);
      }
      rounded.check_guards(parity, "rounded");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

// Five steps from theta = 1/2, by mpmath with 40 digits: theta, m, v after each.
constexpr double kGradients[] = {0.25, -0.125, 3.0, 0.0, -0.0078125};
constexpr double kGolden[5][3] = {{0.4990000000399999984, 0.025, 0.0000625},
                                  {0.49873366301381732469, 0.01, 0.0000780625},
                                  {0.49807851728646710447, 0.309, 0.0090779844375},
                                  {0.49754186177147586457, 0.2781, 0.0090689064530625},
                                  {0.49708968285850146771, 0.24950875, 0.0090598985817656875}};

TEST(AdamReference, GoldenTrajectory) {
  AdamState<double> s{0.5, 0, 0};
  for (int t = 1; t <= 5; ++t) {
    s = reference::adam<double>(s, kGradients[t - 1], 0.001, 0.9, 0.999, 1e-8, t);
    EXPECT_NEAR(s.theta, kGolden[t - 1][0], 1e-15);
    EXPECT_NEAR(s.m, kGolden[t - 1][1], 1e-15);
    EXPECT_NEAR(s.v, kGolden[t - 1][2], 1e-16);
  }
}

TEST(AdamReference, GoldenLateSteps) {
  for (const auto& [t, theta] : {std::pair<std::int64_t, double>{1000, 2.000280032735670803},
                                 {std::int64_t{1} << 40, 2.0003521239147684097}}) {
    const auto s = reference::adam<double>({2, -0.0625, 0.03125}, 0.5, 0.01, 0.9, 0.999, 0.0001, t);
    EXPECT_NEAR(s.theta, theta, 1e-15);
    EXPECT_NEAR(s.m, -0.00625, 3e-17);  // a difference of terms of 0.05, whose rounding is 7e-18
    EXPECT_NEAR(s.v, 0.03146875, 1e-17);
  }
}

// 40 copies, so that the vector code runs. The parameter rounds by 3e-8 a step, the float betas differ from
// the decimal ones by 1.3e-8 (0.999; relative to 1 - beta: 1.3e-5, half of which reaches an update of at most
// 1e-3) and 2.4e-8 (0.9): below 5 (3e-8 + 1e-8) in all.
TEST(Adam, GoldenTrajectory) {
  test::Array<float> parameter(40, 0.5f), gradient(40), m(40), v(40);
  for (int t = 1; t <= 5; ++t) {
    std::fill(gradient.begin(), gradient.end(), static_cast<float>(kGradients[t - 1]));
    adam(test::exec(1), {{parameter.data(), 40},
                         {gradient.data(), 40},
                         {m.data(), 40},
                         {v.data(), 40},
                         adam_step({1e-3f, 0.9f, 0.999f, 1e-8f}, t)});
    for (int i = 0; i < 40; ++i) EXPECT_NEAR(parameter[i], kGolden[t - 1][0], 2e-7);
  }
}

// A parameter that has never had a gradient stays where it is; subnormal moments vanish and move nothing.
TEST(Adam, ZeroGradients) {
  test::Array<float> parameter(37, 0.75f), gradient(37), m(37), v(37);
  m[3] = v[3] = 1.2e-38f;
  m[4] = -1.2e-38f;
  m[36] = 1e-42f;
  adam(test::exec(1), {{parameter.data(), 37},
                       {gradient.data(), 37},
                       {m.data(), 37},
                       {v.data(), 37},
                       adam_step({1e-3f, 0.9f, 0.9f, 1e-8f}, 1)});
  for (int i = 0; i < 37; ++i) {
    EXPECT_EQ(parameter[i], 0.75f);
    EXPECT_EQ(m[i], 0.0f);
    EXPECT_EQ(v[i], 0.0f);
  }
}

TEST(Adam, NanAndInfinityReachTheirParameterAlone) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  test::Array<float> parameter(37, 1.0f), gradient(37, 0.5f), m(37), v(37);
  gradient[2] = nan;
  gradient[20] = -infinity;
  m[5] = nan;
  v[36] = nan;
  parameter[33] = nan;
  adam(test::exec(1),
       {{parameter.data(), 37}, {gradient.data(), 37}, {m.data(), 37}, {v.data(), 37}, adam_step({}, 1)});
  for (const int i : {2, 5, 20, 33, 36}) EXPECT_TRUE(std::isnan(parameter[i])) << i;
  EXPECT_TRUE(std::isnan(m[2]) && std::isnan(v[2]) && std::isnan(m[5]) && std::isnan(v[36]));
  for (const int i : {0, 1, 3, 19, 21, 32, 34, 35}) EXPECT_NEAR(parameter[i], 0.999, 1e-6) << i;
}

std::string refusal(const AdamArgs& args) {
  try {
    adam(test::exec(1), args);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Adam, RefusesBadRequests) {
  test::Array<float> p(4), g(4), m(4), v(4);
  const AdamArgs good{{p.data(), 4}, {g.data(), 4}, {m.data(), 4}, {v.data(), 4}};
  EXPECT_EQ(refusal(good), "accepted");
  const auto with = [&](auto change) {
    AdamArgs bad = good;
    change(bad);
    return refusal(bad);
  };
  EXPECT_EQ(with([](AdamArgs& a) { a.gradient.size = 3; }),
            "adam: 4 parameters, but 3 gradients, 4 first and 4 second moments");
  EXPECT_EQ(with([](AdamArgs& a) { a.m.size = 5; }),
            "adam: 4 parameters, but 4 gradients, 5 first and 4 second moments");
  EXPECT_EQ(with([](AdamArgs& a) { a.v.size = 0; }),
            "adam: 4 parameters, but 4 gradients, 4 first and 0 second moments");
  BFloat16 rounded[3];
  EXPECT_EQ(with([&](AdamArgs& a) {
              a.rounded = {rounded, 3};
            }),
            "adam: 4 parameters, but room for 3 in bfloat16");
}

std::string refusal(const AdamOptions& options, std::int64_t t) {
  try {
    adam_step(options, t);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(AdamStep, RefusesBadRequests) {
  EXPECT_EQ(refusal({}, 1), "accepted");
  EXPECT_EQ(refusal({}, 0), "adam: steps count from 1, got 0");
  EXPECT_EQ(refusal({.beta1 = 1.0f}, 1), "adam: beta1 must be in [0, 1), got 1");
  EXPECT_EQ(refusal({.beta2 = -0.5f}, 1), "adam: beta2 must be in [0, 1), got -0.5");
  EXPECT_EQ(refusal({.epsilon = 0.0f}, 1), "adam: epsilon must be positive and finite, got 0");
  EXPECT_EQ(refusal({.lr = std::nanf("")}, 1), "adam: the learning rate must be finite, got nan");
}

}  // namespace
}  // namespace felbo
