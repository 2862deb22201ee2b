#include "kernels/objective/objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/objective/objective_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kDoubleEps = std::numeric_limits<double>::epsilon();

constexpr int kSamples[] = {1,   2,   3,   15,  16,  17,  31,  32,  33,   127, 128,
                            129, 255, 256, 257, 511, 512, 513, 785, 1025, 5000};

// ---- elbo

struct ElboProblem {
  ElboProblem(std::int64_t batch, int samples)
      : samples(samples),
        log_px(1, batch * samples, 0, samples % 3),
        kl(1, batch, 0, 1),
        out(1, batch, 0, batch % 2),
        totals(1, 3) {
    test::fill_normal(log_px.matrix(), 1, 10.0f, -100.0f);
    test::fill_normal(kl.matrix(), 2, 3.0f, 25.0f);
    for (int k = 0; k < 3; ++k) totals.vector()(k) = 1000.0 * (k + 1);
  }
  ElboArgs args() { return {log_px.vector(), kl.vector(), samples, out.vector(), totals.vector()}; }
  int samples;
  Guarded<float> log_px, kl, out;
  Guarded<double> totals;
};

TEST(Elbo, MatchesTheReference) {
  for (const int samples : kSamples) {
    for (const std::int64_t batch : {1, 2, 7, 33}) {
      SCOPED_TRACE("B " + std::to_string(batch) + ", S " + std::to_string(samples));
      ElboProblem problem(batch, samples);
      elbo(test::exec(2), problem.args());
      Parity parity;
      double totals[3] = {1000.0, 2000.0, 3000.0};
      for (std::int64_t b = 0; b < batch; ++b) {
        const View<float, 1> row = problem.log_px.vector().slice(b * samples, samples);
        const std::vector<double> log_px(row.begin(), row.end());
        const double mean = reference::mean(log_px), kl = problem.kl.vector()(b);
        const double want = reference::elbo(log_px, kl);
        // Sums in double, then one rounding to float: half of kEps, and room for the double roundings.
        parity.element("elbo", 0, b, problem.out.vector()(b), want, 0.51 * kEps * std::abs(want));
        totals[0] += mean;
        totals[1] += kl;
        totals[2] += want;
      }
      for (int k = 0; k < 3; ++k) {
        // Two orders of samples * batch additions of values around 1e2, and of the total they are added to.
        parity.element("totals", 0, k, problem.totals.vector()(k), totals[k],
                       kDoubleEps * (200.0 * (samples + batch) + std::abs(totals[k])));
      }
      problem.out.check_guards(parity, "elbo");
      problem.totals.check_guards(parity, "totals");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Elbo, BitsDoNotDependOnThreads) {
  ElboProblem one(100, 33);
  elbo(test::exec(1), one.args());
  for (const int threads : {2, 3}) {
    ElboProblem other(100, 33);
    elbo(test::exec(threads), other.args());
    EXPECT_TRUE(test::same_bits(one.out.matrix(), other.out.matrix()));
    for (int k = 0; k < 3; ++k) EXPECT_EQ(one.totals.vector()(k), other.totals.vector()(k));
  }
}

// By hand: the means are -100.5 and -51.
TEST(Elbo, ByHand) {
  const test::Array<float> log_px{-100.0f, -102.0f, -99.5f, -50.0f, -52.0f, -51.0f}, kl{20.25f, 0.5f};
  test::Array<float> out(2);
  test::Array<double> totals{1.0, 2.0, 3.0};
  elbo(test::exec(1), {{log_px.data(), 6}, {kl.data(), 2}, 3, {out.data(), 2}, {totals.data(), 3}});
  EXPECT_EQ(out[0], -120.75f);
  EXPECT_EQ(out[1], -51.5f);
  EXPECT_EQ(totals[0], 1.0 - 100.5 - 51.0);
  EXPECT_EQ(totals[1], 2.0 + 20.75);
  EXPECT_EQ(totals[2], 3.0 - 120.75 - 51.5);
}

TEST(Elbo, NanAndInfinityAreKept) {
  for (const int at : {0, 16, 18}) {
    test::Array<float> log_px(3 * 19, -1.0f), kl = {1.0f, 1.0f, 1.0f}, out(3);
    test::Array<double> totals(3);
    log_px[19 + at] = kNan;
    log_px[38 + at] = -std::numeric_limits<float>::infinity();
    elbo(test::exec(1), {{log_px.data(), 57}, {kl.data(), 3}, 19, {out.data(), 3}, {totals.data(), 3}});
    EXPECT_EQ(out[0], -2.0f);
    EXPECT_TRUE(std::isnan(out[1]));
    EXPECT_EQ(out[2], -kInfinity);
    EXPECT_TRUE(std::isnan(totals[0]) && std::isnan(totals[2]));
    EXPECT_EQ(totals[1], 3.0);
  }
}

// ---- log-mean-exp

/// Weights of `batch` data with `samples` samples in all, and the sums over them.
struct WeightProblem {
  WeightProblem(std::int64_t batch, int samples, float spread, float shift)
      : batch(batch),
        samples(samples),
        log_px(1, batch * samples, 0, samples % 3),
        log_pz(1, batch * samples, 0, 1),
        log_qz(1, batch * samples, 0, 2),
        max(1, batch),
        sum(1, batch, 0, 1) {
    test::fill_normal(log_px.matrix(), 3, spread, shift);
    test::fill_normal(log_pz.matrix(), 4, 2.0f, -28.0f);
    test::fill_normal(log_qz.matrix(), 5, 2.0f, -10.0f);
    reset();
  }
  void reset() {
    for (double& x : max.vector()) x = -kInfinity;
    for (double& x : sum.vector()) x = 0.0;
  }
  /// Samples [begin, begin + count) of every datum, in a call of their own.
  void update(int threads, int begin, int count) {
    const auto part = [&](View<float, 1> all) {
      test::Array<float> out;
      for (std::int64_t b = 0; b < batch; ++b) {
        for (int s = 0; s < count; ++s) out.push_back(all(b * samples + begin + s));
      }
      return out;
    };
    const auto px = part(log_px.vector()), pz = part(log_pz.vector()), qz = part(log_qz.vector());
    const std::int64_t size = batch * count;
    log_mean_exp_update(
        test::exec(threads),
        {{px.data(), size}, {pz.data(), size}, {qz.data(), size}, count, max.vector(), sum.vector()});
  }
  void update_all(int threads) {
    log_mean_exp_update(test::exec(threads), {log_px.vector(), log_pz.vector(), log_qz.vector(), samples,
                                              max.vector(), sum.vector()});
  }
  std::vector<double> log_w(std::int64_t b) {
    std::vector<double> out;
    for (std::int64_t k = b * samples; k < (b + 1) * samples; ++k) {
      out.push_back(double(log_px.vector()(k)) + log_pz.vector()(k) - log_qz.vector()(k));
    }
    return out;
  }
  double value(std::int64_t b) { return log_mean_exp_value(max.vector()(b), sum.vector()(b), samples); }

  std::int64_t batch;
  int samples;
  Guarded<float> log_px, log_pz, log_qz;
  Guarded<double> max, sum;
};

// A weight w = e^-d is off by 2 ulp of math::exp, 2 kEps relative, and by its argument's rounding to float, d
// kEps / 2. Over the sum that is 2 + (mean of d under the weights) / 2, and that mean is at most the entropy
// of the normalised weights, log S. The double arithmetic around it costs roundings of the value itself.
double value_tolerance(int samples, double value) {
  return kEps * (2.0 + 0.5 * std::log(double(samples))) + 8 * kDoubleEps * (std::abs(value) + 200.0);
}

TEST(LogMeanExp, MatchesTheReference) {
  for (const int samples : kSamples) {
    for (const auto& [spread, shift] :
         {std::pair{1.0f, -80.0f}, {30.0f, -500.0f}, {0.0f, -1e5f}, {3.0f, 2e4f}, {1e-3f, 0.0f}}) {
      for (const std::int64_t batch : {1, 3, 20}) {
        SCOPED_TRACE("B " + std::to_string(batch) + ", S " + std::to_string(samples) + ", spread " +
                     std::to_string(spread));
        WeightProblem problem(batch, samples, spread, shift);
        problem.update_all(2);
        Parity parity;
        for (std::int64_t b = 0; b < batch; ++b) {
          const std::vector<double> log_w = problem.log_w(b);
          const double want = reference::log_mean_exp(log_w);
          parity.element("log_mean_exp", 0, b, problem.value(b), want, value_tolerance(samples, want));
          // log_w itself is rounded twice in double.
          parity.element("max", 0, b, problem.max.vector()(b), *std::max_element(log_w.begin(), log_w.end()),
                         2 * kDoubleEps * (std::abs(want) + 100.0));
        }
        problem.max.check_guards(parity, "max");
        problem.sum.check_guards(parity, "sum");
        FELBO_EXPECT_PARITY(parity);
      }
    }
  }
}

TEST(LogMeanExp, OneSampleIsItsWeight) {
  WeightProblem problem(50, 1, 10.0f, -90.0f);
  problem.update_all(1);
  for (std::int64_t b = 0; b < 50; ++b) EXPECT_EQ(problem.value(b), problem.log_w(b)[0]);
}

TEST(LogMeanExp, BitsDoNotDependOnThreadsOrNeighbours) {
  WeightProblem problem(64, 129, 5.0f, -90.0f);
  problem.update_all(1);
  std::vector<double> max(problem.max.vector().begin(), problem.max.vector().end());
  std::vector<double> sum(problem.sum.vector().begin(), problem.sum.vector().end());
  for (const int threads : {2, 3}) {
    problem.reset();
    problem.update_all(threads);
    for (std::int64_t b = 0; b < 64; ++b) {
      EXPECT_EQ(problem.max.vector()(b), max[b]);
      EXPECT_EQ(problem.sum.vector()(b), sum[b]);
    }
  }
  for (std::int64_t b = 0; b < 64; ++b) {
    test::Array<double> alone_max{-kInfinity}, alone_sum{0.0};
    log_mean_exp_update(test::exec(1), {problem.log_px.vector().slice(b * 129, 129),
                                        problem.log_pz.vector().slice(b * 129, 129),
                                        problem.log_qz.vector().slice(b * 129, 129),
                                        129,
                                        {alone_max.data(), 1},
                                        {alone_sum.data(), 1}});
    EXPECT_EQ(alone_max[0], max[b]);
    EXPECT_EQ(alone_sum[0], sum[b]);
  }
}

// Growing weights are the hard case: every call finds a new largest one.
TEST(LogMeanExp, SplittingOverCallsChangesOnlyRounding) {
  for (const float slope : {0.0f, 0.05f, 1.0f, -1.0f}) {
    WeightProblem problem(3, 1200, 4.0f, -90.0f);
    for (std::int64_t k = 0; k < 3600; ++k)
      problem.log_px.vector()(k) += slope * static_cast<float>(k % 1200);
    for (const int call : {1, 7, 100, 512, 1199}) {
      problem.reset();
      for (int begin = 0; begin < 1200; begin += call) problem.update(2, begin, std::min(call, 1200 - begin));
      Parity parity;
      for (std::int64_t b = 0; b < 3; ++b) {
        const double want = reference::log_mean_exp(problem.log_w(b));
        parity.element("log_mean_exp", call, b, problem.value(b), want,
                       value_tolerance(1200, want) + 1200 * kDoubleEps);
      }
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

/// The value for log-weights given as log p(x|z), in calls of `call` samples.
double value_of(const test::Array<float>& log_w, int call) {
  const test::Array<float> zero(log_w.size());
  test::Array<double> max{-kInfinity}, sum{0.0};
  for (std::size_t begin = 0; begin < log_w.size(); begin += static_cast<std::size_t>(call)) {
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(call, log_w.size() - begin));
    log_mean_exp_update(test::exec(1), {{log_w.data() + begin, count},
                                        {zero.data(), count},
                                        {zero.data(), count},
                                        static_cast<int>(count),
                                        {max.data(), 1},
                                        {sum.data(), 1}});
  }
  return log_mean_exp_value(max[0], sum[0], static_cast<std::int64_t>(log_w.size()));
}

TEST(LogMeanExp, ZeroInfiniteAndNanWeights) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int size : {1, 2, 15, 16, 17, 40, 600}) {
    for (const int call : {1, 16, 600}) {
      for (const int at : {0, size / 2, size - 1}) {
        SCOPED_TRACE("S " + std::to_string(size) + " by " + std::to_string(call) + " at " +
                     std::to_string(at));
        test::Array<float> log_w(size, -infinity);
        EXPECT_EQ(value_of(log_w, call), -kInfinity);
        log_w[at] = -3.0f;
        EXPECT_NEAR(value_of(log_w, call), -3.0 - std::log(size), 1e-14);
        log_w[at] = kNan;
        EXPECT_TRUE(std::isnan(value_of(log_w, call)));
        log_w.assign(size, 1.0f);
        log_w[at] = kNan;
        EXPECT_TRUE(std::isnan(value_of(log_w, call)));
        log_w[at] = infinity;
        EXPECT_EQ(value_of(log_w, call), kInfinity);
        log_w.assign(size, infinity);
        EXPECT_EQ(value_of(log_w, call), kInfinity);
        log_w[at] = kNan;
        EXPECT_TRUE(std::isnan(value_of(log_w, call)));
      }
    }
  }
  // 0 / 0: log p(x|z) and log q(z|x) both -infinity say nothing about the weight.
  test::Array<double> max{-kInfinity}, sum{0.0};
  const test::Array<float> px{-infinity, -1.0f}, pz{0.0f, 0.0f}, qz{-infinity, 0.0f};
  log_mean_exp_update(test::exec(1),
                      {{px.data(), 2}, {pz.data(), 2}, {qz.data(), 2}, 2, {max.data(), 1}, {sum.data(), 1}});
  EXPECT_TRUE(std::isnan(log_mean_exp_value(max[0], sum[0], 2)));
}

// By mpmath with 60 digits, from log(mean(exp)) as it stands.
struct Golden {
  std::vector<double> log_w;
  double value;
};
const Golden kGolden[] = {
    {{-1, -2, -3, -4}, -1.9461046625586952883},
    {{-100, -101.5, -99.25}, -99.892602507360834268},
    {{-100000, -100000.5, -100001, -100080}, -100000.70602469047816},
    {{0.5}, 0.5},
    {{1000, 1000.125, 990}, 999.65900802948410038},
    {{-104.5, -94.25, -97, -120.75, -94.5, -95.125, -300}, -95.380710826693822436},
};

TEST(LogMeanExp, GoldenValues) {
  for (const Golden& golden : kGolden) {
    EXPECT_NEAR(reference::log_mean_exp(golden.log_w), golden.value, 4 * kDoubleEps * std::abs(golden.value));
    const test::Array<float> log_w(golden.log_w.begin(), golden.log_w.end());
    for (const int call : {1, 2, 7})
      EXPECT_NEAR(value_of(log_w, call), golden.value, value_tolerance(7, golden.value));
  }
}

// ---- importance weights

struct ImportanceProblem {
  ImportanceProblem(std::int64_t batch, int samples, float spread, float shift)
      : weights(batch, samples, spread, shift),
        weight(1, batch * samples, 0, 1),
        bound(1, batch),
        total(1, 1) {
    total.vector()(0) = 1000.0;
  }
  ImportanceWeightsArgs args() {
    return {weights.log_px.vector(), weights.log_pz.vector(), weights.log_qz.vector(), weights.samples,
            weight.vector(),         bound.vector(),          total.vector()};
  }
  WeightProblem weights;
  Guarded<float> weight, bound;
  Guarded<double> total;
};

// A weight is off as in value_tolerance above, by (2 + d / 2) kEps of itself, d its distance from the
// largest; its share by that of the sum too, and by a rounding to float. Below e^-87 of the largest it counts
// as 0.
double weight_tolerance(int samples, double share, double largest) {
  const double d = std::log(largest / share);
  return kEps * share * (5.0 + 0.5 * d + 0.5 * std::log(double(samples))) + 1e-37;
}

TEST(ImportanceWeights, MatchTheReference) {
  for (const int samples : kSamples) {
    for (const auto& [spread, shift] : {std::pair{1.0f, -80.0f}, {30.0f, -500.0f}, {0.0f, -1e5f}}) {
      for (const std::int64_t batch : {1, 3, 20}) {
        SCOPED_TRACE("B " + std::to_string(batch) + ", S " + std::to_string(samples) + ", spread " +
                     std::to_string(spread));
        ImportanceProblem problem(batch, samples, spread, shift);
        importance_weights(test::exec(2), problem.args());
        Parity parity;
        double total = 1000.0;
        for (std::int64_t b = 0; b < batch; ++b) {
          const std::vector<double> log_w = problem.weights.log_w(b);
          const std::vector<double> want = reference::normalised_weights(log_w);
          const double largest = *std::max_element(want.begin(), want.end());
          for (int s = 0; s < samples; ++s) {
            const double share = want[std::size_t(s)];
            parity.element("weight", b, s, problem.weight.vector()(b * samples + s), share,
                           weight_tolerance(samples, share, largest));
          }
          const double bound = reference::log_mean_exp(log_w);
          parity.element("bound", 0, b, problem.bound.vector()(b), bound,
                         value_tolerance(samples, bound) + 0.5 * kEps * std::abs(bound));
          total += double{problem.bound.vector()(b)};
        }
        parity.element("total", 0, 0, problem.total.vector()(0), total, 32 * kDoubleEps * std::abs(total));
        problem.weight.check_guards(parity, "weight");
        problem.bound.check_guards(parity, "bound");
        FELBO_EXPECT_PARITY(parity);
      }
    }
  }
}

TEST(ImportanceWeights, OneSampleWeighsOne) {
  ImportanceProblem problem(50, 1, 10.0f, -90.0f);
  importance_weights(test::exec(1), problem.args());
  for (std::int64_t b = 0; b < 50; ++b) {
    EXPECT_EQ(problem.weight.vector()(b), 1.0f);
    EXPECT_EQ(problem.bound.vector()(b), static_cast<float>(problem.weights.log_w(b)[0]));
  }
}

TEST(ImportanceWeights, BitsDoNotDependOnThreads) {
  ImportanceProblem one(64, 129, 5.0f, -90.0f);
  importance_weights(test::exec(1), one.args());
  for (const int threads : {2, 3}) {
    ImportanceProblem other(64, 129, 5.0f, -90.0f);
    importance_weights(test::exec(threads), other.args());
    EXPECT_TRUE(test::same_bits(one.weight.matrix(), other.weight.matrix()));
    EXPECT_TRUE(test::same_bits(one.bound.matrix(), other.bound.matrix()));
    EXPECT_EQ(one.total.vector()(0), other.total.vector()(0));
  }
}

TEST(ImportanceWeights, ZeroInfiniteAndNanWeights) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto weights_of = [&](const test::Array<float>& log_w) {
    const test::Array<float> zero(log_w.size());
    const auto size = static_cast<std::int64_t>(log_w.size());
    test::Array<float> weight(log_w.size()), bound(1);
    test::Array<double> total(1);
    importance_weights(test::exec(1), {{log_w.data(), size},
                                       {zero.data(), size},
                                       {zero.data(), size},
                                       static_cast<int>(size),
                                       {weight.data(), size},
                                       {bound.data(), 1},
                                       {total.data(), 1}});
    return weight;
  };
  EXPECT_EQ(weights_of({-infinity, -3.0f, -infinity}), (test::Array<float>{0.0f, 1.0f, 0.0f}));
  EXPECT_EQ(weights_of({-infinity, -infinity}), (test::Array<float>{0.5f, 0.5f}));
  EXPECT_EQ(weights_of({1.0f, infinity, 2.0f}), (test::Array<float>{0.0f, 1.0f, 0.0f}));
  for (const float weight : weights_of({1.0f, kNan, 2.0f})) EXPECT_TRUE(std::isnan(weight));
}

// The sum's logarithm is that of its largest term within a double's digits; the weights are not even for
// that.
TEST(ImportanceWeights, TheReferenceHoldsForLargeLogWeights) {
  EXPECT_EQ(reference::normalised_weights(std::vector<double>{-2e21, -1e21, -3e21}),
            (std::vector<double>{0.0, 1.0, 0.0}));
}

// e^-s / sum_t e^-t by decimal arithmetic of 40 digits.
TEST(ImportanceWeights, GoldenValues) {
  const std::vector<double> want{0.6439142598879723117616, 0.2368828180899101322980, 0.0871443187420325674894,
                                 0.0320586032800849884508};
  const std::vector<double> got = reference::normalised_weights(std::vector<double>{-1, -2, -3, -4});
  for (std::size_t s = 0; s < want.size(); ++s) EXPECT_NEAR(got[s], want[s], 4 * kDoubleEps);
}

// ---- refusals

template <class F>
std::string refusal(const F& call) {
  try {
    call();
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

// The sum is in double; one rounding to float.
TEST(SampledKl, IsTheMeanDifference) {
  for (const int samples : kSamples) {
    for (const std::int64_t batch : {1, 3, 20, 129}) {
      SCOPED_TRACE("B " + std::to_string(batch) + ", S " + std::to_string(samples));
      const WeightProblem problem(batch, samples, 3.0f, -20.0f);
      Guarded<float> log_pz = problem.log_pz, log_qz = problem.log_qz, kl(1, batch, 0, 1);
      sampled_kl(test::exec(1 + samples % 3), {log_pz.vector(), log_qz.vector(), samples, kl.vector()});
      Parity parity;
      for (std::int64_t b = 0; b < batch; ++b) {
        double sum = 0, magnitude = 0;
        for (std::int64_t k = b * samples; k < (b + 1) * samples; ++k) {
          sum += double(log_qz.vector()(k)) - double(log_pz.vector()(k));
          magnitude += std::abs(double(log_qz.vector()(k))) + std::abs(double(log_pz.vector()(k)));
        }
        parity.element("kl", 0, b, kl.vector()(b), sum / samples,
                       0.5 * kEps * std::abs(sum / samples) + 32 * kDoubleEps * magnitude);
      }
      kl.check_guards(parity, "kl");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Objective, RefusesShapesThatDisagree) {
  test::Array<float> x(12);
  test::Array<double> d(12);
  const auto elbo_with = [&](auto change) {
    ElboArgs args{{x.data(), 6}, {x.data(), 2}, 3, {x.data() + 6, 2}, {d.data(), 3}};
    change(args);
    return refusal([&] { elbo(test::exec(1), args); });
  };
  EXPECT_EQ(elbo_with([](ElboArgs&) {}), "accepted");
  EXPECT_EQ(elbo_with([](ElboArgs& a) { a.log_px_given_z.size = 5; }),
            "elbo: 5 values of log_px_given_z for 2 data of 3 samples");
  EXPECT_EQ(elbo_with([](ElboArgs& a) { a.samples = 0; }),
            "elbo: at least one sample a datum is needed, got 0");
  EXPECT_EQ(elbo_with([](ElboArgs& a) { a.elbo.size = 3; }), "elbo: room for 3 results, but 2 data");
  EXPECT_EQ(elbo_with([](ElboArgs& a) { a.totals.size = 2; }), "elbo: totals holds 3 sums, got room for 2");
  const auto weights_with = [&](auto change) {
    LogMeanExpArgs args{{x.data(), 6}, {x.data(), 6}, {x.data(), 6}, 3, {d.data(), 2}, {d.data() + 2, 2}};
    change(args);
    return refusal([&] { log_mean_exp_update(test::exec(1), args); });
  };
  EXPECT_EQ(weights_with([](LogMeanExpArgs&) {}), "accepted");
  EXPECT_EQ(weights_with([](LogMeanExpArgs& a) { a.log_px_given_z.size = 3; }),
            "log_mean_exp: 3 values of log_px_given_z for 2 data of 3 samples");
  EXPECT_EQ(weights_with([](LogMeanExpArgs& a) { a.log_pz.size = 3; }),
            "log_mean_exp: 3 values of log_pz for 2 data of 3 samples");
  EXPECT_EQ(weights_with([](LogMeanExpArgs& a) { a.log_qz_given_x.size = 7; }),
            "log_mean_exp: 7 values of log_qz_given_x for 2 data of 3 samples");
  EXPECT_EQ(weights_with([](LogMeanExpArgs& a) { a.samples = -1; }),
            "log_mean_exp: at least one sample a datum is needed, got -1");
  EXPECT_EQ(weights_with([](LogMeanExpArgs& a) { a.sum.size = 1; }), "log_mean_exp: 2 maxima, but 1 sums");
  const auto importance_with = [&](auto change) {
    ImportanceWeightsArgs args{{x.data(), 6}, {x.data(), 6},     {x.data(), 6}, 3,
                               {x.data(), 6}, {x.data() + 6, 2}, {d.data(), 1}};
    change(args);
    return refusal([&] { importance_weights(test::exec(1), args); });
  };
  EXPECT_EQ(importance_with([](ImportanceWeightsArgs&) {}), "accepted");
  EXPECT_EQ(importance_with([](ImportanceWeightsArgs& a) { a.weight.size = 5; }),
            "importance_weights: 5 values of weight for 2 data of 3 samples");
  EXPECT_EQ(importance_with([](ImportanceWeightsArgs& a) { a.total.size = 3; }),
            "importance_weights: total holds 1 sum, got room for 3");
  EXPECT_EQ(refusal([&] {
              sampled_kl(test::exec(1), {{x.data(), 6}, {x.data(), 5}, 3, {x.data(), 2}});
            }),
            "sampled_kl: 5 values of log_qz_given_x for 2 data of 3 samples");
  EXPECT_EQ(refusal([] { log_mean_exp_value(0.0, 1.0, 0); }),
            "log_mean_exp: the mean of 0 samples is not defined");
}

}  // namespace
}  // namespace felbo
