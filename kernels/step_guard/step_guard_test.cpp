#include "kernels/step_guard/step_guard.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/step_guard/step_guard_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::Parity;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kDoubleEps = std::numeric_limits<double>::epsilon();

/// A gradient of normals in guarded memory, and all that a guard needs beside it.
struct Problem {
  explicit Problem(std::int64_t n, std::int64_t offset = 0, float scale = 1.0f, std::uint64_t seed = 3)
      : gradient(1, n, 0, offset), partial(1, step_guard_scratch(n)) {
    test::fill_normal(gradient.matrix(), seed, scale);
  }
  GuardStepArgs args() {
    return {.gradient = gradient.vector(),
            .terms = {terms.data(), 4},
            .clamped = {clamped.data(), 1},
            .data = 7,
            .step = 40u,
            .partial = partial.vector(),
            .guard = {guard.data(), 1}};
  }
  void set_terms(double log_px, double kl, double elbo, double bound) {
    terms[0] = log_px, terms[1] = kl, terms[2] = elbo, terms[3] = bound;
  }
  std::vector<double> doubles() {
    std::vector<double> out;
    for (const float g : gradient.vector()) out.push_back(g);
    return out;
  }
  Guarded<float> gradient;
  Guarded<double> partial;
  test::Array<double> terms{-90.0, 20.0, -110.0, -100.0};
  test::Array<std::int64_t> clamped{3};
  test::Array<StepGuard> guard{StepGuard{}};
};

/// 2 P additions of positive terms and a root: P kDoubleEps of the norm is room for any order.
double norm_tolerance(std::int64_t n, double norm) { return static_cast<double>(n + 2) * kDoubleEps * norm; }

// A chunk has 4096 elements, a thread of the CPU 16 chunks, a block of the last kernel 256.
constexpr std::int64_t kSizes[] = {
    1,   2,   3,   4,   5,    15,   16,   17,   31,   32,   33,    127,   128,   129,   255,           256,
    257, 783, 784, 785, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 65537, 70001, 4096 * 257 + 3};

TEST(GuardStep, TheNormMatchesTheReference) {
  for (const std::int64_t n : kSizes) {
    SCOPED_TRACE("P " + std::to_string(n));
    Parity parity;
    for (const float scale : {1.0f, 1e-6f}) {
      Problem problem(n, n % 3, scale);
      guard_step(test::exec(2), problem.args());
      const double want = reference::gradient_norm(problem.doubles());
      parity.begin_case("scale " + std::to_string(scale));
      parity.element("norm", 0, 0, problem.guard[0].norm, want, norm_tolerance(n, want));
      parity.element("scale", 0, 0, problem.guard[0].scale, 1.0, 0.0);
      problem.gradient.check_guards(parity, "gradient");
      problem.partial.check_guards(parity, "partial");
    }
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(GuardStep, ClipsAsTheReference) {
  for (const double c : {1e-3, 1.0, 22.0, 1e6}) {
    Problem problem(785);
    GuardStepArgs args = problem.args();
    args.clip_norm = c;
    guard_step(test::exec(2), args);
    const std::vector<double> gradient = problem.doubles(), want = reference::clipped(gradient, c);
    Parity parity;
    parity.begin_case("c " + std::to_string(c));
    // The scale is rounded to float.
    for (std::size_t i = 0; i < want.size(); ++i)
      parity.element("clipped", 0, static_cast<std::int64_t>(i), problem.guard[0].scale * gradient[i],
                     want[i], 0.51 * test::kEps * std::abs(want[i]));
    FELBO_EXPECT_PARITY(parity);
    const bool clips = reference::gradient_norm(gradient) > c;
    EXPECT_EQ(problem.guard[0].clipped_steps, clips ? 1 : 0) << c;
    EXPECT_EQ(problem.guard[0].scale == 1.0f, !clips) << c;
  }
}

TEST(GuardStep, BitsDoNotDependOnTheSplitOrTheAlignment) {
  Problem whole(300'001);
  guard_step(test::exec(1), whole.args());
  for (const int threads : {2, 3}) {
    for (const std::int64_t offset : {0, 1, 2}) {
      Problem other(300'001, offset);
      guard_step(test::exec(threads), other.args());
      EXPECT_EQ(other.guard[0].norm, whole.guard[0].norm) << threads << " threads, offset " << offset;
    }
  }
}

TEST(GuardStep, AddsUpStepsAndClearsTheirTerms) {
  Problem problem(4097);
  const double norm = reference::gradient_norm(problem.doubles());
  for (int step = 0; step < 3; ++step) {
    problem.set_terms(-90.0, 20.0, -110.0, -100.0);
    problem.clamped[0] = 3;
    guard_step(test::exec(2), problem.args());
    for (int i = 0; i < 4; ++i) EXPECT_EQ(problem.terms[i], 0.0) << i;
    EXPECT_EQ(problem.clamped[0], 0);
    for (float& g : problem.gradient.vector()) g *= 0.5f;
  }
  const StepGuard& g = problem.guard[0];
  EXPECT_EQ(g.log_px_given_z, -270.0);
  EXPECT_EQ(g.kl, 60.0);
  EXPECT_EQ(g.elbo, -330.0);
  EXPECT_EQ(g.bound, -300.0);
  EXPECT_EQ(g.steps, 3);
  EXPECT_EQ(g.data, 21);
  EXPECT_EQ(g.clamped, 9);
  EXPECT_NEAR(g.norm_sum, 1.75 * norm, norm_tolerance(4097, 3 * norm));
  EXPECT_NEAR(g.norm_max, norm, norm_tolerance(4097, norm));
  EXPECT_NEAR(g.norm, 0.25 * norm, norm_tolerance(4097, norm));
  EXPECT_EQ(g.clipped_steps, 0);
  EXPECT_EQ(g.skipped_steps, 0);
  EXPECT_EQ(g.skipped_data, 0);
  EXPECT_EQ(g.first_bad, 0);
}

/// What a step may go wrong by.
struct Bad {
  const char* name;
  std::int64_t element;  // of the gradient, which gets `value`; -1: term `term` does
  double value;
  int term = 0;
};
constexpr Bad kBad[] = {
    {"a NaN at the front", 0, kNan},
    {"a NaN at the end", 8999, kNan},
    {"an infinity", 4500, kInf},
    {"minus infinity", 17, -kInf},
    {"log p(x|z)", -1, -kInf, 0},
    {"the KL", -1, kInf, 1},
    {"the ELBO", -1, kNan, 2},
    {"the bound", -1, kNan, 3},
    {"no room for a square", 4500, kGradientNormLimit},
};

void spoil(Problem& problem, const Bad& bad) {
  problem.set_terms(-90.0, 20.0, -110.0, -100.0);
  problem.clamped[0] = 3;
  if (bad.element < 0) {
    problem.terms[static_cast<std::size_t>(bad.term)] = bad.value;
  } else {
    for (float& g : problem.gradient.vector()) g = 0.0f;
    problem.gradient.vector()(bad.element) = static_cast<float>(bad.value);
  }
}

TEST(GuardStep, StopsAtTheFirstBadStep) {
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.name);
    Problem problem(9000);
    guard_step(test::exec(2), problem.args());
    const StepGuard before = problem.guard[0];
    spoil(problem, bad);
    GuardStepArgs args = problem.args();
    args.step = 41u;
    guard_step(test::exec(2), args);
    EXPECT_EQ(problem.guard[0].scale, 0.0f);
    EXPECT_EQ(problem.guard[0].first_bad, 42);
    const double elbo = problem.guard[0].bad_elbo;
    EXPECT_TRUE(bad.term == 2 ? std::isnan(elbo) : elbo == -110.0) << elbo;
    // A later one that is fine again, and another bad one.
    for (const bool fine : {true, false}) {
      test::fill_normal(problem.gradient.matrix(), 5);
      if (fine) problem.set_terms(-1.0, 1.0, -2.0, 0.0);
      if (!fine) spoil(problem, bad);
      args.step = 43u;
      guard_step(test::exec(2), args);
      EXPECT_EQ(problem.guard[0].scale, 0.0f);
    }
    const StepGuard& after = problem.guard[0];
    EXPECT_EQ(after.first_bad, 42);
    EXPECT_EQ(after.elbo, before.elbo);
    EXPECT_EQ(after.norm_sum, before.norm_sum);
    EXPECT_EQ(after.norm_max, before.norm_max);
    EXPECT_EQ(after.steps, 1);
    EXPECT_EQ(after.data, 7);
    EXPECT_EQ(after.clamped, 3);
    EXPECT_EQ(after.skipped_steps, 0);
    EXPECT_EQ(problem.terms[2], 0.0);
    EXPECT_EQ(problem.terms[3], 0.0);
  }
}

TEST(GuardStep, SkipsBadStepsAndGoesOn) {
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.name);
    Problem problem(9000);
    GuardStepArgs args = problem.args();
    args.on_non_finite = OnNonFinite::kSkip;
    for (std::uint32_t step = 0; step < 5; ++step) {
      test::fill_normal(problem.gradient.matrix(), 5);
      problem.set_terms(-90.0, 20.0, -110.0, -100.0);
      problem.clamped[0] = 3;
      const bool is_bad = step == 1 || step == 3;
      if (is_bad) spoil(problem, bad);
      args.step = step;
      guard_step(test::exec(2), args);
      EXPECT_EQ(problem.guard[0].scale, is_bad ? 0.0f : 1.0f) << step;
    }
    const StepGuard& g = problem.guard[0];
    EXPECT_EQ(g.first_bad, 2);
    EXPECT_EQ(g.skipped_steps, 2);
    EXPECT_EQ(g.skipped_data, 14);
    EXPECT_EQ(g.steps, 3);
    EXPECT_EQ(g.data, 21);
    EXPECT_EQ(g.elbo, -330.0);
    EXPECT_EQ(g.clamped, 9);
    EXPECT_TRUE(std::isfinite(g.norm_max));
  }
}

// The largest float's square overflows a float, the norm of many such would, and yet nothing is infinite.
TEST(GuardStep, LargeGradientsDoNotOverflow) {
  Problem problem(5000);
  for (float& g : problem.gradient.vector()) g = FLT_MAX;
  guard_step(test::exec(2), problem.args());
  const double want = FLT_MAX * std::sqrt(5000.0);
  EXPECT_NEAR(problem.guard[0].norm, want, norm_tolerance(5000, want));
  EXPECT_EQ(problem.guard[0].bad_norm, problem.guard[0].norm);
  EXPECT_EQ(problem.guard[0].scale, 0.0f);  // Adam's second moment would overflow
  // Just below the limit a step is taken, and can be clipped.
  Problem below(1);
  below.gradient.vector()(0) = std::nextafter(static_cast<float>(kGradientNormLimit), 0.0f);
  GuardStepArgs args = below.args();
  args.clip_norm = 1e-6;
  guard_step(test::exec(1), args);
  EXPECT_EQ(below.guard[0].first_bad, 0);
  EXPECT_NEAR(below.guard[0].scale * below.gradient.vector()(0), 1e-6, 1e-6 * test::kEps);
  // Subnormal ones have a norm too.
  Problem tiny(1);
  tiny.gradient.vector()(0) = FLT_TRUE_MIN;
  guard_step(test::exec(1), tiny.args());
  EXPECT_EQ(tiny.guard[0].norm, static_cast<double>(FLT_TRUE_MIN));
}

TEST(GuardStep, WithoutAGradientTheTermsAreJudgedAlone) {
  Problem problem(5000);
  problem.gradient.vector()(7) = std::nanf("");
  GuardStepArgs args = problem.args();
  args.gradient = {};
  args.partial = {};
  guard_step(test::exec(2), args);
  EXPECT_EQ(problem.guard[0].scale, 1.0f);
  EXPECT_EQ(problem.guard[0].norm, 0.0);
  EXPECT_EQ(problem.guard[0].elbo, -110.0);
  problem.set_terms(1.0, 2.0, kNan, 3.0);
  guard_step(test::exec(2), args);
  EXPECT_EQ(problem.guard[0].scale, 0.0f);
  EXPECT_EQ(problem.guard[0].first_bad, 41);
}

// Recorded steps find their number in memory when they run.
TEST(GuardStep, TakesTheStepsNumberFromMemory) {
  Problem problem(10);
  const test::Array<std::uint32_t> step{17};
  problem.terms[0] = kNan;
  GuardStepArgs args = problem.args();
  args.step = Scalar<std::uint32_t>::read(step.data());
  guard_step(test::exec(1), args);
  EXPECT_EQ(problem.guard[0].first_bad, 18);
}

TEST(GradientNormReference, GoldenValues) {
  EXPECT_EQ(reference::gradient_norm<double>({3.0, -4.0}), 5.0);
  EXPECT_EQ(reference::gradient_norm<double>({2.0, 3.0, 6.0}), 7.0);
  EXPECT_EQ(reference::clipped<double>({3.0, -4.0}, 2.5), (std::vector<double>{1.5, -2.0}));
  EXPECT_EQ(reference::clipped<double>({3.0, -4.0}, 6.0), (std::vector<double>{3.0, -4.0}));
}

std::string refusal(const GuardStepArgs& args) {
  try {
    guard_step(test::exec(1), args);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(GuardStep, RefusesBadRequests) {
  Problem problem(4097);
  const auto with = [&](auto change) {
    GuardStepArgs args = problem.args();
    change(args);
    return refusal(args);
  };
  EXPECT_EQ(with([](GuardStepArgs&) {}), "accepted");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.terms.size = 3; }),
            "guard_step: terms have 4 elements, clamped and guard one each, got 3, 1 and 1");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.clamped.size = 2; }),
            "guard_step: terms have 4 elements, clamped and guard one each, got 4, 2 and 1");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.guard.size = 0; }),
            "guard_step: terms have 4 elements, clamped and guard one each, got 4, 1 and 0");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.partial.size = 1; }),
            "guard_step: 4097 parameters need scratch for 2 sums, got 1");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.data = -1; }), "guard_step: a step visits 0 or more data, got -1");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.clip_norm = -1.0; }),
            "guard_step: the norm is clipped at 0 (not at all) or above, got -1");
  EXPECT_EQ(with([](GuardStepArgs& a) { a.clip_norm = kNan; }),
            "guard_step: the norm is clipped at 0 (not at all) or above, got nan");
}

}  // namespace
}  // namespace felbo
