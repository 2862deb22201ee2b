// The best q(z|x) of the family for each datum, found by optimising the ELBO by q's own mu and log_var in
// place of the encoder's parameters (Cremer, Li and Duvenaud, "Inference suboptimality in variational
// autoencoders", ICML 2018). And the ELBO and importance-weighted bound of any q's that are given.
#pragma once

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "host/data/resident_data.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/importance.h"
#include "host/evaluate/latent_prior.h"
#include "host/evaluate/share_done.h"
#include "kernels/adam/adam.h"

namespace felbo {

/// Adam on (mu, log_var) of each datum, from the encoder's; the rate falls to 0 as half a cosine, so that the
/// noise of the gradients dies out.
struct LocalFitOptions {
  int steps = 500;
  int samples = 16;  // of z a datum and step
  double lr = 0.05;  // nats of log_var, and units of z
  std::uint64_t seed = 0;

  /// Throws std::invalid_argument unless steps is 0 or more, samples at least 1 and lr positive.
  void check() const;
};

/// What q's are worth, (N) each.
struct PosteriorValues {
  std::vector<double> elbo;        // E_q[log p(x|z)] over the samples - KL in closed form
  std::vector<double> elbo_error;  // its standard error, from the samples
  std::vector<double> log_px;      // importance-weighted bound of all samples
  std::vector<WeightDiagnostics> weights;
};

namespace detail {

/// Data that go through the decoder with `samples` samples each at once.
std::int64_t local_tile(const VaeConfig& config, std::int64_t rows, std::int64_t samples);

/// The Exec's memory of a tile: x, the q's and their gradients.
template <class Exec>
class LocalTile {
 public:
  LocalTile(const Exec& exec, const Vae& vae, View<const float, 1> parameters, const ResidentData<Exec>& part,
            std::int64_t data, std::int64_t samples, bool with_gradients)
      : exec_(exec),
        vae_(vae),
        parameters_(parameters),
        data_(data),
        work_(exec, vae.decoder(), data * samples, with_gradients),
        x_(exec, data * vae.config().dimensions),
        q_(exec, data * 2 * vae.config().latent),
        z_(exec, data * samples * vae.config().latent),
        kl_(exec, data),
        log_px_given_z_(exec, data * samples),
        log_pz_(exec, data * samples),
        log_qz_given_x_(exec, data * samples),
        grad_own_(exec, vae.own(parameters).size),
        scratch_(exec, likelihood_scratch(vae.config().likelihood, data * samples, vae.config().dimensions)),
        clamped_(exec, data),
        clamped_rows_(exec, data * samples),
        tiles_(exec, part, data, part.rows()) {
    if (!with_gradients) return;
    grad_q_ = Buffer<Exec, float>(exec, q_.size());
    m_ = Buffer<Exec, float>(exec, q_.size());
    v_ = Buffer<Exec, float>(exec, q_.size());
    grad_z_ = Buffer<Exec, float>(exec, z_.size());
  }

  /// Data first ... first + B - 1, the tile that follows the last one or the first, and their q's.
  void place(std::int64_t first, std::int64_t B, Binarize binarize, std::uint64_t binarize_seed,
             const LatentGaussians& q) {
    data_ = B;
    tiles_.gather_rows(first, binarize, binarize_seed, x());
    const std::int64_t Z = vae_.config().latent;
    std::vector<float> rows;
    for (std::int64_t b = first; b < first + B; ++b) {
      rows.insert(rows.end(), q.mu.begin() + b * Z, q.mu.begin() + (b + 1) * Z);
      rows.insert(rows.end(), q.log_var.begin() + b * Z, q.log_var.begin() + (b + 1) * Z);
    }
    upload(exec_, rows, q_.view());
  }

  /// One step of Adam on all q's, the t-th from 1.
  void fit(const LocalFitOptions& options, int t) {
    const std::int64_t Z = vae_.config().latent, R = data_ * options.samples;
    const NoiseStream noise{options.seed, static_cast<std::uint32_t>(t), Purpose::kLocalLatent};
    decode(noise, 0, options.samples, true, -1.0f / static_cast<float>(options.samples));
    backward(exec_, vae_.decoder(), parameters_, vae_.table(), z_.matrix(R, Z), work_,
             work_.result(vae_.decoder(), R), {}, grad_z_.matrix(R, Z));
    const View<float, 2> grad = grad_q_.matrix(data_, 2 * Z);
    reparameterize_backward(exec_, {.mu = mu(),
                                    .log_var = log_var(),
                                    .clamp = vae_.config().clamp,
                                    .noise = noise,
                                    .datum = tiles_.datum(data_),
                                    .samples = options.samples,
                                    .grad_z = grad_z_.matrix(R, Z),
                                    .kl_scale = 1.0f,
                                    .grad_mu = grad.col_slice(0, Z),
                                    .grad_log_var = grad.col_slice(Z, Z),
                                    .weight = {},
                                    .kl_weight = {}});
    const double done = static_cast<double>(t - 1) / static_cast<double>(options.steps);
    const double lr = options.lr * 0.5 * (1.0 + std::cos(done * std::numbers::pi));
    adam(exec_, {.parameter = q_.vector(data_ * 2 * Z),
                 .gradient = grad_q_.vector(data_ * 2 * Z),
                 .m = m_.vector(data_ * 2 * Z),
                 .v = v_.vector(data_ * 2 * Z),
                 .step = adam_step({.lr = static_cast<float>(lr)}, t)});
  }
  /// Starts Adam anew.
  void reset() {
    zero(exec_, m_.view());
    zero(exec_, v_.view());
  }

  /// log p(x|z), log p(z) and log q(z|x) of samples first_sample ... + S - 1 of each datum, and the KL.
  void decode(const NoiseStream& noise, std::int64_t first_sample, int S, bool want_gradient,
              float grad_scale) {
    const std::int64_t Z = vae_.config().latent, R = data_ * S;
    reparameterize(exec_, {.mu = mu(),
                           .log_var = log_var(),
                           .clamp = vae_.config().clamp,
                           .noise = noise,
                           .datum = tiles_.datum(data_),
                           .first_sample = static_cast<std::uint32_t>(first_sample),
                           .samples = S,
                           .z = z_.matrix(R, Z),
                           .kl = kl_.vector(data_),
                           .clamped = clamped_.vector(data_),
                           .log_pz = log_pz_.vector(R),
                           .log_qz_given_x = log_qz_given_x_.vector(R)});
    forward(exec_, vae_.decoder(), parameters_, vae_.table(), z_.matrix(R, Z), work_);
    likelihood(exec_, vae_.config().likelihood,
               {.x = x(),
                .samples = S,
                .output = work_.result(vae_.decoder(), R),
                .own = vae_.own(parameters_),
                .want_gradient = want_gradient,
                .grad_scale = grad_scale,
                .log_px_given_z = log_px_given_z_.vector(R),
                .grad_own = grad_own_.view(),
                .scratch = scratch_.view(),
                .clamped = clamped_rows_.vector(R)});
  }

  /// What decode() left, on the host: (B S), and the KL (B).
  struct Terms {
    std::vector<float> log_px_given_z, log_pz, log_qz_given_x, kl;
  };
  Terms terms(int S) const {
    const std::int64_t R = data_ * S;
    return {to_host(exec_, log_px_given_z_.vector(R)), to_host(exec_, log_pz_.vector(R)),
            to_host(exec_, log_qz_given_x_.vector(R)), to_host(exec_, kl_.vector(data_))};
  }
  /// The q's as they stand, log-variances clamped.
  void append_to(LatentGaussians& all) const {
    const std::int64_t Z = vae_.config().latent;
    const LogVarClamp clamp = vae_.config().clamp;
    const std::vector<float> rows = to_host(exec_, q_.vector(data_ * 2 * Z));
    for (auto row = rows.begin(); row != rows.end(); row += 2 * Z) {
      all.mu.insert(all.mu.end(), row, row + Z);
      for (auto v = row + Z; v != row + 2 * Z; ++v) all.log_var.push_back(std::clamp(*v, clamp.lo, clamp.hi));
    }
  }

 private:
  View<float, 2> x() const { return x_.matrix(data_, vae_.config().dimensions); }
  View<float, 2> mu() const {
    return q_.matrix(data_, 2 * vae_.config().latent).col_slice(0, vae_.config().latent);
  }
  View<float, 2> log_var() const {
    return q_.matrix(data_, 2 * vae_.config().latent).col_slice(vae_.config().latent, vae_.config().latent);
  }

  const Exec& exec_;
  const Vae& vae_;
  View<const float, 1> parameters_;
  std::int64_t data_;  // B
  MlpWorkspace<Exec> work_;
  Buffer<Exec, float> x_, q_, z_;  // (B, X), (B, 2 Z), (B S, Z)
  Buffer<Exec, float> kl_, log_px_given_z_, log_pz_, log_qz_given_x_, grad_own_, scratch_;
  Buffer<Exec, std::int32_t> clamped_, clamped_rows_;
  RowTiles<Exec> tiles_;
  Buffer<Exec, float> grad_q_, m_, v_, grad_z_;  // (B, 2 Z) and (B S, Z)
};

/// Sums over the samples of one datum.
struct PosteriorSums {
  explicit PosteriorSums(std::int64_t samples) : tail(samples) {}
  void add(double log_px_given_z, double log_w);
  void finish(double kl, PosteriorValues& out) const;

  WeightTail tail;
  double first = 0.0, sum = 0.0, squares = 0.0;  // of log p(x|z), as differences from the first
  double largest = -std::numeric_limits<double>::infinity(), weights = 0.0;
  std::int64_t count = 0;
};

inline void check_posteriors(const Vae& vae, std::int64_t rows, std::int64_t cols, const LatentGaussians& q) {
  FELBO_CHECK(cols == vae.config().dimensions, "the data have {} columns, the model was made for {}", cols,
              vae.config().dimensions);
  FELBO_CHECK(vae.above().empty(), "q(z|x) is fitted to one stochastic layer, this model has {}",
              vae.config().stochastic_layers());
  const auto want = static_cast<std::size_t>(rows * vae.config().latent);
  FELBO_CHECK(rows >= 1 && q.mu.size() == want && q.log_var.size() == want,
              "{} means and {} log-variances for {} data of {} latent dimensions", q.mu.size(),
              q.log_var.size(), rows, vae.config().latent);
}

}  // namespace detail

/// The q's of all rows of the data, fitted from `q` (N, Z). The data's binarisation is that of evaluate().
/// Bits do not depend on the number of threads. Throws std::invalid_argument if sizes disagree. `tell` hears
/// of the share done.
template <class Exec>
LatentGaussians fit_posteriors(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                               const ResidentData<Exec>& data, Binarize binarize, std::uint64_t binarize_seed,
                               const LatentGaussians& q, const LocalFitOptions& options,
                               const ShareDone& tell = {}) {
  const std::int64_t N = data.rows();
  options.check();
  detail::check_posteriors(vae, N, data.cols(), q);
  const Exec exec = with_float_products(on);
  const std::int64_t most = detail::local_tile(vae.config(), N, options.samples);
  detail::LocalTile<Exec> tile(exec, vae, parameters, data, most, options.samples, true);
  LatentGaussians fitted;
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t B = std::min(most, N - first);
    tile.place(first, B, binarize, binarize_seed, q);
    tile.reset();
    for (int t = 1; t <= options.steps; ++t) {
      tile.fit(options, t);
      const double share = static_cast<double>(t) / static_cast<double>(options.steps);
      if (tell) tell((static_cast<double>(first) + share * static_cast<double>(B)) / static_cast<double>(N));
    }
    tile.append_to(fitted);
  }
  return fitted;
}

/// The noise of the samples that evaluate() takes with this seed.
inline NoiseStream evaluation_noise(std::uint64_t seed) { return {seed, 0, Purpose::kHeldOutLatent}; }

/// ELBO and importance-weighted bound of the given q's from samples 0 ... samples - 1 of `noise` each: q's of
/// the same data compare with little noise. `binarize_seed` is the seed of evaluate()'s binarisation.
/// Throws std::invalid_argument if sizes disagree or samples < 1.
template <class Exec>
PosteriorValues evaluate_posteriors(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                                    const ResidentData<Exec>& data, Binarize binarize,
                                    std::uint64_t binarize_seed, const LatentGaussians& q,
                                    std::int64_t samples, const NoiseStream& noise) {
  const std::int64_t N = data.rows();
  detail::check_posteriors(vae, N, data.cols(), q);
  FELBO_CHECK(samples >= 1 && samples <= kMaxNoiseSamples, "samples must be between 1 and {}, got {}",
              kMaxNoiseSamples, samples);
  const Exec exec = with_float_products(on);
  const detail::EvaluationTile most = detail::evaluation_tile(vae.config(), N, samples);
  detail::LocalTile<Exec> tile(exec, vae, parameters, data, most.data, most.samples, false);
  PosteriorValues values;
  for (std::int64_t first = 0; first < N; first += most.data) {
    const std::int64_t B = std::min(most.data, N - first);
    tile.place(first, B, binarize, binarize_seed, q);
    std::vector<detail::PosteriorSums> sums(static_cast<std::size_t>(B), detail::PosteriorSums(samples));
    std::vector<float> kl;
    for (std::int64_t s = 0; s < samples; s += most.samples) {
      const auto S = static_cast<int>(std::min(most.samples, samples - s));
      tile.decode(noise, s, S, false, 1.0f);
      const auto terms = tile.terms(S);
      for (std::size_t r = 0; r < terms.log_px_given_z.size(); ++r) {
        const auto log_px_given_z = static_cast<double>(terms.log_px_given_z[r]);
        sums[r / static_cast<std::size_t>(S)].add(log_px_given_z,
                                                  log_px_given_z + static_cast<double>(terms.log_pz[r]) -
                                                      static_cast<double>(terms.log_qz_given_x[r]));
      }
      kl = terms.kl;
    }
    for (std::size_t b = 0; b < sums.size(); ++b) sums[b].finish(static_cast<double>(kl[b]), values);
  }
  return values;
}

}  // namespace felbo
