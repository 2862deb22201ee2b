// The closed forms of the gap's parts against the grid.
#include "host/oracle/exact_gap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/oracle/grid.h"
#include "host/oracle/nonlinear_case.h"
#include "host/oracle/oracle_case.h"

namespace felbo::oracle {
namespace {

TEST(ExactGap, PartsAreThoseOfTheGrid) {
  const OracleModel m = make_oracle_model({8, 2, "per-dimension", 1.0f}, Encoder::kOther, 4, 3);
  const GridOracle grid(m.vae, m.flat);
  double log_px = 0, elbo = 0, best = 0;
  for (std::int64_t n = 0; n < 4; ++n) {
    const Vector x = m.x(n);
    const Gaussian p = grid.posterior(x), q = m.oracle.encoded(x);
    // Of all Gaussians with the posterior's mean the best one, by hand for two dimensions: 1 / M_dd is the
    // variance that z_d has once the other one is known.
    const double shared = p.covariance(0, 1) * p.covariance(0, 1);
    Vector variance(2);
    variance << p.covariance(0, 0) - shared / p.covariance(1, 1),
        p.covariance(1, 1) - shared / p.covariance(0, 0);
    log_px += grid.log_px(x).value / 4;
    elbo += grid.elbo(x, q.mean, q.covariance.diagonal()).value / 4;
    best += grid.elbo(x, p.mean, variance).value / 4;
    EXPECT_GT(grid.elbo(x, p.mean, variance).value,
              grid.elbo(x, p.mean, p.covariance.diagonal()).value);  // the marginal variances are too wide
  }
  const std::optional<ExactGapParts> got = exact_gap_parts(m.vae, m.flat, m.data);
  ASSERT_TRUE(got.has_value());
  EXPECT_NEAR(got->log_px.mean, log_px, 1e-8);
  EXPECT_NEAR(got->elbo.mean, elbo, 1e-8);
  EXPECT_NEAR(got->gap.mean, log_px - elbo, 1e-8);
  EXPECT_NEAR(got->approximation.mean, log_px - best, 1e-8);
  EXPECT_NEAR(got->amortisation.mean, best - elbo, 1e-8);
  EXPECT_GT(got->approximation.mean, 1e-3);
}

TEST(ExactGap, IsNoughtForTheExactPosterior) {
  const OracleModel m = make_oracle_model({12, 5, "learned", 1.0f}, Encoder::kExact, 3, 1);
  const std::optional<ExactGapParts> got = exact_gap_parts(m.vae, m.flat, m.data);
  ASSERT_TRUE(got.has_value());
  EXPECT_NEAR(got->gap.mean, 0.0, 1e-6);
  EXPECT_NEAR(got->approximation.mean, 0.0, 1e-6);
}

TEST(ExactGap, ReadsBytesAsAModelSeesThem) {
  const OracleModel m = make_oracle_model({3, 1, "unit", 1.0f}, Encoder::kOther, 1, 1);
  DataPart bytes{.rows = 1,
                 .cols = 3,
                 .shape = {},
                 .bytes = {0, 51, 255},
                 .divisor = 255.0f,
                 .floats = {},
                 .exact_log_px = {}};
  Vector x(3);
  x << 0.0, 0.2, 1.0;
  EXPECT_NEAR(exact_gap_parts(m.vae, m.flat, bytes)->log_px.mean, m.oracle.log_px(x), 1e-6);
}

TEST(ExactGap, ThereIsNoneWithoutAClosedForm) {
  const NonlinearModel hidden = make_nonlinear_model(NonlinearKind::kGaussianGrid, 1, 0),
                       bernoulli = make_nonlinear_model(NonlinearKind::kBernoulliGrid, 1, 0);
  EXPECT_FALSE(exact_gap_parts(hidden.vae, hidden.flat, hidden.data).has_value());
  EXPECT_FALSE(exact_gap_parts(bernoulli.vae, bernoulli.flat, bernoulli.data).has_value());
}

}  // namespace
}  // namespace felbo::oracle
