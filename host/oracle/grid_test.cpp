// The grid against the closed forms of linear models, and nonlinear models against the grid.
#include "host/oracle/grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/oracle/nonlinear_case.h"
#include "host/oracle/oracle_case.h"

namespace felbo::oracle {
namespace {

TEST(Grid, IsTheClosedFormForALinearDecoder) {
  for (const OracleCase& which : oracle_cases()) {
    if (which.latent > 2) continue;
    const OracleModel m = make_oracle_model(which, Encoder::kExact, 5, 3);
    const GridOracle grid(m.vae, m.flat);
    for (std::int64_t n = 0; n < m.data.rows; ++n) {
      const Vector x = m.x(n);
      const Quadrature got = grid.log_px(x);
      EXPECT_NEAR(got.value, m.oracle.log_px(x), 1e-10);
      EXPECT_LT(got.error, 1e-8);
      const Gaussian want = m.oracle.posterior(x), posterior = grid.posterior(x);
      EXPECT_LT((posterior.mean - want.mean).norm(), 1e-9);
      EXPECT_LT((posterior.covariance - want.covariance).norm(), 1e-9);
      // An ELBO of a q that is not the posterior.
      const Gaussian q = m.oracle.encoded(x);
      const Quadrature elbo = grid.elbo(x, q.mean, q.covariance.diagonal());
      EXPECT_NEAR(elbo.value, m.oracle.elbo(x), 1e-9);
      EXPECT_LT(elbo.error, 1e-6);
    }
  }
}

TEST(Grid, SaysWhenItIsTooCoarse) {
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kGaussianGrid, 3, 1);
  const GridOracle fine(m.vae, m.flat), rough(m.vae, m.flat, {.reach = 8.0, .step = 0.5});
  for (std::int64_t n = 0; n < m.data.rows; ++n) {
    EXPECT_LT(fine.log_px(m.x(n)).error, 1e-6);
    EXPECT_GT(rough.log_px(m.x(n)).error, 1e-3);
  }
}

// All data of a Bernoulli: their probabilities sum to 1.
TEST(Grid, ProbabilitiesOfAllDataSumToOne) {
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kBernoulliGrid, 1, 2);
  const GridOracle grid(m.vae, m.flat, {.reach = 8.0, .step = 0.25});
  double sum = 0;
  for (int bits = 0; bits < 256; ++bits) {
    Vector x(8);
    for (int j = 0; j < 8; ++j) x(j) = (bits >> j) & 1;
    sum += std::exp(grid.log_px(x).value);
  }
  EXPECT_NEAR(sum, 1.0, 1e-9);
}

TEST(Grid, TheElboIsBelowLogPx) {
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kGaussianGrid, 4, 5);
  const GridOracle grid(m.vae, m.flat);
  for (std::int64_t n = 0; n < m.data.rows; ++n) {
    const Gaussian p = grid.posterior(m.x(n));
    const double best = grid.elbo(m.x(n), p.mean, p.covariance.diagonal()).value;
    EXPECT_LT(best, grid.log_px(m.x(n)).value);
    EXPECT_GT(best, grid.log_px(m.x(n)).value - 2.0);
    EXPECT_LT(grid.elbo(m.x(n), p.mean + Vector::Ones(2), p.covariance.diagonal()).value, best);
  }
}

TEST(Grid, RefusesWhatItCannotIntegrate) {
  const OracleModel five = make_oracle_model(oracle_cases().back(), Encoder::kExact, 1, 0);
  EXPECT_THROW(GridOracle(five.vae, five.flat), std::invalid_argument);
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kGaussianGrid, 1, 0);
  EXPECT_THROW(GridOracle(m.vae, m.flat, {.reach = 1.0, .step = 0.3}), std::invalid_argument);
  EXPECT_THROW(GridOracle(m.vae, m.flat, {.reach = 1.0, .step = 1.0 / 3}), std::invalid_argument);
  EXPECT_THROW(GridOracle(m.vae, m.flat, {.reach = 1.0, .step = 0.5}).log_px(Vector::Zero(3)),
               std::invalid_argument);
}

// --- The mixture: its closed form against a fine grid over z, which knows the cuts from the decoder alone

TEST(Mixture, ClosedFormIsTheIntegral) {
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kMixture, 20, 4);
  EXPECT_EQ(m.exact_error, 0.0);
  // The integrand jumps, so the rule's error is of the order of the step: 1e-4 times the jump.
  const GridOracle grid(m.vae, m.flat, {.reach = 8.0, .step = 1.0 / 8192});
  for (std::int64_t n = 0; n < m.data.rows; ++n)
    EXPECT_NEAR(grid.log_px(m.x(n)).value, m.exact_log_px[static_cast<std::size_t>(n)], 1e-3) << n;
}

TEST(Mixture, IntegratesToOne) {
  // Importance sampling of its own data: mean of log p(x) is minus the entropy, which for four Gaussians of
  // variance 1/2 lies between that of one and that and log 4.
  const NonlinearModel m = make_nonlinear_model(NonlinearKind::kMixture, 4000, 6);
  double mean = 0;
  for (const double v : m.exact_log_px) mean += v / 4000;
  const double one = 3.0 * std::log(2 * std::numbers::pi * std::numbers::e * 0.5);
  EXPECT_LT(-mean, one + std::log(4.0) + 0.15);
  EXPECT_GT(-mean, one - 0.15);
}

TEST(NonlinearModels, AreFunctionsOfTheSeed) {
  for (const NonlinearKind kind :
       {NonlinearKind::kGaussianGrid, NonlinearKind::kBernoulliGrid, NonlinearKind::kMixture}) {
    const NonlinearModel a = make_nonlinear_model(kind, 3, 1), b = make_nonlinear_model(kind, 2, 1),
                         c = make_nonlinear_model(kind, 3, 2);
    EXPECT_EQ(a.flat, b.flat);
    EXPECT_EQ(a.x(1), b.x(1));
    EXPECT_NE(a.flat, c.flat);
    EXPECT_EQ(a.z.size(), static_cast<std::size_t>(3 * a.vae.config().latent));
    EXPECT_LT(a.exact_error, 1e-6);
  }
}

}  // namespace
}  // namespace felbo::oracle
