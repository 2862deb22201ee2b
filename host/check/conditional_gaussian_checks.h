// Stochastic layers above the first: their draws and densities, forward and backward.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/check/check.h"
#include "host/check/covariance_factor_checks.h"
#include "host/check/mirror.h"
#include "host/check/reparameterize_checks.h"
#include "host/check/tolerance.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/conditional_gaussian/conditional_gaussian_reference.h"

namespace felbo::checks {

/// A datum's samples have a mean and a variance each, so B S rows of all; `h` and what rows begin with.
template <class Exec>
struct LayerProblem {
  LayerProblem(const Exec& exec, const LatentCase& c)
      : c(c),
        layout{c.latent % 3, c.latent % 2},
        rows(std::int64_t{c.batch} * c.samples),
        mu(normals(exec, rows, c.latent, layout, kInputSeed)),
        log_var(normals(exec, rows, c.latent, layout, kInputSeed + 1, c.log_var_scale, -0.5f)),
        h(normals(exec, rows, c.latent, layout, kInputSeed + 2)),
        grad_h(normals(exec, rows, c.latent, layout, kInputSeed + 3)),
        log(normals(exec, 1, rows, {}, kInputSeed + 4, 1.0f, -30.0f)),
        datum(row_of(exec, LatentProblem<Exec>::data_of(c.batch))),
        clamped(row_of(exec, std::vector<std::int32_t>(static_cast<std::size_t>(rows), 7))) {}

  static Values of(Mirror<Exec, float>& m, std::int64_t row) {
    const float* begin = m.host().row(row);
    return {begin, begin + m.host().cols};
  }
  ReferenceNormal eps(std::int64_t row, int d) {
    return reference_normal(kNoise, datum.host()(0, row / c.samples),
                            kFirstSample + static_cast<std::uint32_t>(row % c.samples),
                            static_cast<std::uint32_t>(d));
  }
  Values draw(std::int64_t row) {
    Values values;
    for (int d = 0; d < c.latent; ++d) values.push_back(eps(row, d).value);
    return values;
  }
  double clamped_log_var(double v) const { return std::clamp<double>(v, c.clamp.lo, c.clamp.hi); }
  std::int32_t clamped_of(std::int64_t row) {
    std::int32_t count = 0;
    for (const double v : of(log_var, row)) count += v < c.clamp.lo || v > c.clamp.hi;
    return count;
  }
  void judge_counts(Parity& parity) {
    Values want;
    for (std::int64_t r = 0; r < rows; ++r) want.push_back(7 + clamped_of(r));
    clamped.judge(parity, "clamped", want, 0.0);
  }

  static constexpr std::uint32_t kFirstSample = 11;
  static constexpr float kScale = 0.37f;
  inline static const NoiseStream kNoise{kNoiseSeed, 9, Purpose::kLatentAbove};

  LatentCase c;
  Layout layout;
  std::int64_t rows;
  Mirror<Exec, float> mu, log_var, h, grad_h, log;
  Mirror<Exec, std::uint32_t> datum;
  Mirror<Exec, std::int32_t> clamped;
};

template <class Exec>
void check_conditional_draw(const Exec& exec, const LatentCase& c, Parity& parity) {
  LayerProblem<Exec> p(exec, c);
  Mirror<Exec, float> h(exec, p.rows, c.latent, p.layout), log_standard(exec, 1, p.rows);
  conditional_draw(exec, {.mu = p.mu.matrix(),
                          .log_var = p.log_var.matrix(),
                          .clamp = c.clamp,
                          .noise = p.kNoise,
                          .datum = p.datum.vector(),
                          .first_sample = p.kFirstSample,
                          .samples = c.samples,
                          .z = h.matrix(),
                          .log_q = p.log.vector(),
                          .log_standard = log_standard.vector(),
                          .clamped = p.clamped.vector()});
  Values want_h, h_error, log_q = p.log.doubles(), q_error, standard, standard_error;
  const double k = row_k(c.latent) * kEps;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const Values mu = p.of(p.mu, r), log_var = p.of(p.log_var, r);
    const auto want = reference::conditional_draw<double>(mu, log_var, p.draw(r), c.clamp.lo, c.clamp.hi);
    double in_q = 0, in_p = 0;
    for (int d = 0; d < c.latent; ++d) {
      const auto at = static_cast<std::size_t>(d);
      const double v = p.clamped_log_var(log_var[at]), sigma = std::exp(v / 2);
      const auto [e, error] = p.eps(r, d);
      h_error.push_back(sample_tolerance(mu[at], sigma, e, error));
      in_q += k * (1.84 + std::abs(v) + e * e) + std::abs(e) * error;
      in_p += k * (1.84 + want.z[at] * want.z[at]) + std::abs(want.z[at]) * h_error.back();
    }
    want_h.insert(want_h.end(), want.z.begin(), want.z.end());
    double& total = log_q[static_cast<std::size_t>(r)];
    q_error.push_back(in_q + kEps * (std::abs(total) + std::abs(want.log_q)));
    total += want.log_q;
    standard.push_back(want.log_standard);
    standard_error.push_back(in_p);
  }
  h.judge(parity, "h", want_h, h_error);
  p.log.judge(parity, "log_q", log_q, q_error);
  log_standard.judge(parity, "log_standard", standard, standard_error);
  p.judge_counts(parity);
}

template <class Exec>
void check_conditional_draw_backward(const Exec& exec, const LatentCase& c, Parity& parity) {
  LayerProblem<Exec> p(exec, c);
  Mirror<Exec, float> grad_mu(exec, p.rows, c.latent, p.layout),
      grad_log_var(exec, p.rows, c.latent, p.layout);
  conditional_draw_backward(exec, {.mu = p.mu.matrix(),
                                   .log_var = p.log_var.matrix(),
                                   .clamp = c.clamp,
                                   .noise = p.kNoise,
                                   .datum = p.datum.vector(),
                                   .first_sample = p.kFirstSample,
                                   .samples = c.samples,
                                   .grad_z = p.grad_h.matrix(),
                                   .kl_scale = p.kScale,
                                   .weight = {},
                                   .standard_prior = true,
                                   .grad_mu = grad_mu.matrix(),
                                   .grad_log_var = grad_log_var.matrix()});
  Values by_mu, mu_error, by_log_var, log_var_error;
  const double scale = double(p.kScale) / c.samples;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const Values mu = p.of(p.mu, r), log_var = p.of(p.log_var, r), grad = p.of(p.grad_h, r);
    const auto want = reference::conditional_draw_gradient<double>(mu, log_var, p.draw(r), grad, scale, true,
                                                                   c.clamp.lo, c.clamp.hi);
    by_mu.insert(by_mu.end(), want.mu.begin(), want.mu.end());
    by_log_var.insert(by_log_var.end(), want.log_var.begin(), want.log_var.end());
    for (int d = 0; d < c.latent; ++d) {
      const auto at = static_cast<std::size_t>(d);
      const double sigma = std::exp(p.clamped_log_var(log_var[at]) / 2);
      const auto [e, error] = p.eps(r, d);
      const double size = std::abs(grad[at]) + scale * (std::abs(mu[at]) + sigma * std::abs(e));
      mu_error.push_back(samples_k(1) * kEps * size + scale * sigma * error);
      log_var_error.push_back(mu_error.back() * std::abs(e) * sigma + size * sigma * error +
                              samples_k(1) * kEps * (size * std::abs(e) * sigma + scale));
    }
  }
  grad_mu.judge(parity, "grad_mu", by_mu, mu_error);
  grad_log_var.judge(parity, "grad_log_var", by_log_var, log_var_error);
}

template <class Exec>
void check_conditional_density(const Exec& exec, const LatentCase& c, Parity& parity) {
  LayerProblem<Exec> p(exec, c);
  conditional_density(exec, {.z = p.h.matrix(),
                             .mu = p.mu.matrix(),
                             .log_var = p.log_var.matrix(),
                             .clamp = c.clamp,
                             .log_p = p.log.vector(),
                             .clamped = p.clamped.vector()});
  Values log_p = p.log.doubles(), error;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const Values h = p.of(p.h, r), mu = p.of(p.mu, r), log_var = p.of(p.log_var, r);
    const double want =
        reference::diagonal_gaussian_log_density<double>(h, mu, log_var, c.clamp.lo, c.clamp.hi);
    double size = 0;
    for (std::size_t d = 0; d < h.size(); ++d) {
      const double v = p.clamped_log_var(log_var[d]), away = h[d] - mu[d];
      size += 1.84 + std::abs(v) + away * away * std::exp(-v);
    }
    double& total = log_p[static_cast<std::size_t>(r)];
    error.push_back(row_k(c.latent) * kEps * size + kEps * (std::abs(total) + std::abs(want)));
    total += want;
  }
  p.log.judge(parity, "log_p", log_p, error);
  p.judge_counts(parity);
}

template <class Exec>
void check_conditional_density_backward(const Exec& exec, const LatentCase& c, Parity& parity) {
  LayerProblem<Exec> p(exec, c);
  Mirror<Exec, float> grad_mu(exec, p.rows, c.latent, p.layout),
      grad_log_var(exec, p.rows, c.latent, p.layout);
  conditional_density_backward(exec, {.z = p.h.matrix(),
                                      .mu = p.mu.matrix(),
                                      .log_var = p.log_var.matrix(),
                                      .clamp = c.clamp,
                                      .samples = c.samples,
                                      .kl_scale = p.kScale,
                                      .weight = {},
                                      .grad_z = p.grad_h.matrix(),
                                      .grad_mu = grad_mu.matrix(),
                                      .grad_log_var = grad_log_var.matrix()});
  Values by_h = p.grad_h.doubles(), h_error, by_mu, mu_error, by_log_var, log_var_error;
  const double scale = double(p.kScale) / c.samples;
  // A difference, an exponential within 2 ulp twice, up to six products.
  const double k = 12 * kEps;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const Values h = p.of(p.h, r), mu = p.of(p.mu, r), log_var = p.of(p.log_var, r);
    const auto want =
        reference::conditional_density_gradient<double>(h, mu, log_var, scale, c.clamp.lo, c.clamp.hi);
    for (std::size_t d = 0; d < h.size(); ++d) {
      double& total = by_h[h_error.size()];
      h_error.push_back(k * (std::abs(total) + std::abs(want.z[d])));
      total += want.z[d];
      mu_error.push_back(k * std::abs(want.mu[d]));
      const double away = h[d] - mu[d];
      log_var_error.push_back(k * scale * (1 + away * away * std::exp(-p.clamped_log_var(log_var[d]))));
    }
    by_mu.insert(by_mu.end(), want.mu.begin(), want.mu.end());
    by_log_var.insert(by_log_var.end(), want.log_var.begin(), want.log_var.end());
  }
  p.grad_h.judge(parity, "grad_h", by_h, h_error);
  grad_mu.judge(parity, "grad_mu", by_mu, mu_error);
  grad_log_var.judge(parity, "grad_log_var", by_log_var, log_var_error);
}

template <class Exec>
void check_add_gradient(const Exec& exec, const LatentCase& c, Parity& parity) {
  LayerProblem<Exec> p(exec, c);
  Values want = p.grad_h.doubles();
  const Values more = p.h.doubles();
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += more[i];
  add_gradient(exec, {.more = p.h.matrix(), .gradient = p.grad_h.matrix()});
  p.grad_h.judge(parity, "gradient", want, scaled(magnitudes_of(want), 1));
}

template <class Exec>
void add_conditional_gaussian_checks(std::vector<Check<Exec>>& checks) {
  std::vector<LatentCase> cases;
  for (const int latent : {1, 20, 33, 257, 2049}) cases.push_back({2, 3, latent});
  cases.push_back({5, 2, 50, {-0.7f, 0.2f}});
  using Body = void (*)(const Exec&, const LatentCase&, Parity&);
  for (const auto& [name, body] :
       {std::pair<const char*, Body>{"conditional_draw", check_conditional_draw<Exec>},
        {"conditional_draw_backward", check_conditional_draw_backward<Exec>},
        {"conditional_density", check_conditional_density<Exec>},
        {"conditional_density_backward", check_conditional_density_backward<Exec>},
        {"add_gradient", check_add_gradient<Exec>}}) {
    checks.push_back({std::string(name) + "/layers above the first",
                      [cases, body = body](const Exec& exec, Parity& parity) {
                        for (const LatentCase& c : cases) {
                          parity.begin_case(fmt::format("B {} S {} Z {}", c.batch, c.samples, c.latent));
                          body(exec, c, parity);
                        }
                      }});
  }
}

}  // namespace felbo::checks
