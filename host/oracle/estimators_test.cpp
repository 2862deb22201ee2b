#include "host/oracle/estimators.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/harness/exec.h"

namespace felbo::oracle {
namespace {

template <class Exec>
OracleReport run(const Exec& exec, const OracleOptions& options = {}) {
  return compare_estimators(exec, options, [](const Comparison&) {});
}

TEST(Estimators, AgreeWithTheOracleOnThisDevice) {
  const test::ExecHandle exec = test::open_exec(2);
  const bool emulated = !std::is_same_v<test::ExecType, CpuExec>;
  const OracleReport report = run<test::ExecType>(exec, emulated ? quick_options(0) : OracleOptions());
  EXPECT_TRUE(report.ok()) << report.first_failure();
  EXPECT_EQ(report.results.size(), 104u);
  std::set<std::string> models;
  for (const Comparison& c : report.results) {
    models.insert(c.model);
    EXPECT_TRUE(std::isfinite(c.value) && c.allowed() > 0) << c.name;
  }
  EXPECT_EQ(models.size(), 11u);
}

/// The models stay good ones whatever the seed, and what passes does not hang on one draw of the noise.
TEST(Estimators, AgreeForOtherSeeds) {
  const CpuExec exec(2);
  EXPECT_TRUE(run(exec, quick_options(0)).ok());
  for (const std::uint64_t seed : {1, 2, 3}) {
    const OracleReport report = run(
        exec, {.seed = seed, .samples = 1024, .gradient_steps = 200, .annealed_data = seed == 1 ? 48 : 0});
    EXPECT_TRUE(report.ok()) << seed << ": " << report.first_failure();
  }
}

// The parts of the comparison that planted bugs are judged by, where the whole would take them too long.
// Without a bug they pass.

TEST(Estimators, OfTheElboAndItsGradientsAgree) {
  const OracleReport report =
      run(CpuExec(1), {.samples = 512, .single = 1024, .gradient_steps = 100, .annealed_data = 0});
  EXPECT_TRUE(report.ok()) << report.first_failure();
  EXPECT_EQ(report.results.size(), 88u);
}

TEST(Estimators, OfAnnealingAgree) {
  const OracleOptions options{.annealed_data = 24, .annealed = {.temperatures = 300, .leapfrog = 4}};
  OracleReport report;
  detail::compare_annealed(CpuExec(1), oracle_cases().front(), options, report.results);
  detail::compare_nonlinear(CpuExec(1), NonlinearKind::kGaussianGrid, options, report.results);
  EXPECT_TRUE(report.ok()) << report.first_failure();
  EXPECT_EQ(report.results.size(), 5u);
}

TEST(Estimators, TheStandardErrorOfAGradientIsThatOfItsMean) {
  const OracleModel model = make_oracle_model(oracle_cases().front(), Encoder::kOther, 4, 0);
  const std::size_t size = model.flat.size();
  const std::vector<double> exact(size, 1.0);
  // 0 and 2 in turn, 16 of each: a variance of 32 / 31 and a standard error of 1 / sqrt(31), for any element.
  std::vector<std::vector<float>> steps;
  for (int t = 0; t < 32; ++t) steps.emplace_back(size, t % 2 == 0 ? 0.0f : 2.0f);
  const std::vector<Comparison> got = detail::compare_gradients(model, exact, steps);
  ASSERT_GE(got.size(), 2u);
  for (std::size_t i = 1; i < got.size(); i += 2) {
    EXPECT_NEAR(got[i].standard_error, 1 / std::sqrt(31.0), 1e-12);
    EXPECT_NEAR(got[i].value, 1.0, 1e-12);
  }
}

TEST(OracleModels, HaveWeightsOfSmallVarianceForManySeeds) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (const OracleCase& which : oracle_cases()) {
      const detail::ExactMeans other(make_oracle_model(which, Encoder::kOther, 32, seed));
      EXPECT_LT(other.relative_weight_variance, 20) << seed;
      EXPECT_GT(other.log_px - other.elbo, 0.01) << seed;
      const detail::ExactMeans exact(make_oracle_model(which, Encoder::kExact, 32, seed));
      EXPECT_NEAR(exact.log_px, exact.elbo, 1e-6) << seed;
    }
  }
}

// --- The verdict

TEST(Comparison, FailsBeyondSixStandardErrorsAndRounding) {
  Comparison c{.model = "m", .name = "n", .value = 1.0, .exact = 0.0, .standard_error = 0.1, .rounding = 0.5};
  EXPECT_DOUBLE_EQ(c.allowed(), 1.1);
  EXPECT_TRUE(c.ok());
  c.value = 1.2;
  EXPECT_FALSE(c.ok());
  c.value = -1.2;
  EXPECT_FALSE(c.ok());
  c.side = Side::kAtMost;
  EXPECT_TRUE(c.ok());
  c.value = 1.2;
  EXPECT_FALSE(c.ok());
  c.side = Side::kAtLeast;
  EXPECT_TRUE(c.ok());
  c.value = -1.2;
  EXPECT_FALSE(c.ok());
}

TEST(Comparison, FailsForWhatIsNoNumber) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const Side side : {Side::kBoth, Side::kAtMost, Side::kAtLeast}) {
    const Comparison good{"m", "n", 0, 0, 1, 1, side};
    EXPECT_TRUE(good.ok());
    for (const double bad : {nan, infinity, -infinity}) {
      for (double Comparison::*field :
           {&Comparison::value, &Comparison::exact, &Comparison::standard_error, &Comparison::rounding}) {
        Comparison c = good;
        c.*field = bad;
        EXPECT_FALSE(c.ok()) << bad;
      }
    }
  }
}

TEST(OracleReport, SaysWhatFailedFirst) {
  OracleReport report;
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.first_failure(), "nothing was compared");
  report.results = {{"m", "good", 0, 0, 1, 0}, {"m", "bad", 7, 0, 1, 0}, {"m", "worse", 9, 0, 1, 0}};
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.failed(), 2);
  EXPECT_TRUE(
      report.first_failure().starts_with("bad (m): got 7.000000, expected = 0.000000 within 6.000000"));
  report.results.resize(1);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.first_failure(), "");
}

}  // namespace
}  // namespace felbo::oracle
