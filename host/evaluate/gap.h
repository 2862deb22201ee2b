// How far the ELBO lies below log p(x), and why (Cremer, Li and Duvenaud, "Inference suboptimality in
// variational autoencoders", ICML 2018):
//
//   log p(x) - ELBO(q)  =  log p(x) - ELBO(q*)   approximation gap: no q of the family is the posterior
//                       +  ELBO(q*) - ELBO(q)    amortisation gap: the encoder does not give the best of them
//
// q* is the family's best for the datum, found by local_posterior.h. log p(x) is annealed from q*
// (annealed.h), which is close to the posterior already; what annealing misses, the estimator error, is on
// data simulated from the model at most the distance between the bounds from below and above, in expectation.
#pragma once

#include <optional>
#include <vector>

#include "host/evaluate/annealed.h"
#include "host/evaluate/generate.h"
#include "host/evaluate/local_posterior.h"
#include "host/evaluate/simulate.h"

namespace felbo {

struct GapOptions {
  AnnealedOptions annealed{.temperatures = 100};
  LocalFitOptions local;
  std::int64_t samples = 1000;   // of z a datum, of both ELBOs
  std::int64_t simulated = 100;  // data that log p(x) is held from both sides on; 0: none
  Binarize binarize = Binarize::kNone;
  std::uint64_t seed = 0;  // of all of it
};

/// All in nats a datum.
struct GapEvaluation {
  // (N) each.
  std::vector<double> log_px, elbo, elbo_best;
  std::vector<double> bound_best;           // importance-weighted bound from the best q: a second opinion
  std::vector<WeightDiagnostics> annealed;  // the weights of log_px

  Estimate mean_log_px, mean_elbo, mean_elbo_best, mean_bound_best;
  Estimate gap, approximation, amortisation;  // means of differences of each datum
  // Standard errors of the three means that come from samples and chains alone, over and above which the data
  // are a sample.
  double gap_sampling = 0.0, approximation_sampling = 0.0, amortisation_sampling = 0.0;
  double log_px_sampling = 0.0, elbo_sampling = 0.0,
         best_sampling = 0.0;  // likewise of those they are made of
  double acceptance = 0.0;
  std::int64_t count = 0;
  LatentGaussians best;                        // the q*
  std::optional<AnnealedEvaluation> sandwich;  // of the simulated data
};

namespace detail {

/// Of each datum the q whose ELBO is higher: where the encoder is right already the fit's noise would lose a
/// little.
LatentGaussians better_of(const LatentGaussians& a, const PosteriorValues& of_a, const LatentGaussians& b,
                          const PosteriorValues& of_b);

/// Fills in everything that follows from the values of each datum.
void finish_gap(const PosteriorValues& of_encoder, const PosteriorValues& of_best,
                const AnnealedEvaluation& annealed, GapEvaluation& gap);

/// Which part of the work is under way, "fitting q" and so on, and its share.
using PartDone = std::function<void(const char* part, double share)>;

inline ShareDone part_of(const PartDone& tell, const char* part) {
  return [&tell, part](double share) {
    if (tell) tell(part, share);
  };
}

/// The encoder's q of all rows.
template <class Exec>
LatentGaussians encoded_posteriors(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                                   const ResidentData<Exec>& data, Binarize binarize, std::uint64_t seed) {
  Encoded encoded = encode(exec, vae, parameters, data, data.rows(), binarize, seed, false);
  return {std::move(encoded.mu), std::move(encoded.log_var)};
}

/// The best q of each row: the fitted one or the encoder's `q`, chosen by samples of their own, which no
/// figure is made of.
template <class Exec>
LatentGaussians best_posteriors(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                                const ResidentData<Exec>& data, const GapOptions& options,
                                const LatentGaussians& q, const ShareDone& tell) {
  const LatentGaussians fitted =
      fit_posteriors(exec, vae, parameters, data, options.binarize, options.seed, q, options.local, tell);
  const NoiseStream noise{options.seed, static_cast<std::uint32_t>(options.local.steps) + 1,
                          Purpose::kLocalLatent};
  const auto values = [&](const LatentGaussians& of) {
    return evaluate_posteriors(exec, vae, parameters, data, options.binarize, options.seed, of,
                               options.samples, noise);
  };
  return better_of(q, values(q), fitted, values(fitted));
}

/// log p(x) of data drawn from the model, from both sides, as measure_gap() takes it.
template <class Exec>
AnnealedEvaluation gap_sandwich(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                                GapOptions options, const PartDone& tell) {
  options.binarize = options.annealed.binarize = Binarize::kNone;
  const SimulatedData simulated = simulate(exec, vae, parameters, options.simulated, options.seed);
  const ResidentData<Exec> data(exec, simulated.data);
  const LatentGaussians q = encoded_posteriors(exec, vae, parameters, data, Binarize::kNone, options.seed);
  const LatentGaussians best =
      best_posteriors(exec, vae, parameters, data, options, q, part_of(tell, "fitting q to simulated data"));
  return anneal(exec, vae, parameters, data, options.annealed, best, simulated.z,
                part_of(tell, "annealing both ways"));
}

}  // namespace detail

/// Takes the gap of all rows of the data apart. Bits do not depend on the number of threads. Throws
/// std::invalid_argument if the options or the data do not fit.
template <class Exec>
GapEvaluation measure_gap(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                          const ResidentData<Exec>& data, const GapOptions& given,
                          const detail::PartDone& tell = {}) {
  GapOptions options = given;
  options.annealed.binarize = options.binarize;
  options.annealed.seed = options.local.seed = options.seed;
  options.annealed.check();
  options.local.check();
  const auto values = [&](const LatentGaussians& q) {
    return evaluate_posteriors(exec, vae, parameters, data, options.binarize, options.seed, q,
                               options.samples, evaluation_noise(options.seed));
  };
  GapEvaluation gap;
  const LatentGaussians q =
      detail::encoded_posteriors(exec, vae, parameters, data, options.binarize, options.seed);
  const PosteriorValues of_encoder = values(q);
  gap.best =
      detail::best_posteriors(exec, vae, parameters, data, options, q, detail::part_of(tell, "fitting q"));
  const PosteriorValues of_best = values(gap.best);
  const AnnealedEvaluation annealed =
      anneal(exec, vae, parameters, data, options.annealed, gap.best, {}, detail::part_of(tell, "annealing"));
  detail::finish_gap(of_encoder, of_best, annealed, gap);
  if (options.simulated > 0) gap.sandwich = detail::gap_sandwich(exec, vae, parameters, options, tell);
  return gap;
}

}  // namespace felbo
