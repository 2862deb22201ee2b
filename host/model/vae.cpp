#include "host/model/vae.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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

/// Names the noise of the prior's initial parameters beside that of the layers, which have their index.
constexpr int kPriorTensor = 1 << 20;

/// Share of zeros that a source of their own has at first.
constexpr double kExtraZeros = 0.1;

double logit(double p) { return std::log(p / (1.0 - p)); }

/// The logit at which a continuous Bernoulli has the mean, by bisection: the mean rises with it.
double continuous_bernoulli_logit(double mean) {
  double lo = -1e3, hi = 1e3;
  for (int i = 0; i < 60; ++i) {
    const double l = (lo + hi) / 2;
    const double here = std::abs(l) < 1e-3 ? 0.5 + l / 12 : 1 / -std::expm1(-l) - 1 / l;
    (here < mean ? lo : hi) = l;
  }
  return (lo + hi) / 2;
}

/// The decoder's first output at z = 0 that makes the data's mean p(x|z)'s. Pixels that never light up, and
/// counts that are always 0, must be able to.
float mean_bias(const Likelihood& likelihood, double mean) {
  const double unit = std::clamp(mean, 1e-3, 1.0 - 1e-3), positive = std::max(mean, 1e-3);
  switch (likelihood.family) {
    case LikelihoodFamily::kBernoulli:
      return static_cast<float>(logit(unit));
    case LikelihoodFamily::kContinuousBernoulli:
      return static_cast<float>(continuous_bernoulli_logit(unit));
    case LikelihoodFamily::kPoisson:
    case LikelihoodFamily::kNegativeBinomial:
    case LikelihoodFamily::kMultinomial:
      return static_cast<float>(std::log(positive));
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return static_cast<float>(std::log(positive / (1.0 - kExtraZeros)));
    default:
      return static_cast<float>(mean);
  }
}

/// What log_var is the logarithm of, where p(x|z)'s variance is the data's.
double squared_scale(const Likelihood& likelihood, const DataMoments& moments) {
  const double variance = moments.variance, nu = static_cast<double>(likelihood.degrees_of_freedom);
  switch (likelihood.family) {
    case LikelihoodFamily::kLaplace:
      return variance / 2;
    case LikelihoodFamily::kStudentT:
      return variance * (nu > 3 ? (nu - 2) / nu : 1.0 / 3);
    case LikelihoodFamily::kDiscretizedLogistic:
      return variance * 3 / (std::numbers::pi * std::numbers::pi);
    case LikelihoodFamily::kNegativeBinomial:
    case LikelihoodFamily::kZeroInflatedNegativeBinomial: {
      double mean = 0, square = 0;
      for (const double m : moments.mean) mean += m, square += m * m;
      const double count = static_cast<double>(moments.mean.size());
      // At most 1: a dispersion that explains all the variance leaves none for z, which then collapses.
      return std::clamp((variance - mean / count) / std::max(square / count, 1e-12), std::exp(-4.0), 1.0);
    }
    default:
      return variance;
  }
}

/// The decoder's value at z = 0 for an output of a dimension.
float output_bias(const Likelihood& likelihood, int output, double mean, float log_var) {
  if (output == 0) return mean_bias(likelihood, mean);
  return output < likelihood.locations() ? static_cast<float>(logit(kExtraZeros)) : log_var;
}

/// One Gaussian starts as N(0, I). The components of a mixture start with means uniform in +-1, those of a
/// VampPrior from pseudo-inputs about the data's mean, a standard deviation of the data away at most: equal
/// ones would stay equal.
void fill_prior(const Vae& vae, View<float, 1> flat, const DataMoments& moments, std::uint64_t seed) {
  const Prior& prior = vae.config().prior;
  if (prior.family == PriorFamily::kMixture) fill_uniform(vae.prior(flat).mu, 1.0f, seed, kPriorTensor);
  if (prior.family != PriorFamily::kVamp) return;
  const std::int64_t X = vae.config().dimensions;
  const View<float, 2> inputs(vae.pseudo_inputs(flat).data, prior.components, X);
  fill_uniform(inputs, static_cast<float>(std::sqrt(moments.variance)), seed, kPriorTensor);
  for (std::int64_t i = 0; i < inputs.rows; ++i) {
    for (std::int64_t j = 0; j < X; ++j) {
      const double x = moments.mean[static_cast<std::size_t>(j)] + static_cast<double>(inputs(i, j));
      inputs(i, j) = static_cast<float>(vae.reads_log_counts() ? std::log1p(std::max(x, 0.0)) : x);
    }
  }
}

void check_layers(const VaeConfig& config) {
  if (config.above.empty()) return;
  FELBO_CHECK(config.above.size() <= static_cast<std::size_t>(kMostLayersAbove),
              "--latent {} layers: there may be up to {}", config.stochastic_layers(), kMostLayersAbove + 1);
  FELBO_CHECK(config.posterior.family == PosteriorFamily::kDiagonalGaussian &&
                  config.prior.family == PriorFamily::kStandardNormal,
              "several stochastic layers (--latent Z1,Z2) go with --posterior diagonal-gaussian and --prior "
              "standard-normal: each layer is a diagonal Gaussian given the next, and the layers above are "
              "themselves the prior that is learned");
  for (const LayerConfig& layer : config.above)
    FELBO_CHECK(layer.latent > 0, "a stochastic layer needs at least one latent, got {}", layer.latent);
}

}  // namespace

Vae::Vae(const VaeConfig& config) : config_(config) {
  FELBO_CHECK(config.dimensions > 0 && config.latent > 0,
              "a model needs at least one dimension and one latent, got {} and {}", config.dimensions,
              config.latent);
  const Prior& prior = config.prior;
  FELBO_CHECK(config.posterior.flow_steps >= 1, "a planar flow needs at least one step, got {}",
              config.posterior.flow_steps);
  FELBO_CHECK(prior.components >= 1, "a mixture needs at least one component, got {}", prior.components);
  FELBO_CHECK(
      prior.family != PriorFamily::kVamp || config.posterior.family == PosteriorFamily::kDiagonalGaussian,
      "a VampPrior is a mixture of diagonal Gaussians: it goes with that posterior");
  encoder_ = Mlp(table_, "encoder", config.dimensions, config.hidden, config.posterior.outputs(config.latent),
                 config.activation);
  const std::vector<std::int64_t> reversed(config.hidden.rbegin(), config.hidden.rend());
  decoder_ = Mlp(table_, "decoder", config.latent, reversed, config.likelihood.outputs() * config.dimensions,
                 config.activation);
  add_layers_above();
  const std::int64_t own = config.likelihood.own_parameters(config.dimensions);
  if (own > 0) own_ = table_.add("likelihood.log_var", {own});
  if (prior.family == PriorFamily::kDiagonalGaussian) {
    prior_mu_ = table_.add("prior.mu", {config.latent});
    prior_log_var_ = table_.add("prior.log_var", {config.latent});
  } else if (prior.family == PriorFamily::kMixture) {
    prior_mu_ = table_.add("prior.mu", {prior.components, config.latent});
    prior_log_var_ = table_.add("prior.log_var", {prior.components, config.latent});
    prior_logit_ = table_.add("prior.logit", {prior.components});
  } else if (prior.family == PriorFamily::kVamp) {
    pseudo_inputs_ = table_.add("prior.pseudo_inputs", {prior.components, config.dimensions});
  }
}

void Vae::add_layers_above() {
  check_layers(config_);
  std::int64_t below = config_.latent;
  for (const LayerConfig& layer : config_.above) {
    const auto name = [&](const char* net) { return fmt::format("{}{}", net, above_.size() + 2); };
    const std::vector<std::int64_t> reversed(layer.hidden.rbegin(), layer.hidden.rend());
    above_.push_back(
        {.latent = layer.latent,
         .below = below,
         .encoder = Mlp(table_, name("encoder"), below, layer.hidden, 2 * layer.latent, config_.activation),
         .decoder = Mlp(table_, name("decoder"), layer.latent, reversed, 2 * below, config_.activation)});
    below = layer.latent;
  }
}

std::vector<float> initial_parameters(const Vae& vae, const DataMoments& moments, std::uint64_t seed) {
  const VaeConfig& config = vae.config();
  FELBO_CHECK(static_cast<std::int64_t>(moments.mean.size()) == config.dimensions,
              "{} means for {} dimensions", moments.mean.size(), config.dimensions);
  std::vector<float> parameters(static_cast<std::size_t>(vae.table().size()));
  const View<float, 1> flat{parameters.data(), vae.table().size()};
  std::vector<const Mlp*> networks{&vae.encoder(), &vae.decoder()};
  for (const LayerAbove& layer : vae.above())
    networks.insert(networks.end(), {&layer.encoder, &layer.decoder});
  for (const Mlp* mlp : networks) {
    for (const Layer& layer : mlp->layers()) {
      const float bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layer.in)));
      fill_uniform(matrix_of(flat, vae.table()[layer.weight]), bound, seed, layer.weight);
      fill_uniform({vector_of(flat, vae.table()[layer.bias]).data, 1, layer.out}, bound, seed, layer.bias);
    }
  }
  const double scale = squared_scale(config.likelihood, moments);
  const float log_var = std::clamp(static_cast<float>(std::log(std::max(scale, 1e-12))),
                                   config.likelihood.clamp.lo, config.likelihood.clamp.hi);
  const View<float, 1> bias = vector_of(flat, vae.table()[vae.decoder().layers().back().bias]);
  const std::vector<double>& shares = moments.level_shares;
  const bool levels = config.likelihood.family == LikelihoodFamily::kCategorical;
  FELBO_CHECK(!levels || static_cast<std::int64_t>(shares.size()) == bias.size,
              "{} shares of levels for {} logits", shares.size(), bias.size);
  for (std::int64_t i = 0; i < bias.size; ++i) {
    if (levels) {
      bias(i) = static_cast<float>(std::log(shares[static_cast<std::size_t>(i)]));
      continue;
    }
    const double mean = moments.mean[static_cast<std::size_t>(i % config.dimensions)];
    bias(i) = output_bias(config.likelihood, static_cast<int>(i / config.dimensions), mean, log_var);
  }
  std::ranges::fill(vae.own(flat), log_var);
  fill_prior(vae, flat, moments, seed);
  return parameters;
}

}  // namespace felbo
