#include "host/model/vae.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/noise_stream.h"

namespace felbo {
namespace {

/// Uniform in +-bound, a function of (seed, tensor, row, column).
void fill_uniform(View<float, 2> out, float bound, std::uint64_t seed, int tensor) {
  const NoiseStream stream{seed, 0, Purpose::kInit};
  for (std::int64_t i = 0; i < out.rows; ++i) {
    for (std::int64_t j = 0; j < out.cols; ++j) {
      const std::uint32_t word = stream
                                     .words(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(tensor),
                                            static_cast<std::uint32_t>(j / 4))
                                     .w[j % 4];
      // The top 24 bits, centred: uniform in (-1, 1).
      out(i, j) = bound * ((static_cast<float>(word >> 8) + 0.5f) * 1.1920928955078125e-7f - 1.0f);
    }
  }
}

/// The decoder's value at z = 0 that makes the data's mean p(x|z)'s.
float mean_bias(const Likelihood& likelihood, double mean) {
  if (likelihood.family != LikelihoodFamily::kBernoulli) return static_cast<float>(mean);
  const double p = std::clamp(mean, 1e-3, 1.0 - 1e-3);  // pixels that never light up must be able to
  return static_cast<float>(std::log(p / (1.0 - p)));
}

}  // namespace

Vae::Vae(const VaeConfig& config) : config_(config) {
  FELBO_CHECK(config.dimensions > 0 && config.latent > 0,
              "a model needs at least one dimension and one latent, got {} and {}", config.dimensions,
              config.latent);
  encoder_ = Mlp(table_, "encoder", config.dimensions, config.hidden, 2 * config.latent, config.activation);
  const std::vector<std::int64_t> reversed(config.hidden.rbegin(), config.hidden.rend());
  decoder_ = Mlp(table_, "decoder", config.latent, reversed, config.likelihood.outputs() * config.dimensions,
                 config.activation);
  const std::int64_t own = config.likelihood.own_parameters(config.dimensions);
  if (own > 0) own_ = table_.add("likelihood.log_var", {own});
}

std::vector<float> initial_parameters(const Vae& vae, const DataMoments& moments, std::uint64_t seed) {
  const VaeConfig& config = vae.config();
  FELBO_CHECK(static_cast<std::int64_t>(moments.mean.size()) == config.dimensions,
              "{} means for {} dimensions", moments.mean.size(), config.dimensions);
  std::vector<float> parameters(static_cast<std::size_t>(vae.table().size()));
  const View<float, 1> flat{parameters.data(), vae.table().size()};
  for (const Mlp* mlp : {&vae.encoder(), &vae.decoder()}) {
    for (const Layer& layer : mlp->layers()) {
      const float bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layer.in)));
      fill_uniform(matrix_of(flat, vae.table()[layer.weight]), bound, seed, layer.weight);
      fill_uniform({vector_of(flat, vae.table()[layer.bias]).data, 1, layer.out}, bound, seed, layer.bias);
    }
  }
  const float log_var = std::clamp(static_cast<float>(std::log(std::max(moments.variance, 1e-12))),
                                   config.likelihood.clamp.lo, config.likelihood.clamp.hi);
  const View<float, 1> bias = vector_of(flat, vae.table()[vae.decoder().layers().back().bias]);
  for (std::int64_t i = 0; i < bias.size; ++i) {
    bias(i) = i < config.dimensions ? mean_bias(config.likelihood, moments.mean[static_cast<std::size_t>(i)])
                                    : log_var;
  }
  std::ranges::fill(vae.own(flat), log_var);
  return parameters;
}

}  // namespace felbo
