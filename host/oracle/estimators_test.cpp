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

/// So few draws that the emulator has them in seconds: what is left is whether the device runs all of it.
OracleOptions few_draws() {
  return {.data = 8,
          .samples = 64,
          .single = 64,
          .gradient_data = 4,
          .gradient_samples = 4,
          .gradient_steps = 20,
          .annealed_data = 4,
          .annealed = {.temperatures = 20, .chains = 8, .leapfrog = 2},
          .nonlinear_samples = 256,
          .most_nats = 1.0,
          .widest_sandwich = 2.0};
}

TEST(Estimators, AgreeWithTheOracleOnThisDevice) {
  const test::ExecHandle exec = test::open_exec(2);
  const bool emulated = !std::is_same_v<test::ExecType, CpuExec>;
  const OracleReport report = run<test::ExecType>(exec, emulated ? few_draws() : OracleOptions());
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
  EXPECT_TRUE(run(exec, few_draws()).ok());
  for (const std::uint64_t seed : {1, 2, 3}) {
    const OracleReport report = run(
        exec, {.seed = seed, .samples = 1024, .gradient_steps = 200, .annealed_data = seed == 1 ? 48 : 0});
    EXPECT_TRUE(report.ok()) << seed << ": " << report.first_failure();
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
