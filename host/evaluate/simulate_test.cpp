#include "host/evaluate/simulate.h"

#include <gtest/gtest.h>

#include "host/evaluate/annealed.h"
#include "host/oracle/oracle_case.h"
#include "tests/harness/exec.h"

namespace felbo {
namespace {

// A linear model's data have its mean, and -E[log p(x)] is its entropy.
TEST(Simulate, DataHaveTheModelsDistribution) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "per-dimension", 1.0f}, oracle::Encoder::kExact, 1, 0);
  const test::ExecHandle exec = test::open_exec(2);
  const Buffer<test::ExecType, float> parameters(exec, m.vae.table().size());
  upload(exec, m.flat, parameters.view());
  constexpr std::int64_t kCount = 1000;
  const SimulatedData got = simulate(exec, m.vae, View<const float, 1>(parameters.view()), kCount, 3);
  EXPECT_EQ(got.z, draw_prior(exec, m.vae, View<const float, 1>(parameters.view()), kCount, 3));
  ASSERT_EQ(got.data.floats.size(), 8u * kCount);
  // log p(x) = log p(mean) - half the square of 8 standard normals: mean log p(mean) - 4, variance 4.
  const double top = m.oracle.log_px(m.oracle.model().b);
  double mean = 0;
  for (std::int64_t n = 0; n < kCount; ++n) {
    const Eigen::Map<const Eigen::VectorXf> x(got.data.floats.data() + 8 * n, 8);
    mean += m.oracle.log_px(x.cast<double>()) / double(kCount);
  }
  EXPECT_NEAR(mean, top - 4.0, 6 * 2.0 / std::sqrt(double(kCount)));
  // Draws by name: few are the first of many.
  const SimulatedData few = simulate(exec, m.vae, View<const float, 1>(parameters.view()), 3, 3);
  EXPECT_TRUE(std::equal(few.data.floats.begin(), few.data.floats.end(), got.data.floats.begin()));
}

#if !defined(FELBO_TEST_CUDA)

// The z of each datum is a draw from its posterior: log p(x) is held from both sides.
TEST(Simulate, LogPxIsHeldFromBothSides) {
  const oracle::OracleModel m =
      oracle::make_oracle_model({8, 2, "learned", 1.0f}, oracle::Encoder::kExact, 1, 0);
  const CpuExec exec(2);
  const View<const float, 1> parameters(m.flat.data(), m.vae.table().size());
  const SimulatedData simulated = simulate(exec, m.vae, parameters, 60, 4);
  const ResidentData<CpuExec> data(exec, simulated.data);
  const AnnealedEvaluation e = anneal(exec, m.vae, parameters, data,
                                      {.temperatures = 300, .chains = 16, .leapfrog = 4}, {}, simulated.z);
  double exact = 0;
  for (std::int64_t n = 0; n < 60; ++n) {
    const Eigen::Map<const Eigen::VectorXf> x(simulated.data.floats.data() + 8 * n, 8);
    exact += m.oracle.log_px(x.cast<double>()) / 60;
  }
  EXPECT_LT(e.sandwich.standard_error, 0.03);
  EXPECT_NEAR(e.log_px.mean, exact, 0.06);
  EXPECT_NEAR(e.upper.mean, exact, 0.06);
  EXPECT_GT(e.sandwich.mean, -3 * e.sandwich.standard_error);
}

#endif

}  // namespace
}  // namespace felbo
