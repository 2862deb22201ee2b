// The reparameterised sample and its KL, forward and backward.
#pragma once

#include <algorithm>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/reparameterize/reparameterize_reference.h"

namespace felbo::checks {

struct LatentCase {
  int batch, samples, latent;
  LogVarClamp clamp{};
  float log_var_scale = 1.0f;
};

/// Inputs of the op forward and backward, and the reference's noise.
template <class Exec>
struct LatentProblem {
  LatentProblem(const Exec& exec, const LatentCase& c)
      : c(c),
        layout{c.latent % 3, c.latent % 2},
        rows(std::int64_t{c.batch} * c.samples),
        mu(normals(exec, c.batch, c.latent, layout, kInputSeed)),
        log_var(normals(exec, c.batch, c.latent, layout, kInputSeed + 1, c.log_var_scale, -0.5f)),
        grad_z(normals(exec, rows, c.latent, layout, kInputSeed + 2)),
        datum(row_of(exec, data_of(c.batch))) {
    for (int b = 0; b < c.batch; ++b) {
      for (int s = 0; s < c.samples; ++s) {
        for (int d = 0; d < c.latent; ++d)
          noise.push_back(reference_normal(kNoise, data_of(c.batch)[static_cast<std::size_t>(b)],
                                           kFirstSample + static_cast<std::uint32_t>(s),
                                           static_cast<std::uint32_t>(d)));
      }
    }
  }

  static std::vector<std::uint32_t> data_of(int batch) {
    std::vector<std::uint32_t> data;
    for (int b = 1; b <= batch; ++b) data.push_back(static_cast<std::uint32_t>(1000003 * b));
    return data;
  }
  const ReferenceNormal& eps(int b, int s, int d) const {
    return noise[(static_cast<std::size_t>(b) * c.samples + s) * c.latent + d];
  }
  /// eps(b, s, d) for the reference.
  auto draw() const {
    return [this](int b, int s, int d) { return eps(b, s, d).value; };
  }
  double clamped_log_var(int b, int d) {
    return std::clamp<double>(log_var.host()(b, d), c.clamp.lo, c.clamp.hi);
  }

  static constexpr std::uint32_t kFirstSample = 11;
  inline static const NoiseStream kNoise{kNoiseSeed, 9, Purpose::kLatent};

  LatentCase c;
  Layout layout;
  std::int64_t rows;
  Mirror<Exec, float> mu, log_var, grad_z;
  Mirror<Exec, std::uint32_t> datum;
  std::vector<ReferenceNormal> noise;
};

struct LatentTolerances {
  Values z, kl, log_pz, log_qz_given_x;
};

/// log p and log q move with z by |z| dz, and log q with eps by |eps| deps; the rest are sums of n terms.
template <class Exec>
LatentTolerances latent_tolerances(LatentProblem<Exec>& p) {
  LatentTolerances t;
  const double k = row_k(p.c.latent);
  for (int b = 0; b < p.c.batch; ++b) {
    double kl = 0;
    for (int d = 0; d < p.c.latent; ++d) {
      const double m = p.mu.host()(b, d), v = p.clamped_log_var(b, d);
      kl += m * m + std::exp(v) + std::abs(v) + 1;
    }
    t.kl.push_back(k * kEps * kl);
    for (int s = 0; s < p.c.samples; ++s) {
      double in_p = 0, in_q = 0, through_z = 0;
      for (int d = 0; d < p.c.latent; ++d) {
        const double m = p.mu.host()(b, d), v = p.clamped_log_var(b, d), sigma = std::exp(v / 2);
        const auto [e, error] = p.eps(b, s, d);
        const double z = m + sigma * e;
        t.z.push_back(sample_tolerance(m, sigma, e, error));
        in_p += 1.84 + z * z;
        in_q += 1.84 + std::abs(v) + e * e;
        through_z += std::abs(z) * t.z.back() + std::abs(e) * error;
      }
      t.log_pz.push_back(k * kEps * in_p + through_z);
      t.log_qz_given_x.push_back(k * kEps * in_q + through_z);
    }
  }
  return t;
}

template <class Exec>
void check_reparameterize(const Exec& exec, const LatentCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {}", c.batch, c.samples, c.latent));
  LatentProblem<Exec> p(exec, c);
  Mirror<Exec, float> z(exec, p.rows, c.latent, p.layout), kl(exec, 1, c.batch), log_pz(exec, 1, p.rows),
      log_qz(exec, 1, p.rows);
  Mirror<Exec, std::int32_t> clamped(exec, 1, c.batch);
  reparameterize(exec, {.mu = p.mu.matrix(),
                        .log_var = p.log_var.matrix(),
                        .clamp = c.clamp,
                        .noise = p.kNoise,
                        .datum = p.datum.vector(),
                        .first_sample = p.kFirstSample,
                        .samples = c.samples,
                        .z = z.matrix(),
                        .kl = kl.vector(),
                        .clamped = clamped.vector(),
                        .log_pz = log_pz.vector(),
                        .log_qz_given_x = log_qz.vector()});
  const auto want = reference::reparameterize<double>(p.mu.doubles(), p.log_var.doubles(), c.batch, c.samples,
                                                      c.latent, c.clamp.lo, c.clamp.hi, p.draw());
  const LatentTolerances t = latent_tolerances(p);
  z.judge(parity, "z", want.z, t.z);
  kl.judge(parity, "kl", want.kl, t.kl);
  log_pz.judge(parity, "log_pz", want.log_pz, t.log_pz);
  log_qz.judge(parity, "log_qz_given_x", want.log_qz_given_x, t.log_qz_given_x);
  clamped.judge(parity, "clamped", {want.clamped.begin(), want.clamped.end()}, 0.0);
}

template <class Exec>
void check_reparameterize_backward(const Exec& exec, const LatentCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {}", c.batch, c.samples, c.latent));
  LatentProblem<Exec> p(exec, c);
  const float kl_scale = 0.37f;
  Mirror<Exec, float> grad_mu(exec, c.batch, c.latent, p.layout),
      grad_log_var(exec, c.batch, c.latent, p.layout);
  reparameterize_backward(exec, {.mu = p.mu.matrix(),
                                 .log_var = p.log_var.matrix(),
                                 .clamp = c.clamp,
                                 .noise = p.kNoise,
                                 .datum = p.datum.vector(),
                                 .first_sample = p.kFirstSample,
                                 .samples = c.samples,
                                 .grad_z = p.grad_z.matrix(),
                                 .kl_scale = kl_scale,
                                 .grad_mu = grad_mu.matrix(),
                                 .grad_log_var = grad_log_var.matrix()});
  const auto want = reference::reparameterize_gradient<double>(
      p.mu.doubles(), p.log_var.doubles(), p.grad_z.doubles(), c.batch, c.samples, c.latent, kl_scale,
      c.clamp.lo, c.clamp.hi, p.draw());
  Values mu_tolerance, log_var_tolerance;
  for (int b = 0; b < c.batch; ++b) {
    for (int d = 0; d < c.latent; ++d) {
      const double v = p.clamped_log_var(b, d), sigma = std::exp(v / 2);
      double sum_mu = kl_scale * std::abs(p.mu.host()(b, d)), sum_v = kl_scale * (std::exp(v) + 1);
      double through_eps = 0;
      for (int s = 0; s < c.samples; ++s) {
        const auto [e, error] = p.eps(b, s, d);
        const double g = std::abs(p.grad_z.host()(std::int64_t{b} * c.samples + s, d));
        sum_mu += g;
        sum_v += g * std::abs(e) * sigma;
        through_eps += g * sigma * error;
      }
      mu_tolerance.push_back(samples_k(c.samples) * kEps * sum_mu);
      log_var_tolerance.push_back(samples_k(c.samples) * kEps * sum_v + through_eps);
    }
  }
  grad_mu.judge(parity, "grad_mu", want.mu, mu_tolerance);
  grad_log_var.judge(parity, "grad_log_var", want.log_var, log_var_tolerance);
}

/// The estimates by samples, with weights 1, 2, ... over their sum.
template <class Exec>
void check_sample_gradient(const Exec& exec, const LatentCase& c, PosteriorGradient kind, Parity& parity) {
  parity.begin_case(
      fmt::format("B {} S {} Z {}, estimate {}", c.batch, c.samples, c.latent, static_cast<int>(kind)));
  LatentProblem<Exec> p(exec, c);
  const float kl_scale = 0.37f;
  std::vector<float> weights;
  for (std::int64_t r = 0; r < p.rows; ++r)
    weights.push_back(static_cast<float>(r % c.samples + 1) /
                      (0.5f * static_cast<float>(c.samples * (c.samples + 1))));
  Mirror<Exec, float> weight = row_of(exec, weights);
  Mirror<Exec, float> grad_mu(exec, c.batch, c.latent, p.layout),
      grad_log_var(exec, c.batch, c.latent, p.layout);
  reparameterize_backward(exec, {.mu = p.mu.matrix(),
                                 .log_var = p.log_var.matrix(),
                                 .clamp = c.clamp,
                                 .noise = p.kNoise,
                                 .datum = p.datum.vector(),
                                 .first_sample = p.kFirstSample,
                                 .samples = c.samples,
                                 .grad_z = p.grad_z.matrix(),
                                 .kl_scale = kl_scale,
                                 .grad_mu = grad_mu.matrix(),
                                 .grad_log_var = grad_log_var.matrix(),
                                 .gradient = kind,
                                 .weight = weight.vector()});
  const auto want = reference::sample_gradient<double>(
      kind, p.mu.doubles(), p.log_var.doubles(), p.grad_z.doubles(), weight.doubles(), c.batch, c.samples,
      c.latent, kl_scale, c.clamp.lo, c.clamp.hi, p.draw());
  // As above, with g = grad_z + kl_scale w (z - eps / sigma) for grad_z, where eps's error moves both z and
  // eps / sigma.
  const bool total = kind == PosteriorGradient::kMonteCarlo;
  Values mu_tolerance, log_var_tolerance;
  for (int b = 0; b < c.batch; ++b) {
    for (int d = 0; d < c.latent; ++d) {
      const double v = p.clamped_log_var(b, d), sigma = std::exp(v / 2);
      double sum_mu = 0, sum_v = total ? kl_scale : 0.0, through_mu = 0, through_v = 0;
      for (int s = 0; s < c.samples; ++s) {
        const std::int64_t row = std::int64_t{b} * c.samples + s;
        const auto [signed_e, error] = p.eps(b, s, d);
        const double w = weight.host()(0, row), e = std::abs(signed_e), factor = kl_scale * w;
        const double outer = kind == PosteriorGradient::kDoublyReparameterized ? w : 1.0;
        const double scale = std::abs(p.mu.host()(b, d)) + sigma * e + (total ? 0.0 : e / sigma);
        const double g = outer * (std::abs(p.grad_z.host()(row, d)) + factor * scale);
        const double moved = outer * factor * (sigma + (total ? 0.0 : 1 / sigma)) * error;
        sum_mu += g, through_mu += moved;
        sum_v += g * e * sigma, through_v += (moved * e + g * error) * sigma;
      }
      mu_tolerance.push_back((samples_k(c.samples) + 4) * kEps * sum_mu + through_mu);
      log_var_tolerance.push_back((samples_k(c.samples) + 4) * kEps * sum_v + through_v);
    }
  }
  grad_mu.judge(parity, "grad_mu", want.mu, mu_tolerance);
  grad_log_var.judge(parity, "grad_log_var", want.log_var, log_var_tolerance);
}

/// "one sample" and so on, each with its cases.
inline std::vector<std::pair<std::string, std::vector<LatentCase>>> latent_cases() {
  std::vector<LatentCase> one, several;
  for (const std::int64_t latent : kWidths) {
    one.push_back({3, 1, static_cast<int>(latent)});
    several.push_back({2, 3, static_cast<int>(latent)});
  }
  one.push_back({257, 1, 20});
  several.push_back({5, 33, 50});
  return {{"one sample", one},
          {"several samples", several},
          {"clamped", {{9, 2, 20, {-1.0f, 0.5f}, 3.0f}, {3, 1, 785, {-20.0f, 20.0f}, 15.0f}}}};
}

template <class Exec>
void add_reparameterize_checks(std::vector<Check<Exec>>& checks) {
  for (const auto& [name, cases] : latent_cases()) {
    checks.push_back({"reparameterize/" + name, [cases = cases](const Exec& exec, Parity& parity) {
                        for (const LatentCase& c : cases) check_reparameterize(exec, c, parity);
                      }});
    checks.push_back({"reparameterize_backward/" + name, [cases = cases](const Exec& exec, Parity& parity) {
                        for (const LatentCase& c : cases) check_reparameterize_backward(exec, c, parity);
                      }});
    checks.push_back(
        {"reparameterize_backward/by samples, " + name, [cases = cases](const Exec& exec, Parity& parity) {
           for (const LatentCase& c : cases) {
             for (const PosteriorGradient kind :
                  {PosteriorGradient::kMonteCarlo, PosteriorGradient::kStickingTheLanding,
                   PosteriorGradient::kDoublyReparameterized})
               check_sample_gradient(exec, c, kind, parity);
           }
         }});
  }
}

}  // namespace felbo::checks
