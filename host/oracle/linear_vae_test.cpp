// The oracle judges everything else, so it is judged by code that it shares nothing with: golden values, the
// identities between its figures, numerical derivatives and quadrature.
#include "host/oracle/linear_vae.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "tests/harness/parity.h"

namespace felbo::oracle {
namespace {

/// Numbers of the size of 1 without a pattern: sines.
double wave(int i) { return std::sin(1.7 * i + 0.3 * i * i); }

LinearVae some_model(int X, int Z, int seed = 0) {
  LinearVae m{Matrix(X, Z), Vector(X), Vector(X), Matrix(Z, X), Vector(Z), Matrix(Z, X), Vector(Z)};
  int i = 100 * seed;
  for (double& v : m.w.reshaped()) v = 0.7 * wave(++i);
  for (double& v : m.b) v = wave(++i);
  for (double& v : m.variance) v = 0.4 + 0.3 * wave(++i);
  for (double& v : m.a.reshaped()) v = 0.3 * wave(++i);
  for (double& v : m.c) v = 0.4 * wave(++i);
  for (double& v : m.u_x.reshaped()) v = 0.1 * wave(++i);
  for (double& v : m.u) v = -0.9 + 0.3 * wave(++i);
  return m;
}

Vector some_datum(int X, int seed = 0) {
  Vector x(X);
  for (int j = 0; j < X; ++j) x(j) = 1.3 * wave(1000 + 37 * seed + j);
  return x;
}

// --- Golden values: three dimensions, two latent ones, by mpmath with 40 digits, from dense matrices
// (inverse and determinant of W W^T + D), not from Woodbury's identity.

LinearVae golden_model() {
  LinearVae m{Matrix(3, 2), Vector(3), Vector(3), Matrix(2, 3), Vector(2), Matrix(2, 3), Vector(2)};
  m.w << 0.5, -0.25, 1.0, 0.75, -0.5, 0.125;
  m.b << 0.1, -0.2, 0.3;
  m.variance << 0.5, 0.25, 1.5;
  m.a << 0.3, 0.4, -0.1, -0.2, 0.5, 0.25;
  m.c << 0.05, -0.15;
  m.u_x << 0.1, -0.1, 0.2, 0.05, 0.15, -0.05;
  m.u << -0.7, -1.1;
  return m;
}

TEST(LinearOracle, GoldenValues) {
  const LinearOracle oracle(golden_model());
  Vector x(3);
  x << 0.9, -1.4, 0.35;
  const double tolerance = 1e-13;  // a few hundred roundings of numbers up to 10
  EXPECT_NEAR(oracle.log_px(x), -4.2225671427265972932, tolerance);
  EXPECT_NEAR(oracle.log_px_given_z(x).mean, -4.4027887168280596512, tolerance);
  EXPECT_NEAR(oracle.log_px_given_z(x).variance, 6.7759745991245101176, 10 * tolerance);
  EXPECT_NEAR(oracle.kl_to_prior(x), 0.79704718569033060121, tolerance);
  EXPECT_NEAR(oracle.kl_to_posterior(x), 0.97726875979179295923, tolerance);
  EXPECT_NEAR(oracle.elbo(x), -5.1998359025183902524, tolerance);
  EXPECT_NEAR(oracle.log_weight(x).variance, 5.2882289335617178482, 10 * tolerance);
  EXPECT_NEAR(oracle.relative_weight_variance(x), 3.3322924959983831948, 10 * tolerance);
  const Gaussian p = oracle.posterior(x);
  EXPECT_NEAR(p.mean(0), -0.23428571428571428571, tolerance);
  EXPECT_NEAR(p.mean(1), -0.99287912087912087912, tolerance);
  EXPECT_NEAR(p.covariance(0, 0), 0.28571428571428571429, tolerance);
  EXPECT_NEAR(p.covariance(0, 1), -0.22857142857142857143, tolerance);
  EXPECT_NEAR(p.covariance(1, 1), 0.47824175824175824176, tolerance);
}

// --- Identities

TEST(LinearOracle, LogPxIsTheElboAndWhatQMisses) {
  for (const auto& [X, Z] : {std::pair{1, 1}, {3, 1}, {4, 2}, {7, 5}, {5, 7}, {33, 20}}) {
    const LinearOracle oracle(some_model(X, Z));
    for (int seed = 0; seed < 5; ++seed) {
      const Vector x = some_datum(X, seed);
      const double size = 1 + std::abs(oracle.log_px(x)) + oracle.kl_to_posterior(x);
      EXPECT_NEAR(oracle.log_px(x), oracle.elbo(x) + oracle.kl_to_posterior(x), 1e-13 * X * size);
      EXPECT_GT(oracle.kl_to_posterior(x), 0);
      EXPECT_GT(oracle.kl_to_prior(x), 0);
      EXPECT_DOUBLE_EQ(oracle.log_weight(x).mean, oracle.elbo(x));
    }
  }
}

// One dimension, one latent one: every expectation is an integral over a line, taken here by the trapezoidal
// rule, which converges faster than any power of the step for these integrands.
TEST(LinearOracle, QuadratureOverALine) {
  const LinearVae m = some_model(1, 1, 3);
  const LinearOracle oracle(m);
  const Vector x = some_datum(1, 2);
  const Gaussian q = oracle.encoded(x), p = oracle.posterior(x);
  const auto log_normal = [](double at, double mean, double variance) {
    return -0.5 * (std::log(2 * std::numbers::pi * variance) + (at - mean) * (at - mean) / variance);
  };
  double px = 0, mean = 0, square = 0, weight_mean = 0, weight_square = 0, weights_square = 0, missing = 0;
  const double step = 1e-3;
  for (double z = -20; z < 20; z += step) {
    const double log_px_given_z = log_normal(x(0), m.w(0, 0) * z + m.b(0), m.variance(0));
    const double log_q = log_normal(z, q.mean(0), q.covariance(0, 0));
    const double log_w = log_px_given_z + log_normal(z, 0, 1) - log_q, mass = step * std::exp(log_q);
    px += step * std::exp(log_w + log_q);
    mean += mass * log_px_given_z;
    square += mass * log_px_given_z * log_px_given_z;
    weight_mean += mass * log_w;
    weight_square += mass * log_w * log_w;
    weights_square += mass * std::exp(2 * log_w);
    missing += mass * (log_q - log_normal(z, p.mean(0), p.covariance(0, 0)));
  }
  EXPECT_NEAR(oracle.log_px(x), std::log(px), 1e-12);
  EXPECT_NEAR(oracle.log_px_given_z(x).mean, mean, 1e-11);
  EXPECT_NEAR(oracle.log_px_given_z(x).variance, square - mean * mean, 1e-10);
  EXPECT_NEAR(oracle.log_weight(x).mean, weight_mean, 1e-11);
  EXPECT_NEAR(oracle.log_weight(x).variance, weight_square - weight_mean * weight_mean, 1e-10);
  EXPECT_NEAR(oracle.kl_to_posterior(x), missing, 1e-11);
  EXPECT_NEAR(oracle.relative_weight_variance(x), weights_square / (px * px) - 1, 1e-9);
}

TEST(LinearOracle, TheExactPosteriorLeavesNothing) {
  LinearVae m = some_model(1, 1, 1);
  const LinearOracle before(m);
  const Gaussian p = before.posterior(Vector::Zero(1)), at_one = before.posterior(Vector::Ones(1));
  m.c = p.mean;
  m.a = at_one.mean - p.mean;
  m.u_x.setZero();
  m.u(0) = std::log(p.covariance(0, 0));
  const LinearOracle oracle(m);
  for (int seed = 0; seed < 4; ++seed) {
    const Vector x = some_datum(1, seed);
    EXPECT_NEAR(oracle.kl_to_posterior(x), 0, 1e-14);
    EXPECT_NEAR(oracle.elbo(x), oracle.log_px(x), 1e-14);
    EXPECT_NEAR(oracle.log_weight(x).variance, 0, 1e-14);
    EXPECT_NEAR(oracle.relative_weight_variance(x), 0, 1e-14);
  }
}

TEST(LinearOracle, ATooNarrowQHasWeightsWithoutAVariance) {
  LinearVae m = some_model(3, 2);
  m.u_x.setZero();
  m.u.setConstant(-6);  // far narrower than the posterior
  EXPECT_EQ(LinearOracle(m).relative_weight_variance(some_datum(3)), std::numeric_limits<double>::infinity());
}

// --- Gradients: central differences of the ELBO with step h miss its third derivative by h^2 / 6, and the
// roundings of two ELBOs of about 10 nats by 1e-15 / h: 1e-9 in all at h = 1e-5, with room for tens of terms.

void expect_derivative(const LinearVae& at, double& entry, LinearVae& model, const Matrix& x, double beta,
                       double want, const char* name) {
  (void)at;
  const auto objective = [&] {
    const LinearOracle oracle(model);
    double sum = 0;
    for (int n = 0; n < x.rows(); ++n)
      sum += oracle.log_px_given_z(x.row(n)).mean - beta * oracle.kl_to_prior(x.row(n));
    return sum / double(x.rows());
  };
  const double before = entry, h = 1e-5;
  entry = before + h;
  const double above = objective();
  entry = before - h;
  const double below = objective();
  entry = before;
  EXPECT_NEAR(want, (above - below) / (2 * h), 1e-8 * (1 + std::abs(want))) << name;
}

TEST(LinearOracle, GradientsByCentralDifferences) {
  for (const double beta : {1.0, 0.25}) {
    LinearVae m = some_model(4, 3, 2);
    Matrix x(3, 4);
    for (int n = 0; n < 3; ++n) x.row(n) = some_datum(4, n);
    const LinearVaeGradient g = LinearOracle(m).gradient(x, beta);
    const auto all = [&](auto&& values, const auto& gradient, const char* name) {
      for (Eigen::Index i = 0; i < values.size(); ++i)
        expect_derivative(m, values.data()[i], m, x, beta, gradient.data()[i], name);
    };
    all(m.w, g.w, "W");
    all(m.b, g.b, "b");
    all(m.a, g.a, "A");
    all(m.c, g.c, "c");
    all(m.u_x, g.u_x, "U");
    all(m.u, g.u, "u");
    // d/dD = d/dlog D / D.
    all(m.variance, Vector(g.log_variance.cwiseQuotient(m.variance)), "D");
  }
}

TEST(LinearOracle, AGradientIsTheMeanOverTheData) {
  const LinearOracle oracle(some_model(4, 2));
  Matrix x(2, 4);
  x << some_datum(4, 0).transpose(), some_datum(4, 1).transpose();
  const LinearVaeGradient both = oracle.gradient(x), one = oracle.gradient(x.topRows(1)),
                          two = oracle.gradient(x.bottomRows(1));
  EXPECT_NEAR((both.w - 0.5 * (one.w + two.w)).norm(), 0, 1e-14);
  EXPECT_NEAR((both.u_x - 0.5 * (one.u_x + two.u_x)).norm(), 0, 1e-14);
}

// --- From felbo's flat parameters and back

Vae network(const std::string& variance, std::vector<std::int64_t> hidden = {}, LogVarClamp clamp = {}) {
  return Vae({.dimensions = 5,
              .latent = 2,
              .hidden = std::move(hidden),
              .likelihood = likelihood_from_names("gaussian", variance, clamp)});
}

TEST(LinearVae, IsTheNetworkThatTheFlatParametersDescribe) {
  for (const char* variance : {"unit", "fixed:0.25", "learned", "per-dimension"}) {
    const Vae vae = network(variance);
    LinearVae want = some_model(5, 2);
    if (std::string(variance) == "unit") want.variance.setOnes();
    if (std::string(variance) == "fixed:0.25") want.variance.setConstant(0.25);
    if (std::string(variance) == "learned") want.variance.setConstant(0.6);
    const std::vector<float> flat = flat_parameters(vae, want);
    const LinearVae got = linear_vae(vae, flat);
    const double tolerance = test::kEps;  // one rounding to float; log and exp of it
    EXPECT_LT((got.w - want.w).cwiseAbs().maxCoeff(), tolerance);
    EXPECT_LT((got.b - want.b).cwiseAbs().maxCoeff(), tolerance);
    EXPECT_LT((got.variance - want.variance).cwiseAbs().maxCoeff(), tolerance) << variance;
    EXPECT_LT((got.a - want.a).cwiseAbs().maxCoeff(), tolerance);
    EXPECT_LT((got.c - want.c).cwiseAbs().maxCoeff(), tolerance);
    EXPECT_LT((got.u_x - want.u_x).cwiseAbs().maxCoeff(), tolerance);
    EXPECT_LT((got.u - want.u).cwiseAbs().maxCoeff(), tolerance);
  }
}

// Weights stand as (in, out), row-major, in the table's order: what checkpoints hold.
TEST(LinearVae, ReadsWeightsAsInByOut) {
  const Vae vae = network("unit");
  std::vector<float> flat(static_cast<std::size_t>(vae.table().size()), 0.0f);
  const auto set = [&](const std::string& name, std::int64_t at, float value) {
    for (const ParameterEntry& entry : vae.table().entries())
      if (entry.name == name) flat[std::size_t(entry.offset + at)] = value;
  };
  set("decoder.0.weight", 1 * 5 + 3, 2.0f);  // from z_1 to x_3
  set("encoder.0.weight", 4 * 4 + 1, 3.0f);  // from x_4 to mu_1
  set("encoder.0.weight", 2 * 4 + 2, 5.0f);  // from x_2 to log_var_0
  set("encoder.0.bias", 3, 7.0f);            // log_var_1
  const LinearVae m = linear_vae(vae, flat);
  EXPECT_EQ(m.w(3, 1), 2.0);
  EXPECT_EQ(m.a(1, 4), 3.0);
  EXPECT_EQ(m.u_x(0, 2), 5.0);
  EXPECT_EQ(m.u(1), 7.0);
  EXPECT_EQ(m.w.sum() + m.a.sum() + m.u_x.sum() + m.u.sum(), 17.0);
}

// Moving each flat parameter moves the ELBO by its entry of the flat gradient; padding has none.
TEST(LinearVae, TheFlatGradientStandsWhereItsParametersDo) {
  for (const char* variance : {"unit", "learned", "per-dimension"}) {
    const Vae vae = network(variance);
    LinearVae start = some_model(5, 2);
    if (std::string(variance) == "learned") start.variance.setConstant(0.6);
    std::vector<float> flat = flat_parameters(vae, start);
    const Matrix x = some_datum(5).transpose();
    const LinearOracle oracle(linear_vae(vae, flat));
    const std::vector<double> g = flat_gradient(vae, oracle.gradient(x));
    int parameters = 0;
    for (std::size_t i = 0; i < flat.size(); ++i) {
      const float before = flat[i];
      flat[i] = before + 0x1p-9f;
      const double above = LinearOracle(linear_vae(vae, flat)).elbo(x.row(0)), up = flat[i];
      flat[i] = before - 0x1p-9f;
      const double below = LinearOracle(linear_vae(vae, flat)).elbo(x.row(0)), down = flat[i];
      flat[i] = before;
      // The third derivative times h^2 / 6, h = 2^-9.
      EXPECT_NEAR(g[i], (above - below) / (up - down), 1e-4 * (1 + std::abs(g[i]))) << variance << " " << i;
      parameters += g[i] != 0.0;
    }
    EXPECT_EQ(parameters, vae.table().parameters());
  }
}

// --- Refusals

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(LinearVae, RefusesWhatHasNoClosedForm) {
  const auto of = [](const Vae& vae) {
    return linear_vae(vae, std::vector<float>(static_cast<std::size_t>(vae.table().size())));
  };
  EXPECT_NE(refusal([&] { of(network("learned", {7})); }).find("1 hidden layers"), std::string::npos);
  EXPECT_NE(refusal([&] { of(network("per-element")); }).find("does not depend on z"), std::string::npos);
  EXPECT_NE(refusal([&] { of(Vae({.dimensions = 3, .latent = 2})); }).find("Gaussian"), std::string::npos);
  EXPECT_NE(refusal([&] {
              of(network("learned", {}, {1, 2}));
            }).find("beyond its clamp of [1, 2]"),
            std::string::npos);
  EXPECT_EQ(refusal([&] { linear_vae(network("unit"), std::vector<float>(3)); }).substr(0, 12),
            "3 parameters");
  EXPECT_NE(refusal([&] { flat_parameters(network("unit"), some_model(4, 2)); }).find("4 dimensions"),
            std::string::npos);
}

TEST(LinearOracle, RefusesWhatIsNoModel) {
  const auto broken = [](const std::function<void(LinearVae&)>& edit) {
    LinearVae m = some_model(3, 2);
    edit(m);
    return refusal([&] { LinearOracle oracle(m); });
  };
  EXPECT_NE(broken([](LinearVae& m) { m.c = Vector::Zero(3); }).find("shapes"), std::string::npos);
  EXPECT_NE(broken([](LinearVae& m) { m.variance(1) = 0; }).find("variance of the linear model is 0"),
            std::string::npos);
  EXPECT_NE(broken([](LinearVae& m) { m.w(0, 0) = NAN; }).find("not finite"), std::string::npos);
  const LinearOracle oracle(some_model(3, 2));
  EXPECT_NE(refusal([&] { oracle.log_px(Vector::Zero(4)); }).find("4 numbers"), std::string::npos);
  EXPECT_NE(refusal([&] { oracle.elbo(Vector::Zero(2)); }).find("2 numbers"), std::string::npos);
  EXPECT_NE(refusal([&] { oracle.gradient(Matrix(0, 3)); }).find("0 data"), std::string::npos);
}

}  // namespace
}  // namespace felbo::oracle
