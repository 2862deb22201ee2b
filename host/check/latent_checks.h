// What posteriors and priors other than the default ones add: isotropic log-variances, the KL from a learned
// Gaussian, densities of mixtures, the map to the unit cube, and a KL by samples.
#pragma once

#include <cmath>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/gaussian_kl/gaussian_kl_reference.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/mixture_prior/mixture_prior_reference.h"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/normal_cdf/normal_cdf_reference.h"
#include "kernels/objective/objective.h"

namespace felbo::checks {

template <class Exec>
void check_isotropic(const Exec& exec, Parity& parity) {
  for (const std::int64_t latent : {1, 20, 33, 257, 2049}) {
    parity.begin_case(fmt::format("B 31 Z {}", latent));
    auto one = normals(exec, 31, 1, {latent % 3, 1}, kInputSeed);
    auto grad = normals(exec, 31, latent, {latent % 2, latent % 4}, kInputSeed + 1);
    Mirror<Exec, float> log_var(exec, 31, latent, {1, latent % 2}), grad_one(exec, 31, 1, {2, 0});
    repeat_log_var(exec, {one.matrix(), log_var.matrix()});
    sum_log_var_grad(exec, {grad.matrix(), grad_one.matrix()});
    Values repeated, sum(31, 0.0), magnitude(31, 0.0);
    for (std::int64_t b = 0; b < 31; ++b) {
      for (std::int64_t d = 0; d < latent; ++d) {
        const double g = static_cast<double>(grad.host()(b, d));
        repeated.push_back(static_cast<double>(one.host()(b, 0)));
        sum[static_cast<std::size_t>(b)] += g;
        magnitude[static_cast<std::size_t>(b)] += std::abs(g);
      }
    }
    log_var.judge(parity, "log_var", repeated, 0.0);
    grad_one.judge(parity, "grad_one", sum, scaled(magnitude, 10));  // lanes of at most 64 floats
  }
}

// One row of q against one Gaussian; tolerances as in gaussian_kl_test.cpp, 6 roundings of the magnitudes.
template <class Exec>
void check_gaussian_kl(const Exec& exec, Parity& parity) {
  for (const std::int64_t latent : {1, 20, 33, 65, 257, 2049}) {
    const std::int64_t batch = 31;
    parity.begin_case(fmt::format("B {} Z {}", batch, latent));
    const float scale = 0.375f;
    auto mu = normals(exec, batch, latent, {latent % 3, 1}, kInputSeed, 0.7f);
    auto log_var = normals(exec, batch, latent, {latent % 3, latent % 4}, kInputSeed + 1, 0.8f, -0.3f);
    auto m = normals(exec, 1, latent, {0, 1}, kInputSeed + 2, 0.5f);
    auto v = normals(exec, 1, latent, {}, kInputSeed + 3, 0.6f);
    auto grad_mu = normals(exec, batch, latent, {1, 0}, kInputSeed + 4, 0.1f);
    auto grad_log_var = normals(exec, batch, latent, {0, 3}, kInputSeed + 5, 0.1f);
    const Values before_mu = grad_mu.doubles(), before_log_var = grad_log_var.doubles();
    Mirror<Exec, float> kl(exec, 1, batch), grad_m(exec, 1, latent), grad_v(exec, 1, latent, {0, 1});
    gaussian_kl(exec, {mu.matrix(), log_var.matrix(), m.vector(), v.vector(), {}, kl.vector()});
    gaussian_kl_backward(exec, {mu.matrix(),
                                log_var.matrix(),
                                m.vector(),
                                v.vector(),
                                {},
                                scale,
                                grad_mu.matrix(),
                                grad_log_var.matrix(),
                                grad_m.vector(),
                                grad_v.vector()});
    Values by_mu, by_mu_scale, by_log_var, by_log_var_scale, kl_scale(static_cast<std::size_t>(batch));
    const auto columns = static_cast<std::size_t>(latent);
    Values by_m(columns), by_m_scale(columns), by_v(columns), by_v_scale(columns);
    const Values q = mu.doubles(), q_log_var = log_var.doubles(), p = m.doubles(), p_log_var = v.doubles();
    const double c = static_cast<double>(scale);
    for (std::size_t at = 0; at < q.size(); ++at) {
      const std::size_t d = at % columns;
      const double away = q[at] - p[d], pull = away * std::exp(-p_log_var[d]), square = pull * away;
      const double gap = q_log_var[at] - p_log_var[d], ratio = std::exp(gap);
      const double magnitude = square + ratio * (1 + std::abs(gap)) + std::abs(gap) + 1;
      kl_scale[at / columns] += magnitude;
      by_mu.push_back(before_mu[at] + c * pull);
      by_mu_scale.push_back(std::abs(before_mu[at]) + c * std::abs(pull));
      by_log_var.push_back(before_log_var[at] + c * (ratio - 1) / 2);
      by_log_var_scale.push_back(std::abs(before_log_var[at]) + c * magnitude);
      by_m[d] -= c * pull;
      by_m_scale[d] += c * std::abs(pull);
      by_v[d] += c * (1 - ratio - square) / 2;
      by_v_scale[d] += c * magnitude;
    }
    kl.judge(parity, "kl", reference::gaussian_kl<double>(q, q_log_var, p, p_log_var, -20, 20),
             scaled(kl_scale, 6));
    grad_mu.judge(parity, "grad_mu", by_mu, scaled(by_mu_scale, 6));
    grad_log_var.judge(parity, "grad_log_var", by_log_var, scaled(by_log_var_scale, 6));
    grad_m.judge(parity, "grad_prior_mu", by_m, scaled(by_m_scale, 6));
    grad_v.judge(parity, "grad_prior_log_var", by_v, scaled(by_v_scale, 6));
  }
}

// log p(z) of mixtures and its gradients. Each l_k is known within `error`, as mixture_prior_test.cpp
// derives; a responsibility within twice the largest of them and what the differences round by.
template <class Exec>
void check_mixture_prior(const Exec& exec, Parity& parity) {
  for (const auto& [latent, components] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {20, 7}, {65, 65}, {2049, 2}}) {
    const std::int64_t rows = 31;
    parity.begin_case(fmt::format("R {} Z {} K {}", rows, latent, components));
    const float scale = 0.5f;
    auto mu = normals(exec, components, latent, {latent % 3, 1}, kInputSeed, 0.9f);
    auto log_var = normals(exec, components, latent, {1, latent % 4}, kInputSeed + 1, 0.5f, -0.3f);
    auto logit = normals(exec, 1, components, {0, 1}, kInputSeed + 2, 0.6f);
    auto z = normals(exec, rows, latent, {latent % 2, 0}, kInputSeed + 3);
    auto grad_z = normals(exec, rows, latent, {0, latent % 3}, kInputSeed + 4, 0.1f);
    const Values before = grad_z.doubles(), at = z.doubles();
    Mirror<Exec, float> log_pz(exec, 1, rows), share(exec, rows, components, {1, 1}),
        scratch(exec, 1, mixture_scratch(components, latent)), by_mu(exec, components, latent),
        by_log_var(exec, components, latent), by_logit(exec, 1, components);
    const GaussianMixture mixture{mu.matrix(), log_var.matrix(), logit.vector(), {}};
    mixture_prior(exec, {mixture, z.matrix(), log_pz.vector(), share.matrix(), scratch.vector()});
    mixture_prior_backward(exec, {mixture,
                                  z.matrix(),
                                  share.matrix(),
                                  scratch.vector(),
                                  1,
                                  scale,
                                  {},
                                  grad_z.matrix(),
                                  by_mu.matrix(),
                                  by_log_var.matrix(),
                                  by_logit.vector()});
    const reference::Mixture<double> exact{mu.doubles(),
                                           log_var.doubles(),
                                           logit.doubles(),
                                           static_cast<std::size_t>(components),
                                           static_cast<std::size_t>(latent),
                                           -20,
                                           20};
    Values want, tolerance, gradient = before, gradient_tolerance;
    const std::size_t elements = exact.mu.size();
    Values mu_gradient(elements), mu_tolerance(elements), log_var_gradient(elements),
        log_var_tolerance(elements), logit_gradient(exact.components), logit_tolerance(exact.components);
    double total = 0;
    for (const double value : exact.logit) total += std::exp(value);
    for (std::int64_t r = 0; r < rows; ++r) {
      const double* row = at.data() + r * latent;
      const Values l = reference::component_log_densities(exact, row);
      const double log_p = reference::mixture_log_density(exact, row);
      double worst = 0, spread = 0;
      for (const double value : l) {
        worst = std::max(worst, kEps * (14 * std::abs(value) + 10 * static_cast<double>(latent)));
        spread = std::max(spread, std::abs(value - l[0]));
      }
      want.push_back(log_p);
      tolerance.push_back(worst + kEps * (4 + std::abs(log_p)));
      // A share is off by what its own l_k and log p(z) are, and what their difference rounds by.
      const double c = static_cast<double>(scale), off = 2 * worst + kEps * (16 + spread);
      for (std::size_t k = 0; k < exact.components; ++k) {
        const double responsible = std::exp(l[k] - log_p), prior_share = std::exp(exact.logit[k]) / total;
        logit_gradient[k] -= c * (responsible - prior_share);
        logit_tolerance[k] += c * (responsible * off + 4 * kEps * prior_share + kTiny);
      }
      for (std::int64_t d = 0; d < latent; ++d) {
        double sum = 0, magnitude = 0;
        for (std::size_t k = 0; k < exact.components; ++k) {
          const auto kd = k * exact.latent + static_cast<std::size_t>(d);
          const double responsible = std::exp(l[k] - log_p), away = row[d] - exact.mu[kd],
                       pull = responsible * away * std::exp(-exact.log_var[kd]), square = pull * away;
          sum += pull;
          magnitude += std::abs(pull);
          mu_gradient[kd] -= c * pull;
          mu_tolerance[kd] += c * std::abs(pull) * off;
          log_var_gradient[kd] -= c * (square - responsible) / 2;
          log_var_tolerance[kd] += c * (square + responsible) * off + kTiny;
        }
        const auto element = static_cast<std::size_t>(r * latent + d);
        gradient[element] += static_cast<double>(scale) * sum;
        gradient_tolerance.push_back(kEps * std::abs(before[element]) +
                                     magnitude * (2 * worst + kEps * (16 + 2 * spread)));
      }
    }
    log_pz.judge(parity, "log_pz", want, tolerance);
    grad_z.judge(parity, "grad_z", gradient, gradient_tolerance);
    by_mu.judge(parity, "grad_mu", mu_gradient, mu_tolerance);
    by_log_var.judge(parity, "grad_log_var", log_var_gradient, log_var_tolerance);
    by_logit.judge(parity, "grad_logit", logit_gradient, logit_tolerance);
  }
}

template <class Exec>
void check_normal_cdf(const Exec& exec, Parity& parity) {
  for (const std::int64_t size : kWidths) {
    parity.begin_case(fmt::format("N {}", size));
    auto z = normals(exec, 1, size, {0, size % 3}, kInputSeed, 2.0f);
    auto grad = normals(exec, 1, size, {0, size % 4}, kInputSeed + 1);
    const Values by_u = grad.doubles();
    Mirror<Exec, float> u(exec, 1, size, {0, 1});
    normal_cdf(exec, NormalCdfArgs{z.vector(), u.vector()});
    normal_cdf_backward(exec, NormalCdfGradArgs{z.vector(), grad.vector()});
    Values want, tolerance, slope, slope_tolerance;
    std::size_t i = 0;
    for (const double at : z.doubles()) {
      // As in normal_cdf_test.cpp.
      const double relative = (6 + at * at / 2) * kEps, value = reference::normal_cdf(at);
      want.push_back(value);
      tolerance.push_back(at <= 0 ? relative * value + kTiny : kEps + relative * (1 - value));
      slope.push_back(reference::normal_density(at) * by_u[i]);
      slope_tolerance.push_back(relative * std::abs(slope.back()) + kTiny * (1 + std::abs(by_u[i])));
      ++i;
    }
    u.judge(parity, "u", want, tolerance);
    grad.judge(parity, "grad_z", slope, slope_tolerance);
  }
}

template <class Exec>
void check_sampled_kl(const Exec& exec, Parity& parity) {
  for (const int samples : {1, 3, 33, 1025}) {
    parity.begin_case(fmt::format("B 9 S {}", samples));
    auto log_pz = normals(exec, 1, 9 * samples, {0, 1}, kInputSeed, 3.0f, -20.0f);
    auto log_qz = normals(exec, 1, 9 * samples, {}, kInputSeed + 1, 3.0f, -15.0f);
    Mirror<Exec, float> kl(exec, 1, 9);
    sampled_kl(exec, {log_pz.vector(), log_qz.vector(), samples, kl.vector()});
    const Values p = log_pz.doubles(), q = log_qz.doubles();
    Values want(9), tolerance;
    for (std::size_t r = 0; r < p.size(); ++r)
      want[r / static_cast<std::size_t>(samples)] += (q[r] - p[r]) / samples;
    for (const double value : want) tolerance.push_back(0.5 * kEps * std::abs(value) + 1e-11);  // in double
    kl.judge(parity, "kl", want, tolerance);
  }
}

template <class Exec>
void add_latent_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"isotropic/log-variances", check_isotropic<Exec>});
  checks.push_back({"gaussian_kl/value and gradients", check_gaussian_kl<Exec>});
  checks.push_back({"mixture_prior/value and gradients", check_mixture_prior<Exec>});
  checks.push_back({"normal_cdf/value and gradient", check_normal_cdf<Exec>});
  checks.push_back({"sampled_kl/mean", check_sampled_kl<Exec>});
}

}  // namespace felbo::checks
