// The parts of the gap where they are known: in closed form for linear models, on a grid for nonlinear ones.
#include "host/evaluate/gap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/oracle/exact_gap.h"
#include "host/oracle/nonlinear_case.h"
#include "host/oracle/oracle_case.h"
#include "tests/harness/exec.h"

namespace felbo {
namespace {

using oracle::Vector;

template <class Model>
struct OnCpu {
  explicit OnCpu(const Model& model)
      : exec(2), parameters(model.flat.data(), model.vae.table().size()), data(exec, model.data) {}
  CpuExec exec;
  View<const float, 1> parameters;
  ResidentData<CpuExec> data;
};

#if !defined(FELBO_TEST_CUDA)

TEST(Gap, PartsOfLinearModelsAreTheExactOnes) {
  for (const oracle::OracleCase& which : oracle::oracle_cases()) {
    const oracle::OracleModel m = oracle::make_oracle_model(which, oracle::Encoder::kOther, 40, 1);
    const OnCpu on(m);
    const GapEvaluation got = measure_gap(
        on.exec, m.vae, on.parameters, on.data,
        {.annealed = {.temperatures = 100, .chains = 16, .leapfrog = 4}, .samples = 2000, .simulated = 0});
    const std::optional<oracle::ExactGapParts> exact = oracle::exact_gap_parts(m.vae, m.flat, m.data);
    ASSERT_TRUE(exact.has_value());
    const auto near = [&](double value, double want, double sampling, const char* what) {
      EXPECT_NEAR(value, want, 6 * sampling + 0.005) << m.name << " " << what;
      EXPECT_LT(sampling, 0.02) << m.name << " " << what;
    };
    near(got.mean_log_px.mean, exact->log_px.mean, got.log_px_sampling, "log p(x)");
    near(got.gap.mean, exact->gap.mean, got.gap_sampling, "gap");
    near(got.approximation.mean, exact->approximation.mean, got.approximation_sampling, "approximation");
    near(got.amortisation.mean, exact->amortisation.mean, got.amortisation_sampling, "amortisation");
    EXPECT_NEAR(got.approximation.mean + got.amortisation.mean, got.gap.mean, 1e-9);
    EXPECT_EQ(got.count, 40);
    EXPECT_FALSE(got.sandwich.has_value());
  }
}

// Where the encoder gives the posterior all parts are nought.
TEST(Gap, IsNoughtForTheExactPosterior) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kExact, 20, 2);
  const OnCpu on(m);
  const GapEvaluation got =
      measure_gap(on.exec, m.vae, on.parameters, on.data,
                  {.annealed = {.temperatures = 20, .chains = 4, .leapfrog = 4}, .simulated = 20});
  EXPECT_NEAR(got.gap.mean, 0.0, 6 * got.gap_sampling + 1e-3);
  EXPECT_NEAR(got.approximation.mean, 0.0, 6 * got.approximation_sampling + 1e-3);
  EXPECT_NEAR(got.amortisation.mean, 0.0, 2e-3);
  ASSERT_TRUE(got.sandwich.has_value());
  EXPECT_EQ(got.sandwich->count, 20);
  EXPECT_NEAR(got.sandwich->sandwich.mean, 0.0, 0.01);
}

// On a nonlinear model: the ELBOs are those of the grid, and the fitted q is better than any near it.
TEST(Gap, TheFittedPosteriorIsALocalMaximumOnTheGrid) {
  const oracle::NonlinearModel m = oracle::make_nonlinear_model(oracle::NonlinearKind::kGaussianGrid, 10, 3);
  const OnCpu on(m);
  const GapEvaluation got = measure_gap(
      on.exec, m.vae, on.parameters, on.data,
      {.annealed = {.temperatures = 200, .chains = 32, .leapfrog = 4}, .samples = 4000, .simulated = 0});
  const oracle::GridOracle grid(m.vae, m.flat);
  double elbo = 0, best = 0, log_px = 0;
  for (std::int64_t n = 0; n < 10; ++n) {
    Vector mean(2), variance(2);
    for (int d = 0; d < 2; ++d) {
      mean(d) = double(got.best.mu[std::size_t(2 * n + d)]);
      variance(d) = std::exp(double(got.best.log_var[std::size_t(2 * n + d)]));
    }
    const double here = grid.elbo(m.x(n), mean, variance).value;
    elbo += grid.elbo(m.x(n), Vector::Zero(2), Vector::Constant(2, 1.69)).value / 10;
    best += here / 10;
    log_px += m.exact_log_px[std::size_t(n)] / 10;
    // The gradient's noise leaves it within a few thousandths of a nat of the top.
    for (int d = 0; d < 2; ++d) {
      for (const double by : {-0.3, 0.3}) {
        Vector moved = mean, widened = variance;
        moved(d) += by * std::sqrt(variance(d));
        widened(d) *= std::exp(by);
        EXPECT_LT(grid.elbo(m.x(n), moved, variance).value, here) << n;
        EXPECT_LT(grid.elbo(m.x(n), mean, widened).value, here + 0.002) << n;
      }
    }
  }
  EXPECT_NEAR(got.mean_elbo.mean, elbo, 6 * got.gap_sampling);
  EXPECT_NEAR(got.mean_elbo_best.mean, best, 6 * got.approximation_sampling);
  EXPECT_NEAR(got.mean_log_px.mean, log_px, 6 * got.log_px_sampling + 1e-3);
  EXPECT_NEAR(got.mean_bound_best.mean, log_px, 0.05);
  EXPECT_LT(got.mean_elbo_best.mean, got.mean_log_px.mean);
}

TEST(Gap, HasTheSameBitsForOneThreadAndTwo) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kOther, 30, 2);
  const OnCpu on(m);
  const GapOptions options{.annealed = {.temperatures = 5, .chains = 2, .leapfrog = 2},
                           .local = {.steps = 5},
                           .samples = 50,
                           .simulated = 3};
  const GapEvaluation one = measure_gap(CpuExec(1), m.vae, on.parameters, on.data, options),
                      two = measure_gap(CpuExec(2), m.vae, on.parameters, on.data, options);
  EXPECT_EQ(one.log_px, two.log_px);
  EXPECT_EQ(one.elbo, two.elbo);
  EXPECT_EQ(one.elbo_best, two.elbo_best);
  EXPECT_EQ(one.sandwich->upper_of_datum, two.sandwich->upper_of_datum);
}

// The encoder's ELBO is that of evaluate(), from the same noise.
TEST(Gap, TheElboIsThatOfEvaluate) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kOther, 30, 2);
  const OnCpu on(m);
  const GapEvaluation gap = measure_gap(on.exec, m.vae, on.parameters, on.data,
                                        {.annealed = {.temperatures = 2, .chains = 1, .leapfrog = 1},
                                         .local = {.steps = 0},
                                         .samples = 300,
                                         .simulated = 0,
                                         .seed = 7});
  const Evaluation e = evaluate(on.exec, m.vae, on.parameters, on.data, {.samples = 300, .seed = 7});
  for (std::size_t n = 0; n < 30; ++n) {
    EXPECT_NEAR(gap.elbo[n], e.elbo_of_datum[n], 1e-4);
    EXPECT_NEAR(gap.bound_best[n], e.log_px_of_datum[n], 1e-4);  // no step of the fit: the same q
    EXPECT_EQ(gap.elbo[n], gap.elbo_best[n]);
  }
}

TEST(Gap, RefusesWhatDoesNotFit) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kOther, 3, 2);
  const OnCpu on(m);
  const auto run = [&](const GapOptions& options) {
    measure_gap(on.exec, m.vae, on.parameters, on.data, options);
  };
  EXPECT_THROW(run({.annealed = {.temperatures = 0}}), std::invalid_argument);
  EXPECT_THROW(run({.local = {.steps = -1}}), std::invalid_argument);
  EXPECT_THROW(run({.local = {.samples = 0}}), std::invalid_argument);
  EXPECT_THROW(run({.local = {.lr = 0.0}}), std::invalid_argument);
  EXPECT_THROW(run({.samples = 0}), std::invalid_argument);
}

#else

// On another device: whether all of it runs, on few draws.
TEST(Gap, RunsOnThisDevice) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kOther, 3, 1);
  const test::ExecHandle exec = test::open_exec(2);
  const Buffer<test::ExecType, float> parameters(exec, m.vae.table().size());
  upload(exec, m.flat, parameters.view());
  const ResidentData<test::ExecType> data(exec, m.data);
  const GapEvaluation got = measure_gap(exec, m.vae, View<const float, 1>(parameters.view()), data,
                                        {.annealed = {.temperatures = 10, .chains = 4, .leapfrog = 2},
                                         .local = {.steps = 20, .samples = 4},
                                         .samples = 50,
                                         .simulated = 2});
  const std::optional<oracle::ExactGapParts> exact = oracle::exact_gap_parts(m.vae, m.flat, m.data);
  EXPECT_NEAR(got.mean_log_px.mean, exact->log_px.mean, 1.0);
  EXPECT_NEAR(got.gap.mean, exact->gap.mean, 6 * got.gap_sampling + 0.5);
}

#endif

}  // namespace
}  // namespace felbo
