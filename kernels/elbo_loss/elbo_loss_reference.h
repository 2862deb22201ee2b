// The loss of elbo_loss.h by plain loops over its formulas, in the scalar T. Beside each result stands its
// scale: the sum of the magnitudes of the terms that it is made of, by which rounding errors are measured.
// The log-density of one element is the likelihood's reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "kernels/likelihood/likelihood_reference.h"

namespace felbo::reference {

template <class T>
struct ElboLossInput {
  std::int64_t data = 0, samples = 1, dimensions = 0, latent = 0;  // B, S, X, Z
  std::vector<T> x;                                                // (B, X)
  std::vector<T> output;                                           // (B * S, outputs * X)
  std::vector<T> mu, log_var;                                      // (B, Z)
  T lo = -20, hi = 20;                                             // clamp of the posterior's log_var
  T beta = 1, loss_scale = 1;
};

/// Values with their scales.
template <class T>
struct Scaled {
  std::vector<T> value, scale;
  explicit Scaled(std::int64_t n) : value(n), scale(n) {}
};

template <class T>
struct ElboLossOutcome {
  Scaled<T> log_px, kl, elbo;                    // (B * S), (B), (B) nats
  Scaled<T> grad_output, grad_mu, grad_log_var;  // as output, mu and log_var
  std::vector<std::int32_t> clamped, posterior_clamped;
  T loss = 0;
};

namespace detail {

/// The log-variance of an element; `second` is the decoder's second output.
template <class T>
T log_var_in_use(const Likelihood& which, T second) {
  if (which.variance == VarianceKind::kUnit) return 0;
  if (which.variance == VarianceKind::kFixed) return std::log(static_cast<T>(which.fixed_variance));
  return std::clamp<T>(second, which.clamp.lo, which.clamp.hi);
}

/// Dimension j of row r, in the loss with the factor -loss_scale / S.
template <class T>
void elbo_loss_element(const Likelihood& which, const ElboLossInput<T>& in, ElboLossOutcome<T>& out,
                       std::int64_t r, std::int64_t j) {
  const T factor = -in.loss_scale / static_cast<T>(in.samples);
  const T x = in.x[(r / in.samples) * in.dimensions + j];
  const std::int64_t at = r * which.outputs() * in.dimensions + j;
  const T first = in.output[at];
  if (which.family == LikelihoodFamily::kBernoulli) {
    out.log_px.value[r] += bernoulli_log_p(x, first);
    out.log_px.scale[r] += std::abs(bernoulli_log_p(x, first));
    out.grad_output.value[at] = factor * bernoulli_grad(x, first);
    out.grad_output.scale[at] =
        std::abs(factor) * (x / (1 + std::exp(first)) + (1 - x) / (1 + std::exp(-first)));
    return;
  }
  const bool per_element = which.variance == VarianceKind::kPerElement;
  const T second = per_element ? in.output[at + in.dimensions] : T(0);
  const T log_var = log_var_in_use(which, second);
  const T square = (x - first) * (x - first) / std::exp(log_var);
  out.log_px.value[r] += gaussian_log_p(x, first, log_var);
  out.log_px.scale[r] += (std::log(2 * std::numbers::pi_v<T>) + std::abs(log_var) + square) / 2;
  out.grad_output.value[at] = factor * (x - first) / std::exp(log_var);
  out.grad_output.scale[at] = std::abs(out.grad_output.value[at]);
  if (!per_element) return;
  if (second != log_var) {
    ++out.clamped[r];
  } else {
    out.grad_output.value[at + in.dimensions] = factor * (square - 1) / 2;
    out.grad_output.scale[at + in.dimensions] = std::abs(factor) * (square + 1) / 2;
  }
}

/// Dimension d of the posterior of datum b, in the loss with the factor loss_scale beta.
template <class T>
void elbo_loss_latent(const ElboLossInput<T>& in, ElboLossOutcome<T>& out, std::int64_t b, std::int64_t d) {
  const std::int64_t at = b * in.latent + d;
  const T m = in.mu[at], v = std::clamp(in.log_var[at], in.lo, in.hi), factor = in.loss_scale * in.beta;
  out.kl.value[b] += (m * m + std::exp(v) - v - 1) / 2;
  out.kl.scale[b] += (m * m + std::exp(v) + std::abs(v) + 1) / 2;
  out.grad_mu.value[at] = factor * m;
  out.grad_mu.scale[at] = std::abs(factor * m);
  if (v != in.log_var[at]) {
    ++out.posterior_clamped[b];
  } else {
    out.grad_log_var.value[at] = factor * (std::exp(v) - 1) / 2;
    out.grad_log_var.scale[at] = std::abs(factor) * (std::exp(v) + 1) / 2;
  }
}

}  // namespace detail

/// Everything that elbo_loss() gives out, and the loss that its gradients are of.
template <class T>
ElboLossOutcome<T> elbo_loss(const Likelihood& which, const ElboLossInput<T>& in) {
  const std::int64_t rows = in.data * in.samples, latents = in.data * in.latent;
  const std::int64_t outputs = rows * which.outputs() * in.dimensions;
  ElboLossOutcome<T> out{Scaled<T>(rows),
                         Scaled<T>(in.data),
                         Scaled<T>(in.data),
                         Scaled<T>(outputs),
                         Scaled<T>(latents),
                         Scaled<T>(latents),
                         {},
                         {}};
  out.clamped.resize(rows);
  out.posterior_clamped.resize(in.data);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t j = 0; j < in.dimensions; ++j) detail::elbo_loss_element(which, in, out, r, j);
  }
  for (std::int64_t b = 0; b < in.data; ++b) {
    for (std::int64_t d = 0; d < in.latent; ++d) detail::elbo_loss_latent(in, out, b, d);
    T mean = 0, scale = 0;
    for (std::int64_t s = 0; s < in.samples; ++s) {
      mean += out.log_px.value[b * in.samples + s] / static_cast<T>(in.samples);
      scale += out.log_px.scale[b * in.samples + s] / static_cast<T>(in.samples);
    }
    out.elbo.value[b] = mean - out.kl.value[b];
    out.elbo.scale[b] = scale + out.kl.scale[b];
    out.loss += in.loss_scale * (in.beta * out.kl.value[b] - mean);
  }
  return out;
}

}  // namespace felbo::reference
