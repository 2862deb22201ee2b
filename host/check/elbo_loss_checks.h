// The whole loss of a VAE in one pass, of floats and of bytes.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/elbo_loss/elbo_loss_reference.h"

namespace felbo::checks {

struct ElboLossCase {
  std::int64_t data, samples, dimensions, latent;
  bool in_place = true;  // the gradient goes over the decoder's output
};

/// x (B, X): normals; for bytes and for a Bernoulli within the range, two thirds of them its ends.
template <class Data, class Exec>
Mirror<Exec, Data> loss_observations(const Exec& exec, const Likelihood& which, const ElboLossCase& c,
                                     Layout layout, float divisor) {
  std::vector<float> values(static_cast<std::size_t>(c.data * c.dimensions));
  fill_normal({values.data(), c.data, c.dimensions}, kInputSeed);
  Mirror<Exec, Data> x(exec, c.data, c.dimensions, layout);
  for (std::int64_t i = 0; i < c.data; ++i) {
    for (std::int64_t j = 0; j < c.dimensions; ++j) {
      float v = values[static_cast<std::size_t>(i * c.dimensions + j)];
      const bool bytes = !std::is_same_v<Data, float>;
      if (bytes || which.family == LikelihoodFamily::kBernoulli) v = std::clamp(0.5f + v, 0.0f, 1.0f);
      x.host()(i, j) = static_cast<Data>(bytes ? std::round(divisor * v) : v);
    }
  }
  x.send();
  return x;
}

/// Beside the terms' own errors, one rounding of the factor that all gradients share.
template <class Data, class Exec>
void check_elbo_loss(const Exec& exec, const Likelihood& which, const ElboLossCase& c, Parity& parity) {
  const auto [B, S, X, Z, in_place] = c;
  parity.begin_case(fmt::format("B {} S {} X {} Z {}{}", B, S, X, Z, in_place ? ", in place" : ""));
  const float beta = 0.7f, loss_scale = 0.37f, divisor = std::is_same_v<Data, float> ? 1.0f : 255.0f;
  const LogVarClamp clamp{-2.5f, 1.5f};
  const Layout layout{X % 3, X % 2};
  auto x = loss_observations<Data>(exec, which, c, layout, divisor);
  auto output = normals(exec, B * S, which.outputs() * X, layout, kInputSeed + 1, 1.5f);
  auto mu = normals(exec, B, Z, layout, kInputSeed + 2);
  auto log_var = normals(exec, B, Z, layout, kInputSeed + 3, 1.5f, -0.5f);
  Mirror<Exec, float> log_px(exec, 1, B * S), kl(exec, 1, B), bound(exec, 1, B),
      apart(exec, B * S, which.outputs() * X, layout), grad_mu(exec, B, Z, layout),
      grad_log_var(exec, B, Z, layout);
  Mirror<Exec, std::int32_t> clamped(exec, 1, B * S), posterior_clamped(exec, 1, B);
  reference::ElboLossInput<double> in{
      B,        S,        X,    Z,         x.doubles(), output.doubles(), mu.doubles(), log_var.doubles(),
      clamp.lo, clamp.hi, beta, loss_scale};
  for (double& v : in.x) v = static_cast<float>(v / divisor);
  const auto want = reference::elbo_loss(which, in);
  Mirror<Exec, float>& grad_output = in_place ? output : apart;
  elbo_loss(exec, which,
            ElboLossArgs<Data>{.x = x.matrix(),
                               .divisor = divisor,
                               .samples = static_cast<int>(S),
                               .output = output.matrix(),
                               .mu = mu.matrix(),
                               .log_var = log_var.matrix(),
                               .clamp = clamp,
                               .beta = beta,
                               .loss_scale = loss_scale,
                               .log_px_given_z = log_px.vector(),
                               .kl = kl.vector(),
                               .elbo = bound.vector(),
                               .clamped = clamped.vector(),
                               .posterior_clamped = posterior_clamped.vector(),
                               .grad_output = grad_output.matrix(),
                               .grad_mu = grad_mu.matrix(),
                               .grad_log_var = grad_log_var.matrix()});
  const auto judge = [&](Mirror<Exec, float>& got, const char* what, const reference::Scaled<double>& right,
                         double k, double smallest) {
    got.judge(parity, what, right.value, scaled(right.scale, k, smallest));
  };
  const double tiny = kTiny * static_cast<double>(X);
  judge(log_px, "log_px_given_z", want.log_px, log_px_k(which, X), tiny);
  judge(kl, "kl", want.kl, kl_k(Z), tiny);
  judge(bound, "elbo", want.elbo, std::max(log_px_k(which, X), kl_k(Z)) + 1, tiny);
  judge(grad_output, "grad_output", want.grad_output, kOutputGradientK + 1, kTiny);
  judge(grad_mu, "grad_mu", want.grad_mu, kKlMuGradientK, kTiny);
  judge(grad_log_var, "grad_log_var", want.grad_log_var, kKlLogVarGradientK, kTiny);
  clamped.judge(parity, "clamped", {want.clamped.begin(), want.clamped.end()}, 0.0);
  posterior_clamped.judge(parity, "posterior_clamped",
                          {want.posterior_clamped.begin(), want.posterior_clamped.end()}, 0.0);
  if (!in_place) output.judge(parity, "output", in.output, 0.0);
}

template <class Data, class Exec>
void check_elbo_loss_sizes(const Exec& exec, const Likelihood& which, Parity& parity) {
  for (const std::int64_t X : kWidths) {
    check_elbo_loss<Data>(exec, which, {3, 1, X, 20}, parity);
    check_elbo_loss<Data>(exec, which, {2, 3, X, 5, false}, parity);
  }
  for (const std::int64_t Z : kWidths) check_elbo_loss<Data>(exec, which, {2, 2, 33, Z}, parity);
  check_elbo_loss<Data>(exec, which, {257, 1, 36, 8}, parity);
}

template <class Exec>
void add_elbo_loss_checks(std::vector<Check<Exec>>& checks) {
  const LogVarClamp clamp{-1.5f, 2.0f};  // the inputs cross both
  const auto add = [&](const std::string& name, const Likelihood& which) {
    checks.push_back({"elbo_loss/floats, " + name, [which](const Exec& exec, Parity& parity) {
                        check_elbo_loss_sizes<float>(exec, which, parity);
                      }});
    checks.push_back({"elbo_loss/bytes, " + name, [which](const Exec& exec, Parity& parity) {
                        check_elbo_loss_sizes<std::uint8_t>(exec, which, parity);
                      }});
  };
  add("bernoulli", likelihood_from_names("bernoulli", "unit", clamp));
  for (const char* variance : {"unit", "fixed:0.3", "per-element"})
    add(fmt::format("gaussian, {}", variance), likelihood_from_names("gaussian", variance, clamp));
}

}  // namespace felbo::checks
