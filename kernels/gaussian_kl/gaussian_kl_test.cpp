#include "kernels/gaussian_kl/gaussian_kl.h"

#include <gtest/gtest.h>

#include "kernels/gaussian_kl/gaussian_kl_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;
using Values = std::vector<double>;

constexpr float kScale = 0.375f;

struct Problem {
  Problem(int batch, int latent, LogVarClamp clamp = {})
      : batch(batch),
        latent(latent),
        clamp(clamp),
        mu(batch, latent, latent % 3, latent % 2),
        log_var(batch, latent, latent % 3, latent % 4),
        m(1, latent, 0, 1),
        v(1, latent, 0, latent % 3),
        kl(1, batch),
        grad_mu(batch, latent, latent % 5),
        grad_log_var(batch, latent, latent % 5, 1),
        grad_m(1, latent),
        grad_v(1, latent, 0, 3) {
    test::fill_normal(mu.matrix(), 1, 0.7f);
    test::fill_normal(log_var.matrix(), 2, 0.8f, -0.3f);
    test::fill_normal(m.matrix(), 3, 0.5f);
    test::fill_normal(v.matrix(), 4, 0.6f, 0.2f);
    test::fill_normal(grad_mu.matrix(), 5, 0.1f);
    test::fill_normal(grad_log_var.matrix(), 6, 0.1f);
  }
  GaussianKlArgs args() {
    return {mu.matrix(), log_var.matrix(), m.vector(), v.vector(), clamp, kl.vector()};
  }
  GaussianKlGradArgs grad_args() {
    return {mu.matrix(),      log_var.matrix(),      m.vector(),      v.vector(),     clamp, kScale,
            grad_mu.matrix(), grad_log_var.matrix(), grad_m.vector(), grad_v.vector()};
  }
  int batch, latent;
  LogVarClamp clamp;
  Guarded<float> mu, log_var, m, v, kl, grad_mu, grad_log_var, grad_m, grad_v;
};

/// The terms of one element in double, and the sum of their magnitudes as the float formula meets them.
struct Terms {
  double pull, square, ratio, gap;
  bool clamped, prior_clamped;
  double magnitude() const { return square + ratio * (1 + std::abs(gap)) + std::abs(gap) + 1; }
};

// Roundings: of a difference, of two products and of an exponential within 2 ulp (its argument log_var - v
// rounds by gap / 2 units besides, which magnitude() holds), and of the sums of four terms: below 6 kEps of
// the magnitudes. Sums over the batch are in double.
constexpr double kTerms = 6 * kEps;

struct Expected {
  Values kl, kl_error, mu, mu_error, log_var, log_var_error, m, m_error, v, v_error;
};

Expected expected(Problem& p, const Values& grad_mu, const Values& grad_log_var) {
  const Values mu = test::to_double(p.mu.matrix()), log_var = test::to_double(p.log_var.matrix()),
               m = test::to_double(p.m.matrix()), v = test::to_double(p.v.matrix());
  const auto latent = static_cast<std::size_t>(p.latent);
  Expected e;
  e.kl = reference::gaussian_kl<double>(mu, log_var, m, v, p.clamp.lo, p.clamp.hi);
  e.kl_error.resize(static_cast<std::size_t>(p.batch));
  for (Values* values : {&e.m, &e.m_error, &e.v, &e.v_error}) values->resize(latent);
  for (std::size_t at = 0; at < mu.size(); ++at) {
    const std::size_t b = at / latent, d = at % latent;
    const double q = std::clamp<double>(log_var[at], p.clamp.lo, p.clamp.hi),
                 prior = std::clamp<double>(v[d], p.clamp.lo, p.clamp.hi), away = mu[at] - m[d];
    const Terms t{away / std::exp(prior), away * away / std::exp(prior),
                  std::exp(q - prior),    q - prior,
                  q != log_var[at],       prior != v[d]};
    e.kl_error[b] += kTerms * t.magnitude();
    e.mu.push_back(grad_mu[at] + kScale * t.pull);
    e.mu_error.push_back(kTerms * (std::abs(grad_mu[at]) + kScale * std::abs(t.pull)));
    e.log_var.push_back(grad_log_var[at] + (t.clamped ? 0 : kScale * (t.ratio - 1) / 2));
    e.log_var_error.push_back(kTerms * (std::abs(grad_log_var[at]) + kScale * t.magnitude()));
    e.m[d] -= kScale * t.pull;
    e.m_error[d] += kTerms * kScale * std::abs(t.pull);
    e.v[d] += t.prior_clamped ? 0 : kScale * (1 - t.ratio - t.square) / 2;
    e.v_error[d] += kTerms * kScale * t.magnitude();
  }
  return e;
}

Parity check_parity(Problem p, int threads) {
  const Expected want =
      expected(p, test::to_double(p.grad_mu.matrix()), test::to_double(p.grad_log_var.matrix()));
  gaussian_kl(test::exec(threads), p.args());
  gaussian_kl_backward(test::exec(threads), p.grad_args());
  Parity parity;
  const auto row = [](Guarded<float>& g) { return View<const float, 2>(g.matrix()); };
  parity.compare("kl", row(p.kl), want.kl, want.kl_error);
  parity.compare("grad_mu", row(p.grad_mu), want.mu, want.mu_error);
  parity.compare("grad_log_var", row(p.grad_log_var), want.log_var, want.log_var_error);
  parity.compare("grad_prior_mu", row(p.grad_m), want.m, want.m_error);
  parity.compare("grad_prior_log_var", row(p.grad_v), want.v, want.v_error);
  for (const Guarded<float>* g :
       {&p.mu, &p.log_var, &p.kl, &p.grad_mu, &p.grad_log_var, &p.grad_m, &p.grad_v}) {
    g->check_guards(parity, "gaussian_kl");
  }
  return parity;
}

TEST(GaussianKl, MatchesTheReference) {
  for (const int latent : {1, 2, 20, 31, 33, 63, 64, 65, 129, 257, 2049}) {
    for (const int batch : {1, 2, 7, 9, 31, 33, 257}) {
      if (latent * batch > 100'000) continue;
      SCOPED_TRACE(testing::Message() << batch << " x " << latent);
      const Parity parity = check_parity({batch, latent}, 1 + batch % 3);
      FELBO_EXPECT_PARITY(parity);
    }
  }
  const Parity clamped = check_parity({100, 20, {-0.5f, 0.25f}}, 2);
  FELBO_EXPECT_PARITY(clamped);
}

// Where m = 0 and v = 0 it is the KL from a standard normal; of a Gaussian from itself it is 0, exactly.
TEST(GaussianKl, GoldenValues) {
  const Values standard = reference::gaussian_kl<double>({1.5}, {0.5}, {0.0}, {0.0}, -20, 20);
  EXPECT_NEAR(standard[0], (2.25 + std::exp(0.5) - 0.5 - 1) / 2, 1e-15);
  // mpmath, the sum of the formula's terms at 30 digits
  EXPECT_NEAR(reference::gaussian_kl<double>({0.3, 2.0}, {-0.4, 1.0}, {1.1, -0.5}, {0.7, -0.2}, -20, 20)[0],
              4.75228491968109529711869318115, 1e-14);
  Problem p(3, 40);
  for (int b = 0; b < 3; ++b) {
    std::ranges::copy(p.m.vector(), p.mu.matrix().row(b));
    std::ranges::copy(p.v.vector(), p.log_var.matrix().row(b));
  }
  gaussian_kl(test::exec(1), p.args());
  for (const float kl : p.kl.vector()) EXPECT_EQ(kl, 0.0f);
}

// By central differences of the reference: truncation below h^2 times the third derivatives, here of order 1.
TEST(GaussianKl, GradientsAreDerivatives) {
  Problem p(4, 3);
  const Values mu = test::to_double(p.mu.matrix()), log_var = test::to_double(p.log_var.matrix()),
               m = test::to_double(p.m.matrix()), v = test::to_double(p.v.matrix());
  const Values none(12, 0.0);
  const Expected want = expected(p, none, none);
  const auto loss = [&](const Values& a, const Values& b, const Values& c, const Values& d) {
    double sum = 0;
    for (const double kl : reference::gaussian_kl<double>(a, b, c, d, -20, 20)) sum += kScale * kl;
    return sum;
  };
  const auto derivative = [&](const Values& at, std::size_t i, const auto& f) {
    const double h = 1e-5;
    Values up = at, down = at;
    up[i] += h;
    down[i] -= h;
    return (f(up) - f(down)) / (2 * h);
  };
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_NEAR(derivative(mu, i, [&](const Values& x) { return loss(x, log_var, m, v); }), want.mu[i], 1e-8);
    EXPECT_NEAR(derivative(log_var, i, [&](const Values& x) { return loss(mu, x, m, v); }), want.log_var[i],
                1e-8);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(derivative(m, i, [&](const Values& x) { return loss(mu, log_var, x, v); }), want.m[i], 1e-8);
    EXPECT_NEAR(derivative(v, i, [&](const Values& x) { return loss(mu, log_var, m, x); }), want.v[i], 1e-8);
  }
}

TEST(GaussianKl, ANanStaysInItsRow) {
  Problem p(40, 3);
  p.mu.matrix()(37, 1) = std::nanf("");
  gaussian_kl(test::exec(2), p.args());
  gaussian_kl_backward(test::exec(2), p.grad_args());
  EXPECT_TRUE(std::isnan(p.kl.vector()(37)));
  EXPECT_FALSE(std::isnan(p.kl.vector()(36)));
  EXPECT_TRUE(std::isnan(p.grad_m.vector()(1)));
  EXPECT_FALSE(std::isnan(p.grad_m.vector()(0)));
}

TEST(GaussianKl, ThreadsDoNotChangeABit) {
  Problem one(100, 150), other(100, 150);
  gaussian_kl_backward(test::exec(1), one.grad_args());
  gaussian_kl_backward(test::exec(3), other.grad_args());
  EXPECT_TRUE(test::same_bits(one.grad_m.matrix(), other.grad_m.matrix()));
  EXPECT_TRUE(test::same_bits(one.grad_v.matrix(), other.grad_v.matrix()));
  EXPECT_TRUE(test::same_bits(one.grad_mu.matrix(), other.grad_mu.matrix()));
}

TEST(GaussianKl, RefusesShapesThatDisagree) {
  Problem p(4, 5);
  GaussianKlArgs args = p.args();
  args.kl.size = 3;
  EXPECT_THROW(gaussian_kl(test::exec(1), args), std::invalid_argument);
  args = p.args();
  args.prior_mu.size = 4;
  EXPECT_THROW(gaussian_kl(test::exec(1), args), std::invalid_argument);
  args = p.args();
  args.log_var.rows = 3;
  EXPECT_THROW(gaussian_kl(test::exec(1), args), std::invalid_argument);
  GaussianKlGradArgs grad = p.grad_args();
  grad.grad_log_var.cols = 4;
  EXPECT_THROW(gaussian_kl_backward(test::exec(1), grad), std::invalid_argument);
  grad = p.grad_args();
  grad.grad_prior_log_var.size = 6;
  EXPECT_THROW(gaussian_kl_backward(test::exec(1), grad), std::invalid_argument);
}

TEST(GaussianKl, RefusesBoundsOfLogVarBeyondTheExponentials) {
  for (const LogVarClamp& clamp : {LogVarClamp{1, -1}, {-81, 0}, {0, 81}, {std::nanf(""), 0}}) {
    Problem p(4, 5, clamp);
    EXPECT_THROW(gaussian_kl(test::exec(1), p.args()), std::invalid_argument);
    EXPECT_THROW(gaussian_kl_backward(test::exec(1), p.grad_args()), std::invalid_argument);
  }
}

}  // namespace
}  // namespace felbo
