// What the mean KL of a data set is made of (Hoffman and Johnson, "ELBO surgery", 2016, equation 7): with the
// aggregate posterior q(z) = 1/N sum_n q(z|x_n),
//
//   1/N sum_n KL(q(z|x_n) || p(z)) = I(n; z) + KL(q(z) || p(z))
//
// I is the mutual information of the datum's number and its code, at most log N: what the code tells of the
// datum. The other term is what a better prior would gain (mixture_prior.h, `sample --from aggregate`).
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "host/evaluate/evaluate.h"
#include "host/evaluate/generate.h"
#include "host/evaluate/prior.h"
#include "kernels/mixture_prior/mixture_prior.h"

namespace felbo {

/// Nats; means over one draw z ~ q(z|x_n) of each datum, with the standard error of that.
struct AggregateKl {
  Estimate mutual_information;  // I(n; z)
  Estimate marginal_kl;         // KL(q(z) || p(z))
  std::int64_t count = 0;       // N
};

namespace detail {

/// log densities of z (N, Z) under a mixture of diagonal Gaussians, all in host memory.
template <class Exec>
std::vector<float> mixture_log_densities(const Exec& exec, const LearnedPrior& mixture, LogVarClamp clamp,
                                         const std::vector<float>& z) {
  const std::int64_t K = mixture.components, Z = mixture.latent, N = static_cast<std::int64_t>(z.size()) / Z;
  std::vector<float> log_share;
  for (const double share : mixture.share) log_share.push_back(static_cast<float>(std::log(share)));
  const Buffer<Exec, float> mu(exec, K * Z), log_var(exec, K * Z), logit(exec, K), codes(exec, N * Z),
      log_density(exec, N), scratch(exec, mixture_scratch(K, Z));
  upload(exec, mixture.mu, mu.view());
  upload(exec, mixture.log_var, log_var.view());
  upload(exec, log_share, logit.view());
  upload(exec, z, codes.view());
  mixture_prior(exec, {.mixture = {mu.matrix(K, Z), log_var.matrix(K, Z), logit.view(), clamp},
                       .z = codes.matrix(N, Z),
                       .log_pz = log_density.view(),
                       .responsibility = {},
                       .scratch = scratch.view()});
  return to_host(exec, log_density.view());
}

/// The prior as a mixture.
template <class Exec>
LearnedPrior prior_as_mixture(const Exec& exec, const Vae& vae, View<const float, 1> parameters) {
  if (!vae.config().prior.is_standard()) return learned_prior(exec, vae, parameters);
  const std::vector<float> zeros(static_cast<std::size_t>(vae.config().latent), 0.0f);
  return {.components = 1, .latent = vae.config().latent, .mu = zeros, .log_var = zeros, .share = {1.0}};
}

}  // namespace detail

/// Of encoded data, with z drawn as draw_posterior() does. Costs N^2 Z operations. Throws
/// std::invalid_argument if the posterior couples the dimensions of z.
template <class Exec>
AggregateKl aggregate_kl(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                         const Encoded& encoded, std::uint64_t seed) {
  const Exec exec = with_float_products(on);
  FELBO_CHECK(!vae.config().posterior.couples_dimensions(),
              "the aggregate posterior is known as a mixture of diagonal Gaussians only");
  FELBO_CHECK(vae.above().empty(), "the KL is taken apart for one stochastic layer, this model has {}",
              vae.config().stochastic_layers());
  const auto Z = static_cast<std::size_t>(vae.config().latent), N = static_cast<std::size_t>(encoded.count);
  const std::vector<float> z = draw_posterior(exec, vae, encoded, seed);
  const LearnedPrior aggregate{.components = encoded.count,
                               .latent = vae.config().latent,
                               .mu = encoded.mu,
                               .log_var = encoded.log_var,
                               .share = std::vector<double>(N, 1.0 / static_cast<double>(N))};
  const LogVarClamp clamp = vae.config().clamp;
  const std::vector<float> log_qz = detail::mixture_log_densities(exec, aggregate, clamp, z);
  const std::vector<float> log_pz =
      detail::mixture_log_densities(exec, detail::prior_as_mixture(exec, vae, parameters), clamp, z);
  std::vector<double> information, marginal;
  for (std::size_t n = 0; n < N; ++n) {
    double log_qz_given_x = 0.0;
    for (std::size_t i = n * Z; i < (n + 1) * Z; ++i) {
      const double v = static_cast<double>(encoded.log_var[i]),
                   away = static_cast<double>(z[i]) - static_cast<double>(encoded.mu[i]);
      log_qz_given_x -= 0.5 * (std::log(2.0 * std::numbers::pi) + v + away * away * std::exp(-v));
    }
    information.push_back(log_qz_given_x - static_cast<double>(log_qz[n]));
    marginal.push_back(static_cast<double>(log_qz[n]) - static_cast<double>(log_pz[n]));
  }
  return {estimate(information), estimate(marginal), encoded.count};
}

}  // namespace felbo
