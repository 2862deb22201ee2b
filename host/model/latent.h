// z ~ q(z|x) with the terms that its posterior and prior give, and the way back: one sequence of ops for
// training, evaluation and pictures.
#pragma once

#include <type_traits>
#include <vector>

#include "host/exec/buffer.h"
#include "host/model/mlp.h"
#include "host/model/vae.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/objective/objective.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

/// What a stochastic layer above the first, h_l, keeps for at most `max_rows` samples of the one below.
template <class Exec>
struct LayerWorkspace {
  LayerWorkspace(const Exec& exec, const LayerAbove& layer, std::int64_t max_rows, bool with_gradients)
      : encoder(exec, layer.encoder, max_rows, with_gradients),
        decoder(exec, layer.decoder, max_rows, with_gradients),
        h(exec, max_rows * layer.latent) {
    if (!with_gradients) return;
    grad_h = Buffer<Exec, float>(exec, h.size());
    grad_posterior = Buffer<Exec, float>(exec, max_rows * layer.encoder.out());
    grad_prior = Buffer<Exec, float>(exec, max_rows * layer.decoder.out());
    grad_below = Buffer<Exec, float>(exec, max_rows * layer.below);
  }

  MlpWorkspace<Exec> encoder, decoder;  // q(h_l|h_{l-1}), p(h_{l-1}|h_l)
  Buffer<Exec, float> h, grad_h;        // (B S, Z_l)
  Buffer<Exec, float> grad_posterior;   // (B S, 2 Z_l)
  Buffer<Exec, float> grad_prior;       // (B S, 2 Z_{l-1})
  Buffer<Exec, float> grad_below;       // (B S, Z_{l-1}) by h_{l-1} through the encoder
};

/// What posteriors and priors other than the default ones keep for at most `max_batch` data with
/// `max_samples` samples each; nothing for the default. T: how z is stored.
template <class Exec, class T = float>
struct LatentWorkspace {
  /// Without `with_layers_above` for what does not go beyond z = h1: draw_posterior_sample() and
  /// decoder_input().
  LatentWorkspace(const Exec& exec, const Vae& vae, std::int64_t max_batch, int max_samples,
                  bool with_gradients, bool with_layers_above = true) {
    const Posterior& posterior = vae.config().posterior;
    const Prior& prior = vae.config().prior;
    const std::int64_t Z = vae.config().latent, rows = max_batch * max_samples;
    if (posterior.family == PosteriorFamily::kIsotropicGaussian) {
      log_var = Buffer<Exec, float>(exec, max_batch * Z);
      if (with_gradients) grad_log_var = Buffer<Exec, float>(exec, max_batch * Z);
    }
    if (posterior.family == PosteriorFamily::kPlanarFlow && with_gradients) {
      activation = Buffer<Exec, float>(exec, rows * posterior.flow_steps);
    }
    if (prior.family == PriorFamily::kUniform) u = Buffer<Exec, T>(exec, rows * Z);
    if (with_layers_above)
      for (const LayerAbove& layer : vae.above()) above.emplace_back(exec, layer, rows, with_gradients);
    if (!above.empty()) clamped_above = Buffer<Exec, std::int32_t>(exec, rows);
    if (prior.is_standard() && !posterior.couples_dimensions()) return;
    const std::int64_t components = prior.is_mixture() ? prior.components : 1;
    scratch = Buffer<Exec, float>(exec, mixture_scratch(components, Z));
    if (with_gradients) responsibility = Buffer<Exec, float>(exec, rows * components);
    if (prior.is_standard()) standard = Buffer<Exec, float>(exec, Z);
  }

  Buffer<Exec, float> log_var, grad_log_var;  // (B, Z) of an isotropic posterior
  Buffer<Exec, float> activation;             // (B S, T) of a planar flow
  Buffer<Exec, T> u;                          // (B S, Z) what the decoder reads under a uniform prior
  Buffer<Exec, float> scratch;                // of the mixture
  Buffer<Exec, float> responsibility;         // (B S, K)
  Buffer<Exec, float> standard;               // (Z) zeros: mean and log-variance of N(0, I) as a mixture
  std::vector<LayerWorkspace<Exec>> above;    // h2, h3, ...
  Buffer<Exec, std::int32_t> clamped_above;   // (B S) log-variances clamped in all these; none without
};

/// What draw_latent() reads and writes.
template <class T>
struct LatentDrawOf {
  View<const float, 2> posterior;   // (B, posterior.outputs(Z)) the encoder's output
  View<const float, 2> pseudo;      // (K, 2 Z) that of the pseudo-inputs; kVamp only
  View<const float, 1> parameters;  // (P) flat: the prior's and those of layers above are read
  NoiseStream noise;
  View<const std::uint32_t, 1> datum;  // (B)
  std::uint32_t first_sample = 0;
  int samples = 1;                // S
  View<T, 2> z;                   // (B S, Z)
  View<float, 1> kl;              // (B) nats: in closed form if has_closed_kl(), else by the samples
  View<std::int32_t, 1> clamped;  // (B)
  View<float, 1> log_pz;          // (B S) nats, of z under the prior; of all layers, where there are several
  View<float, 1> log_qz_given_x;  // (B S) nats, likewise
  bool want_logs = false;         // whether log_pz and log_qz_given_x are needed for their own sake
};

namespace detail {

/// Posteriors and priors other than the default ones are in float only; elsewhere this is not compiled.
template <class T>
inline constexpr bool kAnyLatent = std::is_same_v<T, float>;

/// p(z) as a mixture of Gaussians.
template <class Exec, class T, class Draw>
GaussianMixture prior_mixture(const Vae& vae, const LatentWorkspace<Exec, T>& work, const Draw& draw) {
  const std::int64_t Z = vae.config().latent;
  const LogVarClamp clamp = vae.config().clamp;
  if (vae.config().prior.is_standard()) {
    return {work.standard.matrix(1, Z), work.standard.matrix(1, Z), {}, {}};  // log_var 0, whatever the clamp
  }
  if (vae.config().prior.family == PriorFamily::kVamp) {
    return {draw.pseudo.col_slice(0, Z), draw.pseudo.col_slice(Z, Z), {}, clamp};
  }
  const PriorParameters<const float> prior = vae.prior(draw.parameters);
  return {prior.mu, prior.log_var, prior.logit, clamp};
}

/// Whether log p(z) is not what reparameterize() says.
inline bool has_density_of_its_own(const VaeConfig& config) {
  return !config.prior.is_standard() || config.posterior.couples_dimensions() || !config.above.empty();
}

/// The purpose of the noise of layer l >= 2, from that of the first.
constexpr Purpose purpose_above(Purpose first, int layer) {
  return purpose_of_layer(first == Purpose::kLatent ? Purpose::kLatentAbove : Purpose::kHeldOutLatentAbove,
                          layer);
}

/// Layer l = i + 2 of the step: its networks, its memory, and the sample below it.
template <class Exec>
struct LayerView {
  const LayerAbove& layer;
  const LayerWorkspace<Exec>& work;
  NoiseStream noise;
  View<float, 2> below;      // (B S, Z_{l-1})
  View<float, 2> h;          // (B S, Z_l)
  View<float, 2> posterior;  // (B S, 2 Z_l) of q(h_l|h_{l-1})
  View<float, 2> prior;      // (B S, 2 Z_{l-1}) of p(h_{l-1}|h_l)

  View<const float, 2> means(View<float, 2> m) const { return m.col_slice(0, m.cols / 2); }
  View<const float, 2> log_vars(View<float, 2> m) const { return m.col_slice(m.cols / 2, m.cols / 2); }
};
template <class Exec>
LayerView<Exec> layer_view(const Vae& vae, const LatentDrawOf<float>& draw,
                           const LatentWorkspace<Exec, float>& work, std::size_t i) {
  const LayerAbove& layer = vae.above()[i];
  const std::int64_t R = draw.z.rows;
  const NoiseStream& first = draw.noise;
  return {layer,
          work.above[i],
          {first.seed, first.step, purpose_above(first.purpose, static_cast<int>(i) + 2)},
          i == 0 ? draw.z : work.above[i - 1].h.matrix(R, layer.below),
          work.above[i].h.matrix(R, layer.latent),
          work.above[i].encoder.result(layer.encoder, R),
          work.above[i].decoder.result(layer.decoder, R)};
}

/// From z = h1 to log p(h1, ..., hL) and log q(h1, ..., hL|x), which begins as log q(h1|x).
template <class Exec>
void draw_layers_above(const Exec& exec, const Vae& vae, const LatentDrawOf<float>& draw,
                       const LatentWorkspace<Exec, float>& work) {
  const std::size_t count = vae.above().size();
  const LogVarClamp clamp = vae.config().clamp;
  const View<std::int32_t, 1> clamped = work.clamped_above.vector(draw.z.rows);
  zero(exec, clamped);
  for (std::size_t i = 0; i < count; ++i) {
    const LayerView<Exec> at = layer_view(vae, draw, work, i);
    forward(exec, at.layer.encoder, draw.parameters, vae.table(), at.below, at.work.encoder);
    conditional_draw(exec, {.mu = at.means(at.posterior),
                            .log_var = at.log_vars(at.posterior),
                            .clamp = clamp,
                            .noise = at.noise,
                            .datum = draw.datum,
                            .first_sample = draw.first_sample,
                            .samples = draw.samples,
                            .z = at.h,
                            .log_q = draw.log_qz_given_x,
                            .log_standard = i + 1 == count ? draw.log_pz : View<float, 1>(),
                            .clamped = clamped});
  }
  for (std::size_t i = 0; i < count; ++i) {
    const LayerView<Exec> at = layer_view(vae, draw, work, i);
    forward(exec, at.layer.decoder, draw.parameters, vae.table(), at.h, at.work.decoder);
    conditional_density(exec, {.z = at.below,
                               .mu = at.means(at.prior),
                               .log_var = at.log_vars(at.prior),
                               .clamp = clamp,
                               .log_p = draw.log_pz,
                               .clamped = clamped});
  }
}

template <class Exec, class Draw>
View<const float, 2> log_vars(const Exec& exec, const VaeConfig& config, const Draw& draw,
                              const Buffer<Exec, float>& repeated) {
  const std::int64_t Z = config.latent;
  if (config.posterior.family != PosteriorFamily::kIsotropicGaussian) return draw.posterior.col_slice(Z, Z);
  const View<float, 2> all = repeated.matrix(draw.posterior.rows, Z);
  repeat_log_var(exec, {draw.posterior.col_slice(Z, 1), all});
  return all;
}

/// From mu + sigma eps to z, for posteriors that couple the dimensions.
template <class Exec>
void couple(const Exec& exec, const VaeConfig& config, const LatentDrawOf<float>& draw,
            const LatentWorkspace<Exec, float>& work) {
  if (!config.posterior.couples_dimensions()) return;
  const std::int64_t Z = config.latent;
  const View<const float, 2> more = draw.posterior.col_slice(2 * Z, draw.posterior.cols - 2 * Z);
  if (config.posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
    covariance_factor(exec, {.factor = more,
                             .noise = draw.noise,
                             .datum = draw.datum,
                             .first_sample = draw.first_sample,
                             .samples = draw.samples,
                             .z = draw.z,
                             .kl = draw.kl});
  }
  if (config.posterior.family == PosteriorFamily::kPlanarFlow) {
    planar_flow(exec, {.flow = more,
                       .samples = draw.samples,
                       .z = draw.z,
                       .log_qz_given_x = draw.log_qz_given_x,
                       .activation = work.activation.size() == 0
                                         ? View<float, 2>()
                                         : work.activation.matrix(draw.z.rows, config.posterior.flow_steps)});
  }
}

}  // namespace detail

/// Enqueues the draw of z ~ q(z|x), its KL from N(0, I) where that has a closed form, and with `logs` log
/// q(z|x). Returns the log-variances (B, Z).
template <class Exec, class T>
View<const float, 2> draw_posterior_sample(const Exec& exec, const Vae& vae, const LatentDrawOf<T>& draw,
                                           const LatentWorkspace<Exec, T>& work, bool logs) {
  const VaeConfig& config = vae.config();
  const std::int64_t Z = config.latent;
  const View<const float, 2> log_var = detail::log_vars(exec, config, draw, work.log_var);
  reparameterize(exec,
                 ReparameterizeArgsOf<T>{.mu = draw.posterior.col_slice(0, Z),
                                         .log_var = log_var,
                                         .clamp = config.clamp,
                                         .noise = draw.noise,
                                         .datum = draw.datum,
                                         .first_sample = draw.first_sample,
                                         .samples = draw.samples,
                                         .z = draw.z,
                                         .kl = draw.kl,
                                         .clamped = draw.clamped,
                                         .log_pz = logs ? draw.log_pz : View<float, 1>(),
                                         .log_qz_given_x = logs ? draw.log_qz_given_x : View<float, 1>()});
  if constexpr (detail::kAnyLatent<T>) detail::couple(exec, config, draw, work);
  return log_var;
}

/// The map of a prior that is uniform on the unit cube, on the way to the decoder: what it reads in place of
/// z (R, Z), which lies without gaps.
template <class Exec, class T>
View<const T, 2> decoder_input(const Exec& exec, const Vae& vae, View<const T, 2> z,
                               const LatentWorkspace<Exec, T>& work) {
  if (vae.config().prior.family != PriorFamily::kUniform) return z;
  const std::int64_t size = z.rows * z.cols;
  normal_cdf(exec, NormalCdfArgsOf<T>{{z.data, size}, work.u.vector(size)});
  return work.u.matrix(z.rows, z.cols);
}

/// Enqueues the draw of z and all its terms. Returns what the decoder reads.
template <class Exec, class T>
View<const T, 2> draw_latent(const Exec& exec, const Vae& vae, const LatentDrawOf<T>& draw,
                             const LatentWorkspace<Exec, T>& work) {
  const VaeConfig& config = vae.config();
  const std::int64_t Z = config.latent;
  const bool closed = has_closed_kl(config);
  const bool logs = draw.want_logs || !closed;
  [[maybe_unused]] const View<const float, 2> log_var = draw_posterior_sample(exec, vae, draw, work, logs);
  if constexpr (detail::kAnyLatent<T>) {
    if (!vae.above().empty()) {
      detail::draw_layers_above(exec, vae, draw, work);
    } else if (logs && detail::has_density_of_its_own(config)) {
      const GaussianMixture mixture = detail::prior_mixture(vae, work, draw);
      mixture_prior(exec, {.mixture = mixture,
                           .z = draw.z,
                           .log_pz = draw.log_pz,
                           .responsibility = work.responsibility.size() == 0
                                                 ? View<float, 2>()
                                                 : work.responsibility.matrix(draw.z.rows, mixture.mu.rows),
                           .scratch = work.scratch.view()});
    }
    if (closed && config.prior.family == PriorFamily::kDiagonalGaussian) {
      const PriorParameters<const float> prior = vae.prior(draw.parameters);
      gaussian_kl(exec, {.mu = draw.posterior.col_slice(0, Z),
                         .log_var = log_var,
                         .prior_mu = {prior.mu.data, Z},
                         .prior_log_var = {prior.log_var.data, Z},
                         .clamp = config.clamp,
                         .kl = draw.kl});
    }
    if (!closed) {
      sampled_kl(exec, {.log_pz = draw.log_pz,
                        .log_qz_given_x = draw.log_qz_given_x,
                        .samples = draw.samples,
                        .kl = draw.kl});
    }
  }
  return decoder_input(exec, vae, View<const T, 2>(draw.z), work);
}

/// What draw_latent_backward() needs besides the draw.
template <class T>
struct LatentGradOf {
  View<T, 2> grad_z;  // (B S, Z) in: the gradient by what the decoder reads; it is worked on
  PosteriorGradient gradient = PosteriorGradient::kAnalyticKl;  // kAnalyticKl only if has_closed_kl()
  Scalar<float> kl_scale = 1.0f;
  View<const float, 1> weight;     // (B S) or empty, as of reparameterize_backward
  View<const float, 1> kl_weight;  // (Z) or empty, likewise; with the standard prior only
  View<T, 2> grad_posterior;       // (B, posterior.outputs(Z)) written
  View<float, 2> grad_pseudo;      // (K, 2 Z) written; kVamp only
  View<float, 1> gradients;        // (P) flat: the prior's and those of layers above are written
};

namespace detail {

/// The share of the layers above in the gradient by z = h1, and the gradients of their networks: up, along
/// log p(h_{l-1}|h_l), then down, along log q(h_l|h_{l-1}), when each h_l has its whole gradient.
template <class Exec>
void layers_above_backward(const Exec& exec, const Vae& vae, const LatentDrawOf<float>& draw,
                           const LatentGradOf<float>& grad, const LatentWorkspace<Exec, float>& work) {
  const std::size_t count = vae.above().size();
  const std::int64_t R = draw.z.rows;
  const LogVarClamp clamp = vae.config().clamp;
  const auto grad_below = [&](std::size_t i) {
    return i == 0 ? grad.grad_z : work.above[i - 1].grad_h.matrix(R, vae.above()[i].below);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const LayerView<Exec> at = layer_view(vae, draw, work, i);
    const std::int64_t Z = at.layer.below;
    const View<float, 2> grad_prior = at.work.grad_prior.matrix(R, 2 * Z);
    conditional_density_backward(exec, {.z = at.below,
                                        .mu = at.means(at.prior),
                                        .log_var = at.log_vars(at.prior),
                                        .clamp = clamp,
                                        .samples = draw.samples,
                                        .kl_scale = grad.kl_scale,
                                        .weight = grad.weight,
                                        .grad_z = grad_below(i),
                                        .grad_mu = grad_prior.col_slice(0, Z),
                                        .grad_log_var = grad_prior.col_slice(Z, Z)});
    backward(exec, at.layer.decoder, draw.parameters, vae.table(), at.h, at.work.decoder, grad_prior,
             grad.gradients, at.work.grad_h.matrix(R, at.layer.latent));
  }
  for (std::size_t i = count; i-- > 0;) {
    const LayerView<Exec> at = layer_view(vae, draw, work, i);
    const std::int64_t Z = at.layer.latent;
    const View<float, 2> grad_posterior = at.work.grad_posterior.matrix(R, 2 * Z),
                         more = at.work.grad_below.matrix(R, at.layer.below);
    conditional_draw_backward(exec, {.mu = at.means(at.posterior),
                                     .log_var = at.log_vars(at.posterior),
                                     .clamp = clamp,
                                     .noise = at.noise,
                                     .datum = draw.datum,
                                     .first_sample = draw.first_sample,
                                     .samples = draw.samples,
                                     .grad_z = at.work.grad_h.matrix(R, Z),
                                     .kl_scale = grad.kl_scale,
                                     .weight = grad.weight,
                                     .standard_prior = i + 1 == count,
                                     .grad_mu = grad_posterior.col_slice(0, Z),
                                     .grad_log_var = grad_posterior.col_slice(Z, Z)});
    backward(exec, at.layer.encoder, draw.parameters, vae.table(), at.below, at.work.encoder, grad_posterior,
             grad.gradients, more);
    add_gradient(exec, {.more = more, .gradient = grad_below(i)});
  }
}

/// The share of log p(z), by samples, in the gradients by z and by the prior's parameters.
template <class Exec>
void prior_backward(const Exec& exec, const Vae& vae, const LatentDrawOf<float>& draw,
                    const LatentGradOf<float>& grad, const LatentWorkspace<Exec, float>& work) {
  if (!vae.above().empty()) return layers_above_backward(exec, vae, draw, grad, work);
  const std::int64_t Z = vae.config().latent;
  const GaussianMixture mixture = prior_mixture(vae, work, draw);
  MixturePriorGradArgs args{.mixture = mixture,
                            .z = draw.z,
                            .responsibility = work.responsibility.matrix(draw.z.rows, mixture.mu.rows),
                            .scratch = work.scratch.view(),
                            .samples = draw.samples,
                            .kl_scale = grad.kl_scale,
                            .weight = grad.weight,
                            .grad_z = grad.grad_z,
                            .grad_mu = {},
                            .grad_log_var = {},
                            .grad_logit = {}};
  if (vae.config().prior.family == PriorFamily::kVamp) {
    args.grad_mu = grad.grad_pseudo.col_slice(0, Z);
    args.grad_log_var = grad.grad_pseudo.col_slice(Z, Z);
  } else if (!vae.config().prior.is_standard()) {
    const PriorParameters<float> prior = vae.prior(grad.gradients);
    args.grad_mu = prior.mu;
    args.grad_log_var = prior.log_var;
    args.grad_logit = prior.logit;
  }
  mixture_prior_backward(exec, args);
}

/// The share of a KL in closed form from a learned Gaussian.
template <class Exec>
void gaussian_prior_backward(const Exec& exec, const Vae& vae, const LatentDrawOf<float>& draw,
                             const LatentGradOf<float>& grad, View<const float, 2> log_var,
                             View<float, 2> grad_log_var) {
  const std::int64_t Z = vae.config().latent;
  const View<float, 2> grad_mu = grad.grad_posterior.col_slice(0, Z);
  const PriorParameters<const float> prior = vae.prior(draw.parameters);
  const PriorParameters<float> gradient = vae.prior(grad.gradients);
  gaussian_kl_backward(exec, {.mu = draw.posterior.col_slice(0, Z),
                              .log_var = log_var,
                              .prior_mu = {prior.mu.data, Z},
                              .prior_log_var = {prior.log_var.data, Z},
                              .clamp = vae.config().clamp,
                              .kl_scale = grad.kl_scale,
                              .grad_mu = grad_mu,
                              .grad_log_var = grad_log_var,
                              .grad_prior_mu = {gradient.mu.data, Z},
                              .grad_prior_log_var = {gradient.log_var.data, Z}});
}

}  // namespace detail

/// Enqueues the way back of draw_latent() with the same `draw` and `work`; draw.z is worked on.
template <class Exec, class T>
void draw_latent_backward(const Exec& exec, const Vae& vae, const LatentDrawOf<T>& draw,
                          const LatentGradOf<T>& grad, const LatentWorkspace<Exec, T>& work) {
  const VaeConfig& config = vae.config();
  const std::int64_t Z = config.latent, B = draw.posterior.rows, rest = draw.posterior.cols - 2 * Z;
  const bool analytic = grad.gradient == PosteriorGradient::kAnalyticKl;
  const bool isotropic = config.posterior.family == PosteriorFamily::kIsotropicGaussian;
  View<const float, 2> log_var;
  View<T, 2> grad_log_var;
  if (!isotropic) {
    log_var = draw.posterior.col_slice(Z, Z);
    grad_log_var = grad.grad_posterior.col_slice(Z, Z);
  } else if constexpr (detail::kAnyLatent<T>) {
    log_var = work.log_var.matrix(B, Z);
    grad_log_var = work.grad_log_var.matrix(B, Z);
  }
  if (config.prior.family == PriorFamily::kUniform) {
    const std::int64_t size = draw.z.rows * Z;
    normal_cdf_backward(exec, NormalCdfGradArgsOf<T>{{draw.z.data, size}, {grad.grad_z.data, size}});
  }
  const bool own_density = detail::has_density_of_its_own(config);
  if constexpr (detail::kAnyLatent<T>) {
    if (own_density && !analytic) detail::prior_backward(exec, vae, draw, grad, work);
    if (config.posterior.family == PosteriorFamily::kPlanarFlow) {
      planar_flow_backward(exec,
                           {.flow = draw.posterior.col_slice(2 * Z, rest),
                            .samples = draw.samples,
                            .z = draw.z,
                            .activation = work.activation.matrix(draw.z.rows, config.posterior.flow_steps),
                            .kl_scale = grad.kl_scale,
                            .weight = grad.weight,
                            .grad_z = grad.grad_z,
                            .grad_flow = grad.grad_posterior.col_slice(2 * Z, rest)});
    }
    if (config.posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
      covariance_factor_backward(exec, {.factor = draw.posterior.col_slice(2 * Z, rest),
                                        .noise = draw.noise,
                                        .datum = draw.datum,
                                        .first_sample = draw.first_sample,
                                        .samples = draw.samples,
                                        .grad_z = grad.grad_z,
                                        .kl_scale = analytic ? grad.kl_scale : Scalar<float>(0.0f),
                                        .grad_factor = grad.grad_posterior.col_slice(2 * Z, rest)});
    }
  }
  reparameterize_backward(exec, ReparameterizeGradArgsOf<T>{
                                    .mu = draw.posterior.col_slice(0, Z),
                                    .log_var = log_var,
                                    .clamp = config.clamp,
                                    .noise = draw.noise,
                                    .datum = draw.datum,
                                    .first_sample = draw.first_sample,
                                    .samples = draw.samples,
                                    .grad_z = grad.grad_z,
                                    .kl_scale = grad.kl_scale,
                                    .grad_mu = grad.grad_posterior.col_slice(0, Z),
                                    .grad_log_var = grad_log_var,
                                    .gradient = grad.gradient,
                                    .weight = grad.weight,
                                    .kl_weight = grad.kl_weight,
                                    .standard_prior = analytic ? config.prior.is_standard() : !own_density});
  if constexpr (detail::kAnyLatent<T>) {
    if (analytic && !config.prior.is_standard()) {
      detail::gaussian_prior_backward(exec, vae, draw, grad, log_var, grad_log_var);
    }
    if (isotropic) sum_log_var_grad(exec, {grad_log_var, grad.grad_posterior.col_slice(Z, 1)});
  }
}

}  // namespace felbo
