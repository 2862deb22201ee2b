// What lies below the diagonal of a posterior's factor, forward and backward.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/reparameterize_checks.h"
#include "host/check/tolerance.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/covariance_factor/covariance_factor_reference.h"

namespace felbo::checks {

inline Values magnitudes_of(Values values) {
  for (double& v : values) v = std::abs(v);
  return values;
}

/// Beside the sample's inputs the factor; and the reference's noise by magnitude and by how far it may be
/// off.
template <class Exec>
struct FactorProblem : LatentProblem<Exec> {
  FactorProblem(const Exec& exec, const LatentCase& c)
      : LatentProblem<Exec>(exec, c),
        factor(normals(exec, c.batch, below_diagonal(c.latent), this->layout, kInputSeed + 3, 0.3f)) {}
  auto magnitude() const {
    return [this](int b, int s, int d) { return std::abs(this->eps(b, s, d).value); };
  }
  auto error() const {
    return [this](int b, int s, int d) { return this->eps(b, s, d).tolerance; };
  }
  Mirror<Exec, float> factor;
};

template <class Exec>
void check_covariance_factor(const Exec& exec, const LatentCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {}", c.batch, c.samples, c.latent));
  FactorProblem<Exec> p(exec, c);
  auto z = normals(exec, p.rows, c.latent, p.layout, kInputSeed + 4);
  auto kl = normals(exec, 1, c.batch, {}, kInputSeed + 5, 1.0f, 5.0f);
  const Values factor = p.factor.doubles(), before = z.doubles(), kl_before = kl.doubles();
  covariance_factor(exec, {.factor = p.factor.matrix(),
                           .noise = p.kNoise,
                           .datum = p.datum.vector(),
                           .first_sample = p.kFirstSample,
                           .samples = c.samples,
                           .z = z.matrix(),
                           .kl = kl.vector()});
  auto want = reference::covariance_factor<double>(factor, before, c.batch, c.samples, c.latent, p.draw());
  const auto scale = reference::covariance_factor<double>(magnitudes_of(factor), magnitudes_of(before),
                                                          c.batch, c.samples, c.latent, p.magnitude());
  const auto through_eps = reference::covariance_factor<double>(magnitudes_of(factor), Values(before.size()),
                                                                c.batch, c.samples, c.latent, p.error());
  Values tolerance = scaled(scale.z, row_k(c.latent));
  for (std::size_t k = 0; k < tolerance.size(); ++k) tolerance[k] += through_eps.z[k];
  for (std::size_t b = 0; b < kl_before.size(); ++b) want.kl[b] += kl_before[b];
  z.judge(parity, "z", want.z, tolerance);
  kl.judge(parity, "kl", want.kl, scaled(want.kl, row_k(c.latent)));
}

template <class Exec>
void check_covariance_factor_backward(const Exec& exec, const LatentCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {}", c.batch, c.samples, c.latent));
  FactorProblem<Exec> p(exec, c);
  const float kl_scale = 0.37f;
  Mirror<Exec, float> grad_factor(exec, c.batch, below_diagonal(c.latent), p.layout);
  covariance_factor_backward(exec, {.factor = p.factor.matrix(),
                                    .noise = p.kNoise,
                                    .datum = p.datum.vector(),
                                    .first_sample = p.kFirstSample,
                                    .samples = c.samples,
                                    .grad_z = p.grad_z.matrix(),
                                    .kl_scale = kl_scale,
                                    .grad_factor = grad_factor.matrix()});
  const Values factor = p.factor.doubles(), grad_z = p.grad_z.doubles();
  const auto gradient = [&](const Values& l, const Values& g, double scale, const auto& eps) {
    return reference::covariance_factor_gradient<double>(l, g, c.batch, c.samples, c.latent, scale, eps);
  };
  Values tolerance = scaled(gradient(magnitudes_of(factor), magnitudes_of(grad_z), kl_scale, p.magnitude()),
                            samples_k(c.samples));
  const Values through_eps = gradient(factor, magnitudes_of(grad_z), 0.0, p.error());
  for (std::size_t k = 0; k < tolerance.size(); ++k) tolerance[k] += through_eps[k];
  grad_factor.judge(parity, "grad_factor", gradient(factor, grad_z, kl_scale, p.draw()), tolerance);
}

template <class Exec>
void add_covariance_factor_checks(std::vector<Check<Exec>>& checks) {
  std::vector<LatentCase> one, several;
  for (const int latent : {2, 20, 33, 257, 1031}) {
    one.push_back({3, 1, latent});
    several.push_back({2, 5, latent});
  }
  for (const auto& [name, cases] :
       {std::pair{std::string("one sample"), one}, {"several samples", several}}) {
    checks.push_back({"covariance_factor/" + name, [cases = cases](const Exec& exec, Parity& parity) {
                        for (const LatentCase& c : cases) check_covariance_factor(exec, c, parity);
                      }});
    checks.push_back(
        {"covariance_factor_backward/" + name, [cases = cases](const Exec& exec, Parity& parity) {
           for (const LatentCase& c : cases) check_covariance_factor_backward(exec, c, parity);
         }});
  }
}

}  // namespace felbo::checks
