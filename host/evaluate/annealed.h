// log p(x) by annealed importance sampling (Neal, Statistics and Computing 11, 2001; for decoders Wu, Burda,
// Salakhutdinov and Grosse, ICLR 2017): chains go from a start q0(z) to the posterior through
//
//   pi_t(z) = q0(z) (p(z) p(x|z) / q0(z))^beta_t,   0 = beta_0 < ... < beta_T = 1
//
// and their weights, log w = sum_t (beta_t - beta_t-1) log (p(z) p(x|z) / q0(z)) at z_t-1, have E[w] = p(x),
// z_0 ~ q0 and z_t from z_t-1 by a transition that leaves pi_t as it is. So log 1/C sum_c w_c is a lower
// bound on log p(x) in expectation. q0 is the prior unless a Gaussian is given for each datum.
//
// Backwards, from an exact draw of p(z|x), E[1/w] = 1/p(x), and -log 1/C sum_c 1/w_c is an upper bound
// (Grosse, Ancha and Roy, "Measuring the reliability of MCMC inference with bidirectional Monte Carlo",
// NeurIPS 2016). Data that were drawn from the model have such a draw: the z that made them.
//
// A transition is Hamiltonian Monte Carlo (Neal, Handbook of MCMC, 2011) with L leapfrog steps, in units of
// q0's standard deviation. Steps that adapt to their own chain make it another chain than the one that the
// theorem is about. So two pilot chains a datum go ahead of each transition: the logarithm of the step rises
// by 0.1 (a - 0.65), a their probability of acceptance, and the chains that count, forwards and backwards,
// take the pilots' steps, times a factor uniform in 0.8 ... 1.2 so that no trajectory closes. Given x and the
// pilots the transitions are fixed in advance: no bias comes from adapting.
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "host/data/resident_data.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/importance.h"
#include "host/evaluate/latent_prior.h"
#include "host/evaluate/share_done.h"
#include "host/model/vae.h"

namespace felbo {

inline constexpr std::int64_t kMostChains = 4096;
inline constexpr std::int64_t kMostTemperatures = 1'000'000;
inline constexpr std::int64_t kMostLeapfrog = 1000;
/// Chains a datum that find the steps and give no weight.
inline constexpr std::int64_t kPilots = 2;

struct AnnealedOptions {
  std::int64_t temperatures = 1000;  // T
  std::int64_t chains = 16;          // C, chains a datum
  int leapfrog = 10;                 // L, steps of a trajectory
  Binarize binarize = Binarize::kNone;
  std::uint64_t seed = 0;

  /// Throws std::invalid_argument unless T, C and L are at least 1, T at most kMostTemperatures, C at most
  /// kMostChains and L at most kMostLeapfrog.
  void check() const;
};

/// beta_0 ... beta_T, (T + 1): a logistic function of t between -4 and 4, moved to go from 0 to 1.
std::vector<double> sigmoid_schedule(std::int64_t temperatures);

/// log p(x|z) (R) and its gradient by z (R, Z) at the rows of z.
struct DecodedLatents {
  std::vector<float> log_px_given_z;
  std::vector<float> grad_z;
};
/// From z (R, Z).
using LatentDecoder = std::function<void(const std::vector<float>& z, DecodedLatents& out)>;

/// The weights of B data.
struct AnnealedWeights {
  std::vector<double> forward;   // (B, C) log w
  std::vector<double> backward;  // (B, C) log w, from exact draws; empty unless asked for
  double accepted = 0.0;         // sum over transitions forward of the mean chance to be accepted
};

/// Data first_datum ... first_datum + B - 1: their number names the noise.
struct AnnealedTile {
  std::int64_t first_datum = 0;
  std::int64_t data = 0;
  LatentGaussians start;         // (B, Z) q0 of each datum; empty: the prior
  std::span<const float> exact;  // (B, Z) draws from p(z|x) to go back from; may be empty
};

/// Runs the chains of a tile: C + kPilots a datum forwards (row b (C + kPilots) + c of what `decode` is
/// given), then C a datum backwards (row b C + c). `tell` hears of the share of this tile.
AnnealedWeights anneal_tile(const AnnealedOptions& options, const LatentPrior& prior,
                            const AnnealedTile& tile, const LatentDecoder& decode, const ShareDone& tell);

/// log p(x) of N data, nats, summed over dimensions.
struct AnnealedEvaluation {
  Estimate log_px;                                  // from below
  std::vector<double> log_px_of_datum;              // (N)
  std::vector<WeightDiagnostics> weights_of_datum;  // (N) of the C weights forwards
  Estimate upper;                                   // from above; of exact draws only, as the next two
  Estimate sandwich;                                // upper - log_px, paired
  std::vector<double> upper_of_datum;               // (N)
  double acceptance = 0.0;                          // mean chance of a trajectory to be accepted
  std::int64_t count = 0;
};

/// Joins the weights of all data, tile by tile.
class AnnealedSums {
 public:
  explicit AnnealedSums(std::int64_t chains) : chains_(chains) {}
  void add(const AnnealedWeights& weights);
  /// `transitions`: those of a chain, forwards.
  AnnealedEvaluation finish(std::int64_t transitions);

 private:
  std::int64_t chains_;
  double accepted_ = 0.0;
  AnnealedEvaluation result_;
};

namespace detail {

/// log p(x|z) and its gradient by z for the rows of a tile.
template <class Exec>
class TileDecoder {
 public:
  TileDecoder(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
              const ResidentData<Exec>& part, std::int64_t data, std::int64_t rows)
      : exec_(exec),
        vae_(vae),
        parameters_(parameters),
        work_(exec, vae.decoder(), rows, true),
        x_(exec, data * vae.config().dimensions),
        z_(exec, rows * vae.config().latent),
        grad_z_(exec, rows * vae.config().latent),
        log_px_given_z_(exec, rows),
        grad_own_(exec, vae.own(parameters).size),
        scratch_(exec, likelihood_scratch(vae.config().likelihood, rows, vae.config().dimensions)),
        clamped_(exec, rows),
        tiles_(exec, part, data, part.rows()) {}

  /// Takes data first ... first + B - 1, the tile that follows the last one or the first.
  void gather(std::int64_t first, std::int64_t B, Binarize binarize, std::uint64_t seed) {
    data_ = B;
    tiles_.gather_rows(first, binarize, seed, x());
  }

  /// z (B S, Z) for any S that there is room for.
  void operator()(const std::vector<float>& z, DecodedLatents& out) const {
    const std::int64_t Z = vae_.config().latent, R = static_cast<std::int64_t>(z.size()) / Z;
    upload(exec_, z, z_.view());
    forward(exec_, vae_.decoder(), parameters_, vae_.table(), z_.matrix(R, Z), work_);
    const View<float, 2> output = work_.result(vae_.decoder(), R);
    likelihood(exec_, vae_.config().likelihood,
               {.x = x(),
                .samples = static_cast<int>(R / data_),
                .output = output,
                .own = vae_.own(parameters_),
                .want_gradient = true,
                .grad_scale = 1.0f,
                .log_px_given_z = log_px_given_z_.vector(R),
                .grad_own = grad_own_.view(),
                .scratch = scratch_.view(),
                .clamped = clamped_.vector(R)});
    backward(exec_, vae_.decoder(), parameters_, vae_.table(), z_.matrix(R, Z), work_, output, {},
             grad_z_.matrix(R, Z));
    out.log_px_given_z.resize(static_cast<std::size_t>(R));
    out.grad_z.resize(z.size());
    download(exec_, log_px_given_z_.vector(R), out.log_px_given_z);
    download(exec_, grad_z_.vector(R * Z), out.grad_z);
  }

 private:
  View<float, 2> x() const { return x_.matrix(data_, vae_.config().dimensions); }

  const Exec& exec_;
  const Vae& vae_;
  View<const float, 1> parameters_;
  MlpWorkspace<Exec> work_;
  Buffer<Exec, float> x_;           // (B, X)
  Buffer<Exec, float> z_, grad_z_;  // (R, Z)
  Buffer<Exec, float> log_px_given_z_, grad_own_, scratch_;
  Buffer<Exec, std::int32_t> clamped_;
  RowTiles<Exec> tiles_;
  std::int64_t data_ = 0;
};

/// Data whose chains go through the decoder at once.
std::int64_t annealed_tile(const VaeConfig& config, std::int64_t rows, std::int64_t chains);

/// Rows [first, first + count) of a host matrix of `cols` columns, empty if it is.
std::vector<float> rows_of(const std::vector<float>& all, std::int64_t first, std::int64_t count,
                           std::int64_t cols);

}  // namespace detail

/// Anneals all rows of the data, a tile after another, with products in float. With `exact` (N, Z), draws of
/// p(z|x), also backwards. Memory grows neither with T (but for a step a datum of a tile and temperature, on
/// the host) nor with N. The noise depends on (seed, datum, chain, temperature) alone, so results are the
/// same for any number of threads. Throws std::invalid_argument if the options, the data or the shapes do not
/// fit, and for the prior uniform.
template <class Exec>
AnnealedEvaluation anneal(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                          const ResidentData<Exec>& data, const AnnealedOptions& options,
                          const LatentGaussians& start = {}, const std::vector<float>& exact = {},
                          const ShareDone& tell = {}) {
  const std::int64_t N = data.rows(), Z = vae.config().latent, C = options.chains;
  options.check();
  FELBO_CHECK(N >= 1, "there are no rows to anneal");
  FELBO_CHECK(data.cols() == vae.config().dimensions, "the data have {} columns, the model was made for {}",
              data.cols(), vae.config().dimensions);
  for (const std::vector<float>* given : {&start.mu, &start.log_var, &exact})
    FELBO_CHECK(given->empty() || static_cast<std::int64_t>(given->size()) == N * Z,
                "{} numbers for {} data of {} latent dimensions", given->size(), N, Z);
  FELBO_CHECK(start.mu.size() == start.log_var.size(), "{} means and {} log-variances to start from",
              start.mu.size(), start.log_var.size());
  const Exec exec = with_float_products(on);
  const std::int64_t most = detail::annealed_tile(vae.config(), N, C);
  detail::TileDecoder<Exec> decoder(exec, vae, parameters, data, most, most * (C + kPilots));
  const LatentPrior prior = latent_prior(exec, vae, parameters);
  AnnealedSums sums(C);
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t B = std::min(most, N - first);
    decoder.gather(first, B, options.binarize, options.seed);
    const std::vector<float> back = detail::rows_of(exact, first, B, Z);
    const AnnealedTile tile{
        .first_datum = first,
        .data = B,
        .start = {detail::rows_of(start.mu, first, B, Z), detail::rows_of(start.log_var, first, B, Z)},
        .exact = back};
    sums.add(anneal_tile(
        options, prior, tile, [&](const std::vector<float>& z, DecodedLatents& out) { decoder(z, out); },
        [&](double share) {
          if (tell)
            tell((static_cast<double>(first) + share * static_cast<double>(B)) / static_cast<double>(N));
        }));
  }
  return sums.finish(options.temperatures - 1);
}

}  // namespace felbo
