// A variational autoencoder (Kingma and Welling, ICLR 2014; Rezende, Mohamed and Wierstra, ICML 2014): an
// encoder that gives q(z|x) = N(mu, diag exp(log_var)), a decoder that gives p(x|z), and the prior p(z) =
// N(0, I); or other posteriors and priors (latent_family.h).
//
// With several stochastic layers (Burda, Grosse and Salakhutdinov, ICLR 2016, section 5) z is the lowest, h1:
// q(h1|x) q(h2|h1) ... and p(x|h1) p(h1|h2) ... p(hL), all but p(hL) = N(0, I) diagonal Gaussians that
// perceptrons give.
#pragma once

#include <span>
#include <vector>

#include "host/exec/buffer.h"
#include "host/model/latent_family.h"
#include "host/model/mlp.h"
#include "host/model/parameter_table.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/log_counts/log_counts.h"

namespace felbo {

/// A stochastic layer above the first: h_l with l >= 2.
struct LayerConfig {
  std::int64_t latent = 0;           // Z_l
  std::vector<std::int64_t> hidden;  // of q(h_l|h_{l-1}); p(h_{l-1}|h_l) has them in reverse
};

struct VaeConfig {
  std::int64_t dimensions = 0;       // X
  std::int64_t latent = 20;          // Z; of h1 where there are several stochastic layers
  std::vector<std::int64_t> hidden;  // the encoder's, from x to z; the decoder has them in reverse
  Activation activation = Activation::kRelu;
  Likelihood likelihood;
  LogVarClamp clamp;  // of the posterior's and the prior's log_var
  Posterior posterior;
  Prior prior;
  std::vector<LayerConfig> above;  // h2, h3, ...; empty: z is all there is

  /// L.
  int stochastic_layers() const { return 1 + static_cast<int>(above.size()); }
};

/// Whether KL(q || p) has a closed form: never that of several stochastic layers.
inline bool has_closed_kl(const VaeConfig& config) {
  return config.above.empty() && has_closed_kl(config.posterior.family, config.prior.family);
}

/// The networks of a stochastic layer above the first.
struct LayerAbove {
  std::int64_t latent = 0;  // Z_l
  std::int64_t below = 0;   // Z_{l-1}
  Mlp encoder;              // (B S, Z_{l-1}) -> (B S, 2 Z_l): mu and log_var of q(h_l|h_{l-1})
  Mlp decoder;              // (B S, Z_l) -> (B S, 2 Z_{l-1}): mu and log_var of p(h_{l-1}|h_l)
};

/// A learned prior's parameters within a flat buffer.
template <class T>
struct PriorParameters {
  View<T, 2> mu, log_var;  // (K, Z); K = 1 for one Gaussian
  View<T, 1> logit;        // (K) of a mixture
};

/// The shape of the model: which parameters it has and how they are wired. The values live elsewhere, in one
/// flat buffer of table().size() floats.
class Vae {
 public:
  /// Throws std::invalid_argument if a size is not positive, the prior does not go with the posterior, or
  /// either with several stochastic layers.
  explicit Vae(const VaeConfig& config);

  const VaeConfig& config() const { return config_; }
  const ParameterTable& table() const { return table_; }
  const Mlp& encoder() const { return encoder_; }  // (B, X) -> (B, posterior.outputs(Z))
  /// Whether the encoder reads log(1 + x), as it does of counts, in place of x.
  bool reads_log_counts() const { return config_.likelihood.observations() == Observations::kCounts; }
  const Mlp& decoder() const { return decoder_; }  // (B S, Z) -> (B S, outputs X)
  /// h2, h3, ... in this order; empty where z is all there is.
  const std::vector<LayerAbove>& above() const { return above_; }

  /// The likelihood's own parameters within a flat buffer; empty if it has none.
  template <class T>
  View<T, 1> own(View<T, 1> flat) const {
    return own_ < 0 ? View<T, 1>() : vector_of(flat, table_[own_]);
  }

  /// The learned prior's parameters; views are empty where there are none (a standard or uniform prior;
  /// kVamp, whose parameters are its pseudo-inputs).
  template <class T>
  PriorParameters<T> prior(View<T, 1> flat) const {
    if (prior_mu_ < 0) return {};
    const std::int64_t K = config_.prior.is_mixture() ? config_.prior.components : 1, Z = config_.latent;
    const auto matrix = [&](int entry) { return View<T, 2>(vector_of(flat, table_[entry]).data, K, Z); };
    return {matrix(prior_mu_), matrix(prior_log_var_),
            prior_logit_ < 0 ? View<T, 1>() : vector_of(flat, table_[prior_logit_])};
  }
  /// The pseudo-inputs of a VampPrior, (K, X), as the encoder reads them; empty elsewhere.
  template <class T>
  View<T, 1> pseudo_inputs(View<T, 1> flat) const {
    return pseudo_inputs_ < 0 ? View<T, 1>() : vector_of(flat, table_[pseudo_inputs_]);
  }
  /// Pseudo-inputs that go through the encoder behind each batch.
  std::int64_t pseudo_rows() const { return pseudo_inputs_ < 0 ? 0 : config_.prior.components; }

 private:
  void add_layers_above();

  VaeConfig config_;
  ParameterTable table_;
  Mlp encoder_, decoder_;
  std::vector<LayerAbove> above_;
  int own_ = -1;
  int prior_mu_ = -1, prior_log_var_ = -1, prior_logit_ = -1, pseudo_inputs_ = -1;
};

/// What initial parameters take from the training data, intensities in the units of x.
struct DataMoments {
  std::vector<double> mean;               // (X) of each dimension
  double variance = 1.0;                  // averaged over the dimensions
  std::vector<double> level_shares = {};  // (X, K) of a categorical: of the data at each level, above 0
};

/// Initial parameters, a function of the seed alone: weights and biases uniform in +-1 / sqrt(in), a standard
/// deviation of 1 / sqrt(3 in) (after LeCun, Bottou, Orr and Mueller, "Efficient BackProp", 1998,
/// section 4.6; PyTorch's default for linear layers); the decoder's last bias such that p(x|z = 0) has about
/// the data's mean (the logit of it for Bernoulli) or, for a categorical, its shares of levels, and
/// log-variances such that it has the data's variance.
std::vector<float> initial_parameters(const Vae& vae, const DataMoments& moments, std::uint64_t seed);

/// Everything one pass over at most `max_batch` data with `max_samples` samples each needs, allocated once.
/// T: how what products read is stored. The data, the posterior's mu and log_var and all figures are floats.
template <class Exec, class T = float>
struct VaeWorkspace {
  VaeWorkspace(const Exec& exec, const Vae& vae, std::int64_t max_batch, int max_samples, bool with_gradients)
      : encoder(exec, vae.encoder(), max_batch + pseudo_rows(vae, with_gradients), with_gradients),
        decoder(exec, vae.decoder(), max_batch * max_samples, with_gradients),
        x(exec, (max_batch + pseudo_rows(vae, with_gradients)) * vae.config().dimensions),
        z(exec, max_batch * max_samples * vae.config().latent),
        kl(exec, max_batch),
        elbo(exec, max_batch),
        log_px_given_z(exec, max_batch * max_samples),
        log_pz(exec, max_batch * max_samples),
        log_qz_given_x(exec, max_batch * max_samples),
        clamped_posterior(exec, max_batch),
        clamped_likelihood(exec, max_batch * max_samples),
        scratch(exec, likelihood_scratch(vae.config().likelihood, max_batch * max_samples,
                                         vae.config().dimensions)) {
    if (!std::is_same_v<T, float> || vae.reads_log_counts()) input = Buffer<Exec, T>(exec, x.size());
    if (with_gradients) {
      grad_z = Buffer<Exec, T>(exec, z.size());
      grad_posterior = Buffer<Exec, T>(exec, (max_batch + vae.pseudo_rows()) * vae.encoder().out());
      if (vae.pseudo_rows() > 0) grad_input = Buffer<Exec, T>(exec, x.size());
    }
  }
  /// In training the pseudo-inputs go through the encoder behind each batch; what stays as it is encodes them
  /// once.
  static std::int64_t pseudo_rows(const Vae& vae, bool with_gradients) {
    return with_gradients ? vae.pseudo_rows() : 0;
  }

  MlpWorkspace<Exec, T, float> encoder;
  MlpWorkspace<Exec, T> decoder;
  Buffer<Exec, float> x;                                       // (B, X)
  Buffer<Exec, T> input;                                       // (B, X) what the encoder reads; none if x
  Buffer<Exec, T> z, grad_z;                                   // (B S, Z)
  Buffer<Exec, float> kl, elbo;                                // (B)
  Buffer<Exec, float> log_px_given_z, log_pz, log_qz_given_x;  // (B S)
  Buffer<Exec, std::int32_t> clamped_posterior, clamped_likelihood;  // (B), (B S)
  Buffer<Exec, float> scratch;
  Buffer<Exec, T> grad_posterior;  // (B, posterior.outputs(Z))
  Buffer<Exec, T> grad_input;      // (B + K, X) where pseudo-inputs are learned
};

/// What the encoder reads of x (B, X), which lies without gaps: x itself, or its logarithm, which is enqueued
/// to be made in `input`. There, where T is BFloat16 and x itself is read, stands the rounded copy already.
template <class Exec, class T>
View<const T, 2> encoder_input(const Exec& exec, const Vae& vae, View<const float, 2> x,
                               const Buffer<Exec, T>& input) {
  const std::int64_t size = x.rows * x.cols;
  if (vae.reads_log_counts()) {
    log_counts(exec, LogCountsArgsOf<T>{{x.data, size}, input.vector(size)});
    return input.matrix(x.rows, x.cols);
  }
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    return input.matrix(x.rows, x.cols);
  }
}

}  // namespace felbo
