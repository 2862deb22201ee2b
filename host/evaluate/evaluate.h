// What a model is worth on data: the ELBO and its terms, and the importance-weighted bound on log p(x).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "host/data/resident_data.h"
#include "host/evaluate/importance.h"
#include "host/evaluate/latent.h"
#include "host/model/latent.h"
#include "host/model/vae.h"
#include "kernels/objective/objective.h"

namespace felbo {

/// A mean over data in nats a datum (summed over dimensions), with the standard error that comes from the
/// data being a sample: the standard deviation over data divided by sqrt(N). NaN for a single datum.
struct Estimate {
  double mean = 0.0;
  double standard_error = 0.0;
};

struct EvaluateOptions {
  std::int64_t samples = 1;  // K, samples of z a datum
  Binarize binarize = Binarize::kNone;
  std::uint64_t seed = 0;  // of the held-out binarisation, which is fixed, and of eps
};

struct Evaluation {
  Estimate elbo;  // E_q[log p(x|z)] - KL, the expectation over K samples, the KL in closed form where there
                  // is one and over the same samples elsewhere
  Estimate log_px_given_z;
  Estimate kl;
  Estimate log_px;  // log (1/K) sum_k w_k, a lower bound on log p(x) in expectation, tight as K grows
                    // (Burda, Grosse and Salakhutdinov, ICLR 2016, theorem 1)
  std::int64_t samples = 0;
  std::int64_t count = 0;               // data
  std::int64_t clamped = 0;             // log-variances that the clamp held: of each posterior, of each
                                        // decoded sample, and the likelihood's own
  std::vector<double> elbo_of_datum;    // (N)
  std::vector<double> log_px_of_datum;  // (N)
  std::vector<WeightDiagnostics>
      weights_of_datum;  // (N): how far to believe log_px_of_datum; empty for K = 1
  LatentDiagnostics latent;
};

/// Mean and standard error of `values`.
Estimate estimate(const std::vector<double>& values);

namespace detail {

/// Data and samples that go through the decoder at once: at most 1024 rows and about 16 MiB of output.
struct EvaluationTile {
  std::int64_t data;
  std::int64_t samples;
};
EvaluationTile evaluation_tile(const VaeConfig& config, std::int64_t rows, std::int64_t samples);

/// One evaluation under way: a tile of data after another, and for each a tile of samples after another.
template <class Exec>
class Evaluator {
 public:
  Evaluator(const Exec& exec, const Vae& vae, View<const float, 1> parameters, const ResidentData<Exec>& data,
            const EvaluateOptions& options)
      : exec_(exec),
        vae_(vae),
        parameters_(parameters),
        data_(data),
        options_(options),
        closed_kl_(has_closed_kl(vae.config())),
        tile_(evaluation_tile(vae.config(), data.rows(), options.samples)),
        work_(exec, vae, tile_.data, static_cast<int>(tile_.samples), false),
        latent_work_(exec, vae, tile_.data, static_cast<int>(tile_.samples), false),
        pseudo_(exec, vae.encoder(), vae.pseudo_rows(), false),
        tiles_(exec, data, tile_.data, data.rows()),
        largest_(exec, tile_.data),
        sum_(exec, tile_.data),
        latent_(vae.config().latent, vae.config().clamp) {}

  Evaluation operator()() {
    const std::int64_t N = data_.rows();
    result_.samples = options_.samples;
    result_.count = N;
    encode_pseudo_inputs();
    for (std::int64_t first = 0; first < N; first += tile_.data) {
      const std::int64_t B = std::min(tile_.data, N - first);
      encode(first, B);
      for (std::int64_t s = 0; s < options_.samples; s += tile_.samples) {
        const std::int64_t S = std::min(tile_.samples, options_.samples - s);
        decode(B, s, S);
        add_samples(B, S);
      }
      add_data(B);
    }
    result_.elbo = estimate(result_.elbo_of_datum);
    result_.log_px_given_z = estimate(log_px_given_z_of_datum_);
    result_.kl = estimate(kl_of_datum_);
    result_.log_px = estimate(result_.log_px_of_datum);
    result_.latent = latent_diagnostics();
    return std::move(result_);
  }

 private:
  /// q(z|x) of data first ... first + B - 1; no samples seen yet.
  void encode(std::int64_t first, std::int64_t B) {
    const auto count = static_cast<std::size_t>(B);
    upload(exec_, std::vector(count, -std::numeric_limits<double>::infinity()), largest_.view());
    zero(exec_, sum_.view());
    sum_log_px_given_z_.assign(count, 0.0);
    sum_kl_.assign(count, 0.0);
    if (options_.samples > 1) tails_.assign(count, WeightTail(options_.samples));
    tiles_.gather_rows(first, options_.binarize, options_.seed, x(B));
    forward(exec_, vae_.encoder(), parameters_, vae_.table(),
            encoder_input<Exec, float>(exec_, vae_, x(B), work_.input), work_.encoder);
    const View<float, 2> posterior = work_.encoder.result(vae_.encoder(), B);
    latent_.add(means_and_log_vars(
        vae_.config(),
        to_host(exec_, View<const float, 1>{posterior.data, posterior.rows * posterior.cols})));
  }

  /// The components of a VampPrior.
  void encode_pseudo_inputs() {
    if (vae_.pseudo_rows() == 0) return;
    const View<const float, 2> inputs(vae_.pseudo_inputs(parameters_).data, vae_.pseudo_rows(),
                                      vae_.config().dimensions);
    forward(exec_, vae_.encoder(), parameters_, vae_.table(), inputs, pseudo_);
  }

  LatentDiagnostics latent_diagnostics() const {
    const VaeConfig& config = vae_.config();
    LatentDiagnostics latent = latent_.diagnose();
    if (has_density_of_its_own(config)) latent.kl.clear();
    if (config.posterior.family == PosteriorFamily::kPlanarFlow) latent.variance_of_mean.clear();
    return latent;
  }

  /// log p(x|z), log p(z) and log q(z|x) of samples s ... s + S - 1 of each datum; and the KL.
  void decode(std::int64_t B, std::int64_t s, std::int64_t S) {
    const LatentDrawOf<float> draw{.posterior = work_.encoder.result(vae_.encoder(), B),
                                   .pseudo = pseudo_.result(vae_.encoder(), vae_.pseudo_rows()),
                                   .parameters = parameters_,
                                   .noise = {options_.seed, 0, Purpose::kHeldOutLatent},
                                   .datum = tiles_.datum(B),
                                   .first_sample = static_cast<std::uint32_t>(s),
                                   .samples = static_cast<int>(S),
                                   .z = work_.z.matrix(B * S, vae_.config().latent),
                                   .kl = work_.kl.vector(B),
                                   .clamped = work_.clamped_posterior.vector(B),
                                   .log_pz = work_.log_pz.vector(B * S),
                                   .log_qz_given_x = work_.log_qz_given_x.vector(B * S),
                                   .want_logs = true};
    forward(exec_, vae_.decoder(), parameters_, vae_.table(), draw_latent(exec_, vae_, draw, latent_work_),
            work_.decoder);
    likelihood(exec_, vae_.config().likelihood,
               {.x = x(B),
                .samples = static_cast<int>(S),
                .output = work_.decoder.result(vae_.decoder(), B * S),
                .own = vae_.own(parameters_),
                .want_gradient = false,
                .log_px_given_z = work_.log_px_given_z.vector(B * S),
                .scratch = work_.scratch.view(),
                .clamped = work_.clamped_likelihood.vector(B * S)});
  }

  /// Takes in the S samples a datum that decode() has left.
  void add_samples(std::int64_t B, std::int64_t S) {
    const View<const float, 1> log_px_given_z = work_.log_px_given_z.vector(B * S);
    log_mean_exp_update(exec_, {.log_px_given_z = log_px_given_z,
                                .log_pz = work_.log_pz.vector(B * S),
                                .log_qz_given_x = work_.log_qz_given_x.vector(B * S),
                                .samples = static_cast<int>(S),
                                .max = largest_.vector(B),
                                .sum = sum_.vector(B)});
    const std::vector<float> of_row = to_host(exec_, log_px_given_z);
    for (std::size_t r = 0; r < of_row.size(); ++r) {
      sum_log_px_given_z_[r / static_cast<std::size_t>(S)] += static_cast<double>(of_row[r]);
    }
    if (!closed_kl_) add_kl(B, static_cast<double>(S));
    add_weights(of_row, B, S);
    if (latent_work_.clamped_above.size() > 0)
      result_.clamped += sum_of(latent_work_.clamped_above.vector(B * S));
    if (!own_counted_) result_.clamped += sum_of(work_.clamped_likelihood.vector(B * S));
    // Parameters of the family's own are the same in every tile: they count once.
    own_counted_ = !vae_.own(parameters_).empty();
  }

  /// `times` the KL of each datum that decode() has left.
  void add_kl(std::int64_t B, double times) {
    const std::vector<float> kl = to_host(exec_, work_.kl.vector(B));
    for (std::size_t b = 0; b < kl.size(); ++b) sum_kl_[b] += static_cast<double>(kl[b]) * times;
  }

  /// The log-weights of the samples that decode() has left, into each datum's tail.
  void add_weights(const std::vector<float>& log_px_given_z, std::int64_t B, std::int64_t S) {
    if (options_.samples == 1) return;
    const std::vector<float> log_pz = to_host(exec_, work_.log_pz.vector(B * S));
    const std::vector<float> log_qz_given_x = to_host(exec_, work_.log_qz_given_x.vector(B * S));
    for (std::size_t r = 0; r < log_px_given_z.size(); ++r) {
      tails_[r / static_cast<std::size_t>(S)].add(static_cast<double>(log_px_given_z[r]) +
                                                  static_cast<double>(log_pz[r]) -
                                                  static_cast<double>(log_qz_given_x[r]));
    }
  }

  /// Takes in B data whose samples are complete.
  void add_data(std::int64_t B) {
    // One in closed form is the same for every tile of samples.
    if (closed_kl_) add_kl(B, static_cast<double>(options_.samples));
    const std::vector<double> largest = to_host(exec_, largest_.vector(B));
    const std::vector<double> sum = to_host(exec_, sum_.vector(B));
    for (std::size_t b = 0; b < largest.size(); ++b) {
      const auto samples = static_cast<double>(options_.samples);
      const double log_px_given_z = sum_log_px_given_z_[b] / samples, kl = sum_kl_[b] / samples;
      log_px_given_z_of_datum_.push_back(log_px_given_z);
      kl_of_datum_.push_back(kl);
      result_.elbo_of_datum.push_back(log_px_given_z - kl);
      result_.log_px_of_datum.push_back(log_mean_exp_value(largest[b], sum[b], options_.samples));
      if (options_.samples > 1) result_.weights_of_datum.push_back(tails_[b].diagnose());
    }
    result_.clamped += sum_of(work_.clamped_posterior.vector(B));
  }

  std::int64_t sum_of(View<const std::int32_t, 1> counts) const {
    const std::vector<std::int32_t> values = to_host(exec_, counts);
    return std::accumulate(values.begin(), values.end(), std::int64_t{0});
  }

  View<float, 2> x(std::int64_t B) const { return work_.x.matrix(B, data_.cols()); }

  const Exec& exec_;
  const Vae& vae_;
  View<const float, 1> parameters_;
  const ResidentData<Exec>& data_;
  EvaluateOptions options_;
  bool closed_kl_;
  EvaluationTile tile_;
  VaeWorkspace<Exec> work_;
  LatentWorkspace<Exec> latent_work_;
  MlpWorkspace<Exec> pseudo_;                        // the encoder's answers to pseudo-inputs
  RowTiles<Exec> tiles_;                             // row numbers name the noise
  Buffer<Exec, double> largest_, sum_;               // (B) importance weights so far
  std::vector<double> sum_log_px_given_z_, sum_kl_;  // (B) over the samples so far
  std::vector<WeightTail> tails_;                    // (B) of the importance weights so far
  LatentSums latent_;
  std::vector<double> log_px_given_z_of_datum_, kl_of_datum_;  // (N)
  bool own_counted_ = false;
  Evaluation result_;
};

}  // namespace detail

/// Evaluates on all rows, with products in float whatever those of `exec` are. Memory does not grow with the
/// number of samples but for the 3 sqrt(samples) largest weights of each datum of a tile, on the host;
/// neither the noise nor, beyond rounding, the result depends on how the work is split. Throws
/// std::invalid_argument if there are no rows, they do not fit the model or samples is not between 1 and
/// 2^26.
template <class Exec>
Evaluation evaluate(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                    const ResidentData<Exec>& data, const EvaluateOptions& options) {
  FELBO_CHECK(data.rows() >= 1, "there are no rows to evaluate on");
  FELBO_CHECK(data.cols() == vae.config().dimensions, "the data have {} columns, the model was made for {}",
              data.cols(), vae.config().dimensions);
  FELBO_CHECK(options.samples >= 1 && options.samples <= kMaxNoiseSamples,
              "samples must be between 1 and {}, got {}", kMaxNoiseSamples, options.samples);
  const Exec in_float = with_float_products(exec);
  return detail::Evaluator<Exec>(in_float, vae, parameters, data, options)();
}

}  // namespace felbo
