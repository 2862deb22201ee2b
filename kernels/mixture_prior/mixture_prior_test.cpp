#include "kernels/mixture_prior/mixture_prior.h"

#include <gtest/gtest.h>

#include "kernels/mixture_prior/mixture_prior_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;
using Values = std::vector<double>;

constexpr float kScale = 0.375f;

struct Problem {
  Problem(int batch, int samples, int latent, int components, bool logits = true, LogVarClamp clamp = {})
      : rows(batch * samples),
        samples(samples),
        latent(latent),
        components(components),
        clamp(clamp),
        mu(components, latent, latent % 3, latent % 2),
        log_var(components, latent, latent % 3, latent % 4),
        logit(1, logits ? components : 0),
        z(rows, latent, latent % 5, 1),
        log_pz(1, rows, 0, 1),
        responsibility(rows, components, components % 3, 1),
        scratch(1, mixture_scratch(components, latent), 0, 1),
        weight(1, rows, 0, 2),
        grad_z(rows, latent, latent % 2),
        grad_mu(components, latent, latent % 3, 1),
        grad_log_var(components, latent, latent % 4),
        grad_logit(1, logits ? components : 0, 0, 3) {
    test::fill_normal(mu.matrix(), 1, 0.9f);
    test::fill_normal(log_var.matrix(), 2, 0.5f, -0.3f);
    test::fill_normal(logit.matrix(), 3, 0.6f);
    test::fill_normal(z.matrix(), 4);
    test::fill_normal(weight.matrix(), 5, 0.2f, 0.5f);
    test::fill_normal(grad_z.matrix(), 6, 0.1f);
  }
  GaussianMixture mixture() {
    return {mu.matrix(), log_var.matrix(), logit.vector().size > 0 ? logit.vector() : View<float, 1>(),
            clamp};
  }
  MixturePriorArgs args() {
    return {mixture(), z.matrix(), log_pz.vector(), responsibility.matrix(), scratch.vector()};
  }
  MixturePriorGradArgs grad_args(bool weighed = true) {
    return {mixture(),
            z.matrix(),
            responsibility.matrix(),
            scratch.vector(),
            samples,
            kScale,
            weighed ? weight.vector() : View<float, 1>(),
            grad_z.matrix(),
            grad_mu.matrix(),
            grad_log_var.matrix(),
            logit.vector().size > 0 ? grad_logit.vector() : View<float, 1>()};
  }
  reference::Mixture<double> in_double() {
    return {test::to_double(mu.matrix()),
            test::to_double(log_var.matrix()),
            test::to_double(logit.matrix()),
            std::size_t(components),
            std::size_t(latent),
            clamp.lo,
            clamp.hi};
  }
  int rows, samples, latent, components;
  LogVarClamp clamp;
  Guarded<float> mu, log_var, logit, z, log_pz, responsibility, scratch, weight, grad_z, grad_mu,
      grad_log_var, grad_logit;
};

struct Expected {
  Values log_pz, log_pz_error, responsibility, responsibility_error, z, z_error, mu, mu_error, log_var,
      log_var_error, logit, logit_error;
};

// Of one component: each distance is within 4 kEps of itself (a difference, two products, the exponential),
// and lane sums of at most 2049 terms add 20 more halves; the constant rounds to float, from log-variances
// added in float. A row of z then knows each l_k within `error_k`, so its log p within their mean by
// responsibility, and the responsibilities within what the differences l_k - max l round by besides.
Expected expected(Problem& p, bool weighed) {
  const reference::Mixture<double> mixture = p.in_double();
  const Values z = test::to_double(p.z.matrix()), grad_z = test::to_double(p.grad_z.matrix()),
               weights = test::to_double(p.weight.matrix());
  const auto K = mixture.components, Z = mixture.latent;
  Expected e;
  e.z = grad_z;
  for (const double g : grad_z) e.z_error.push_back(kEps * std::abs(g));
  for (Values* values : {&e.mu, &e.mu_error, &e.log_var, &e.log_var_error}) values->resize(K * Z);
  e.logit.resize(mixture.logit.size());
  e.logit_error.resize(mixture.logit.size());
  double total = 0;
  for (const double l : mixture.logit) total += std::exp(l);
  for (std::size_t r = 0; r < std::size_t(p.rows); ++r) {
    const double* at = z.data() + r * Z;
    const Values l = reference::component_log_densities(mixture, at);
    const double log_pz = reference::mixture_log_density(mixture, at), max = *std::ranges::max_element(l);
    const double c = kScale * (weighed ? weights[r] : 1.0 / p.samples);
    Values error(K);
    double mean_error = 0;
    for (std::size_t k = 0; k < K; ++k) {
      double distances = 0, log_dets = 0;
      for (std::size_t d = 0; d < Z; ++d) {
        const double v = std::clamp(mixture.log_var[k * Z + d], mixture.lo, mixture.hi);
        distances += (at[d] - mixture.mu[k * Z + d]) * (at[d] - mixture.mu[k * Z + d]) * std::exp(-v);
        log_dets += std::abs(v);
      }
      error[k] = kEps * (14 * distances / 2 + 10 * log_dets / 2 + std::abs(l[k]) + double(Z) + 1);
      mean_error += std::exp(l[k] - log_pz) * error[k];
    }
    e.log_pz.push_back(log_pz);
    e.log_pz_error.push_back(mean_error + kEps * (4 + std::abs(log_pz)));
    for (std::size_t k = 0; k < K; ++k) {
      const double share = std::exp(l[k] - log_pz);
      const double relative = error[k] + mean_error + kEps * (6 + std::abs(l[k] - max));
      // Exponentials below the normal numbers are 0.
      const double share_error = share * relative + 2e-38;
      e.responsibility.push_back(share);
      e.responsibility_error.push_back(share_error);
      if (!mixture.logit.empty()) {
        const double prior_share = std::exp(mixture.logit[k]) / total;
        e.logit[k] -= c * (share - prior_share);
        e.logit_error[k] += std::abs(c) * (share_error + 2 * kEps * (share + prior_share));
      }
      for (std::size_t d = 0; d < Z; ++d) {
        const std::size_t kd = k * Z + d;
        const double v = std::clamp(mixture.log_var[kd], mixture.lo, mixture.hi),
                     pull = (at[d] - mixture.mu[kd]) * std::exp(-v), square = pull * (at[d] - mixture.mu[kd]);
        e.z[r * Z + d] += c * share * pull;
        e.z_error[r * Z + d] += std::abs(c * pull) * (share_error + 8 * kEps * share);
        e.mu[kd] -= c * share * pull;
        e.mu_error[kd] += std::abs(c * pull) * (share_error + 6 * kEps * share);
        if (v == mixture.log_var[kd]) e.log_var[kd] -= c * share * (square - 1) / 2;
        e.log_var_error[kd] += std::abs(c) * (square + 1) * (share_error + 6 * kEps * share);
      }
    }
  }
  // A sum of K terms in float, one after another.
  for (std::size_t i = 0; i < e.z.size(); ++i) e.z_error[i] *= 1 + double(K) / 8;
  return e;
}

Parity check_parity(Problem p, int threads, bool weighed = true) {
  const Expected want = expected(p, weighed);
  mixture_prior(test::exec(threads), p.args());
  mixture_prior_backward(test::exec(threads), p.grad_args(weighed));
  Parity parity;
  const auto compare = [&](const char* what, Guarded<float>& got, const Values& value, const Values& error) {
    parity.compare(what, View<const float, 2>(got.matrix()), value, error);
    got.check_guards(parity, what);
  };
  compare("log_pz", p.log_pz, want.log_pz, want.log_pz_error);
  compare("responsibility", p.responsibility, want.responsibility, want.responsibility_error);
  compare("grad_z", p.grad_z, want.z, want.z_error);
  compare("grad_mu", p.grad_mu, want.mu, want.mu_error);
  compare("grad_log_var", p.grad_log_var, want.log_var, want.log_var_error);
  if (p.logit.vector().size > 0) compare("grad_logit", p.grad_logit, want.logit, want.logit_error);
  for (const Guarded<float>* g : {&p.mu, &p.log_var, &p.logit, &p.z, &p.scratch, &p.weight}) {
    g->check_guards(parity, "inputs and scratch");
  }
  return parity;
}

TEST(MixturePrior, MatchesTheReference) {
  for (const int latent : {1, 2, 20, 31, 33, 63, 64, 65, 129}) {
    for (const int components : {1, 2, 7, 63, 64, 65}) {
      for (const int batch : {1, 9, 31}) {
        if (latent * components * batch > 60'000) continue;
        SCOPED_TRACE(testing::Message() << batch << " x " << latent << ", K " << components);
        const Parity parity = check_parity({batch, 1 + batch % 2, latent, components, batch != 9},
                                           1 + batch % 3, components % 2 == 1);
        FELBO_EXPECT_PARITY(parity);
      }
    }
  }
  const Parity wide = check_parity({2, 1, 2049, 3}, 2),
               clamped = check_parity({9, 5, 20, 7, true, {-0.5f, 0.0f}}, 2);
  FELBO_EXPECT_PARITY(wide);
  FELBO_EXPECT_PARITY(clamped);
}

/// Nine data, four samples each.
Problem small() { return {9, 4, 6, 5}; }

// mpmath at 30 digits.
TEST(MixturePrior, GoldenValues) {
  const reference::Mixture<double> mixture{
      {0.0, 1.0, -2.0, 0.5}, {0.0, -1.0, 0.7, 0.2}, {0.3, -0.4}, 2, 2, -20, 20};
  const double z[] = {0.5, -0.25}, far[] = {40.0, -30.0};
  EXPECT_NEAR(reference::mixture_log_density(mixture, z), -3.72258049633345964786288345106, 1e-14);
  EXPECT_NEAR(reference::mixture_log_density(mixture, far), -822.191442584714307360239001622, 1e-11);
}

// One component is a Gaussian, and equal components are one.
TEST(MixturePrior, EqualComponentsAreOne) {
  Problem many(7, 1, 20, 9), one(7, 1, 20, 1);
  for (int k = 0; k < 9; ++k) {
    std::ranges::copy_n(one.mu.matrix().row(0), 20, many.mu.matrix().row(k));
    std::ranges::copy_n(one.log_var.matrix().row(0), 20, many.log_var.matrix().row(k));
  }
  mixture_prior(test::exec(1), many.args());
  mixture_prior(test::exec(1), one.args());
  for (int r = 0; r < 7; ++r) {
    const float want = one.log_pz.vector()(r);
    EXPECT_NEAR(many.log_pz.vector()(r), want, 4 * float(kEps) * std::abs(want));
    EXPECT_EQ(one.responsibility.matrix()(r, 0), 1.0f);
  }
}

// By central differences of the reference: truncation below h^2 times the third derivatives, and rounding.
TEST(MixturePrior, GradientsAreDerivatives) {
  Problem p = small();
  test::fill_normal(p.grad_z.matrix(), 6, 0.0f);
  const Expected want = expected(p, true);
  const reference::Mixture<double> mixture = p.in_double();
  const Values z = test::to_double(p.z.matrix()), weight = test::to_double(p.weight.matrix());
  const auto loss = [&](const reference::Mixture<double>& m, const Values& at) {
    double sum = 0;
    for (std::size_t r = 0; r < weight.size(); ++r) {
      sum -= kScale * weight[r] * reference::mixture_log_density(m, at.data() + r * m.latent);
    }
    return sum;
  };
  const double h = 1e-5;
  for (std::size_t i = 0; i < z.size(); ++i) {
    Values up = z, down = z;
    up[i] += h;
    down[i] -= h;
    EXPECT_NEAR((loss(mixture, up) - loss(mixture, down)) / (2 * h), want.z[i], 1e-8);
  }
  const auto check = [&](Values reference::Mixture<double>::*which, const Values& gradient) {
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      reference::Mixture<double> up = mixture, down = mixture;
      (up.*which)[i] += h;
      (down.*which)[i] -= h;
      EXPECT_NEAR((loss(up, z) - loss(down, z)) / (2 * h), gradient[i], 1e-8);
    }
  };
  check(&reference::Mixture<double>::mu, want.mu);
  check(&reference::Mixture<double>::log_var, want.log_var);
  check(&reference::Mixture<double>::logit, want.logit);
}

TEST(MixturePrior, FarFromAllComponentsIsFinite) {
  Problem p = small();
  test::fill_normal(p.z.matrix(), 4, 0.0f, 1e4f);
  mixture_prior(test::exec(1), p.args());
  mixture_prior_backward(test::exec(1), p.grad_args());
  for (const float l : p.log_pz.vector()) EXPECT_TRUE(std::isfinite(l) && l < -1e7f) << l;
  for (int r = 0; r < p.rows; ++r) {
    float sum = 0;
    for (int k = 0; k < p.components; ++k) sum += p.responsibility.matrix()(r, k);
    EXPECT_NEAR(sum, 1.0f, 1e-6f);
  }
  for (const float g : p.grad_logit.vector()) EXPECT_TRUE(std::isfinite(g));
}

// A component that is far away must not cost the others their digits.
TEST(MixturePrior, ResponsibilitiesSumToOneBesideAFarComponent) {
  for (const float away : {1e2f, 1e4f}) {
    Problem p = small();
    for (int d = 0; d < p.latent; ++d) p.mu.matrix()(0, d) = away;
    mixture_prior(test::exec(1), p.args());
    for (int r = 0; r < p.rows; ++r) {
      float sum = 0;
      for (int k = 0; k < p.components; ++k) sum += p.responsibility.matrix()(r, k);
      EXPECT_NEAR(sum, 1.0f, 1e-6f) << away;
    }
  }
}

TEST(MixturePrior, ANanStaysInItsRow) {
  Problem p = small();
  p.z.matrix()(3, 2) = std::nanf("");
  mixture_prior(test::exec(2), p.args());
  EXPECT_TRUE(std::isnan(p.log_pz.vector()(3)));
  EXPECT_FALSE(std::isnan(p.log_pz.vector()(4)));
  Problem q(5, 1, 6, 70);
  q.mu.matrix()(1, 2) = std::nanf("");  // in the first tile of components of two
  mixture_prior(test::exec(1), q.args());
  for (const float l : q.log_pz.vector()) EXPECT_TRUE(std::isnan(l));
}

TEST(MixturePrior, ThreadsDoNotChangeABit) {
  Problem one(50, 2, 70, 20), other(50, 2, 70, 20);
  for (Problem* p : {&one, &other}) {
    const int threads = p == &one ? 1 : 3;
    mixture_prior(test::exec(threads), p->args());
    mixture_prior_backward(test::exec(threads), p->grad_args());
  }
  const auto same = [&](Guarded<float> Problem::*of) {
    return test::same_bits((one.*of).matrix(), (other.*of).matrix());
  };
  EXPECT_TRUE(same(&Problem::log_pz) && same(&Problem::responsibility) && same(&Problem::grad_z));
  EXPECT_TRUE(same(&Problem::grad_mu) && same(&Problem::grad_log_var) && same(&Problem::grad_logit));
}

// A prior without parameters of its own: grad_z alone.
TEST(MixturePrior, ParametersMayBeFixed) {
  Problem all = small(), z_alone = small();
  for (Problem* p : {&all, &z_alone}) {
    MixturePriorGradArgs args = p->grad_args();
    mixture_prior(test::exec(1), p->args());
    if (p == &z_alone) args.grad_mu = args.grad_log_var = {}, args.grad_logit = {};
    mixture_prior_backward(test::exec(1), args);
  }
  EXPECT_TRUE(test::same_bits(all.grad_z.matrix(), z_alone.grad_z.matrix()));
  EXPECT_TRUE(std::isnan(z_alone.grad_mu.matrix()(0, 0)));  // as it was
}

TEST(MixturePrior, RefusesShapesThatDisagree) {
  Problem p = small();
  const auto refuses = [&](const auto& spoil) {
    MixturePriorArgs args = p.args();
    spoil(args);
    EXPECT_THROW(mixture_prior(test::exec(1), args), std::invalid_argument);
  };
  refuses([](auto& a) { a.log_pz.size -= 1; });
  refuses([](auto& a) { a.scratch.size -= 1; });
  refuses([](auto& a) { a.mixture.clamp.hi = 81.0f; });
  refuses([](auto& a) { a.mixture.mu.cols -= 1; });
  refuses([](auto& a) { a.mixture.mu.rows = 0; });
  refuses([](auto& a) { a.mixture.logit.size -= 1; });
  refuses([](auto& a) { a.responsibility.cols -= 1; });
  const auto refuses_gradient = [&](const auto& spoil) {
    MixturePriorGradArgs args = p.grad_args();
    spoil(args);
    EXPECT_THROW(mixture_prior_backward(test::exec(1), args), std::invalid_argument);
  };
  refuses_gradient([](auto& a) { a.samples = 5; });
  refuses_gradient([](auto& a) { a.weight.size -= 1; });
  refuses_gradient([](auto& a) { a.grad_z.rows -= 1; });
  refuses_gradient([](auto& a) { a.grad_mu = {}; });
  refuses_gradient([](auto& a) { a.grad_log_var.rows -= 1; });
  refuses_gradient([](auto& a) { a.grad_logit.size -= 1; });
  refuses_gradient([](auto& a) { a.responsibility.rows -= 1; });
}

}  // namespace
}  // namespace felbo
