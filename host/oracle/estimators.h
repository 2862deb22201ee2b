// Every estimator of felbo, run on a device and compared with the oracle: the ELBO and its terms, the
// importance-weighted bound, annealed importance sampling from below and from above, what a training step
// reports, and its gradients.
//
// Standard errors are the exact ones wherever there is a closed form of the estimate's variance, so an
// estimator cannot pass by being noisy. Those of gradients are measured over the steps; those of annealing
// and of nonlinear models over the weights, and there nothing passes that is off by more than kMostNats.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "host/evaluate/annealed.h"
#include "host/evaluate/evaluate.h"
#include "host/oracle/comparison.h"
#include "host/oracle/nonlinear_case.h"
#include "host/oracle/oracle_case.h"
#include "host/train/training_step.h"

namespace felbo::oracle {

/// What an estimate of log p(x) whose standard error is measured may be off by, and how wide the sandwich of
/// annealing may be: nats a datum.
inline constexpr double kMostNats = 0.05, kWidestSandwich = 0.2;

struct OracleOptions {
  std::uint64_t seed = 0;           // of models, data and noise
  std::int64_t data = 64;           // data that many samples are taken of
  std::int64_t samples = 4096;      // samples a datum
  std::int64_t single = 16384;      // data that one sample is taken of
  std::int64_t gradient_data = 32;  // data a training step
  int gradient_samples = 64;        // samples a datum and step
  int gradient_steps = 800;
  std::int64_t annealed_data = 48;  // data that are annealed and of nonlinear models; 0: neither of them
  AnnealedOptions annealed{.temperatures = 500, .chains = 32, .leapfrog = 4};
  std::int64_t nonlinear_samples = 5000;  // of the bound of nonlinear models
  double most_nats = kMostNats;
  double widest_sandwich = kWidestSandwich;
};

/// So few draws that an emulated GPU has them in seconds, and margins as wide as that needs: what is left is
/// whether a device runs all of it and no figure is grossly wrong.
OracleOptions quick_options(std::uint64_t seed);

namespace detail {

/// Means over the data of a model, by the oracle.
struct ExactMeans {
  double log_px = 0.0, elbo = 0.0, log_px_given_z = 0.0, kl = 0.0;
  double variance_log_px_given_z = 0.0, variance_log_weight = 0.0;  // of one sample
  double relative_weight_variance = 0.0;

  explicit ExactMeans(const OracleModel& model);
};

/// What float arithmetic may do to a mean of log-densities: 16 roundings of the magnitude of all terms, about
/// 3 a dimension and 3 a latent one.
double rounding_of(const VaeConfig& config);
inline double rounding_of(const OracleModel& model) { return rounding_of(model.vae.config()); }

/// The bias of log-mean-exp over K samples, -v / (2 K) to first order, v the relative variance of the
/// weights; twice that.
double weight_bias(const ExactMeans& exact, std::int64_t samples);

/// Gradients of T steps, compared with the exact one, a tensor at a time: its part along the exact gradient,
/// and the element that is furthest off. `of_step` holds T flat gradients of the ELBO.
std::vector<Comparison> compare_gradients(const OracleModel& model, const std::vector<double>& exact,
                                          const std::vector<std::vector<float>>& of_step);

/// Mean of an estimate of log p(x) over data, by its weights: `exact` (N), `weights` (N) as measured.
Comparison compare_log_px(const std::string& model, const std::string& name, double mean,
                          const std::vector<double>& exact, const std::vector<WeightDiagnostics>& weights,
                          double rounding, double most_nats);

/// log p(x) from both sides.
std::vector<Comparison> compare_annealed_values(const std::string& model, const AnnealedEvaluation& annealed,
                                                const std::vector<double>& exact, double rounding,
                                                const OracleOptions& options);

template <class Exec>
Evaluation evaluate_model(const Exec& exec, const OracleModel& model, std::int64_t samples,
                          std::uint64_t seed) {
  const Buffer<Exec, float> parameters(exec, model.vae.table().size());
  upload(exec, model.flat, parameters.view());
  const ResidentData<Exec> data(exec, model.data);
  return evaluate(exec, model.vae, View<const float, 1>(parameters.view()), data,
                  {.samples = samples, .seed = seed});
}

/// With q(z|x) = p(z|x) every weight is p(x): any number of samples gives log p(x) of each datum, up to
/// rounding. The value is that of the datum that is furthest off.
template <class Exec>
void compare_exact_weights(const Exec& exec, const OracleCase& which, const OracleOptions& options,
                           std::vector<Comparison>& out) {
  const OracleModel model = make_oracle_model(which, Encoder::kExact, options.data, options.seed);
  for (const std::int64_t samples : {1, 7, 64}) {
    const Evaluation e = evaluate_model(exec, model, samples, options.seed);
    Comparison worst{.model = model.name,
                     .name = fmt::format("log p(x), K={}, worst datum", samples),
                     .rounding = rounding_of(model)};
    for (std::int64_t n = 0; n < model.data.rows; ++n) {
      Comparison one = worst;
      one.value = e.log_px_of_datum[static_cast<std::size_t>(n)];
      one.exact = model.oracle.log_px(model.x(n));
      if (n == 0 || !(std::abs(one.difference()) <= std::abs(worst.difference()))) worst = one;
    }
    out.push_back(worst);
  }
}

/// Many samples of few data: the terms of the ELBO, and the bound close to log p(x).
template <class Exec>
void compare_many_samples(const Exec& exec, const OracleCase& which, const OracleOptions& options,
                          std::vector<Comparison>& out) {
  const OracleModel model = make_oracle_model(which, Encoder::kOther, options.data, options.seed);
  const ExactMeans exact(model);
  const Evaluation e = evaluate_model(exec, model, options.samples, options.seed);
  const double draws = double(options.data * options.samples);
  const double error = std::sqrt(exact.variance_log_px_given_z / draws);
  const double rounding = rounding_of(model);
  const auto add = [&](const char* name, double value, double want, double standard_error, double slack) {
    out.push_back({model.name, name, value, want, standard_error, slack});
  };
  add("E_q[log p(x|z)]", e.log_px_given_z.mean, exact.log_px_given_z, error, rounding);
  add("KL(q(z|x) || p(z))", e.kl.mean, exact.kl, 0.0, rounding);
  add("ELBO, KL in closed form", e.elbo.mean, exact.elbo, error, rounding);
  add(fmt::format("log p(x), K={}", options.samples).c_str(), e.log_px.mean, exact.log_px,
      std::sqrt(exact.relative_weight_variance / draws), rounding + weight_bias(exact, options.samples));
}

/// Few samples of many data: the ELBO by log-weights alone, and a bound between it and log p(x).
template <class Exec>
void compare_few_samples(const Exec& exec, const OracleCase& which, const OracleOptions& options,
                         std::vector<Comparison>& out) {
  const OracleModel model = make_oracle_model(which, Encoder::kOther, options.single, options.seed);
  const ExactMeans exact(model);
  const double error = std::sqrt(exact.variance_log_weight / double(options.single));
  const double rounding = rounding_of(model);
  const Evaluation one = evaluate_model(exec, model, 1, options.seed);
  out.push_back({model.name, "ELBO, by log-weights (K=1)", one.log_px.mean, exact.elbo, error, rounding});
  // A mean of weights scatters less than one of them, so its standard error is below that for K = 1.
  const Evaluation five = evaluate_model(exec, model, 5, options.seed);
  out.push_back({model.name, "bound, K=5, under log p(x)", five.log_px.mean, exact.log_px, error, rounding,
                 Side::kAtMost});
  out.push_back({model.name, "bound, K=5, over the ELBO", five.log_px.mean, exact.elbo, error, rounding,
                 Side::kAtLeast});
}

template <class Exec>
AnnealedEvaluation anneal_model(const Exec& exec, const Vae& vae, const std::vector<float>& flat,
                                const DataPart& part, const std::vector<float>& exact,
                                const OracleOptions& options) {
  const Buffer<Exec, float> parameters(exec, vae.table().size());
  upload(exec, flat, parameters.view());
  const ResidentData<Exec> data(exec, part);
  AnnealedOptions annealed = options.annealed;
  annealed.seed = options.seed;
  return anneal(exec, vae, View<const float, 1>(parameters.view()), data, annealed, {}, exact);
}

/// Annealing forwards; there are no exact draws of p(z|x), because the data are not the model's own.
template <class Exec>
void compare_annealed(const Exec& exec, const OracleCase& which, const OracleOptions& options,
                      std::vector<Comparison>& out) {
  const OracleModel model = make_oracle_model(which, Encoder::kOther, options.annealed_data, options.seed);
  const AnnealedEvaluation e = anneal_model(exec, model.vae, model.flat, model.data, {}, options);
  std::vector<double> exact;
  for (std::int64_t n = 0; n < model.data.rows; ++n) exact.push_back(model.oracle.log_px(model.x(n)));
  for (Comparison& c : compare_annealed_values(model.name, e, exact, rounding_of(model), options))
    out.push_back(std::move(c));
}

/// The bound of many samples, and annealing both ways.
template <class Exec>
void compare_nonlinear(const Exec& exec, NonlinearKind kind, const OracleOptions& options,
                       std::vector<Comparison>& out) {
  const NonlinearModel model = make_nonlinear_model(kind, options.annealed_data, options.seed);
  const double rounding = rounding_of(model.vae.config()) + model.exact_error;
  {
    const Buffer<Exec, float> parameters(exec, model.vae.table().size());
    upload(exec, model.flat, parameters.view());
    const ResidentData<Exec> data(exec, model.data);
    const Evaluation e = evaluate(exec, model.vae, View<const float, 1>(parameters.view()), data,
                                  {.samples = options.nonlinear_samples, .seed = options.seed});
    out.push_back(compare_log_px(model.name, fmt::format("log p(x), K={}", options.nonlinear_samples),
                                 e.log_px.mean, model.exact_log_px, e.weights_of_datum, rounding,
                                 options.most_nats));
  }
  const AnnealedEvaluation e = anneal_model(exec, model.vae, model.flat, model.data, model.z, options);
  for (Comparison& c : compare_annealed_values(model.name, e, model.exact_log_px, rounding, options))
    out.push_back(std::move(c));
}

/// Training steps at a learning rate of 0: what they report, and their gradients, at fixed parameters.
template <class Exec>
void compare_training_step(const Exec& exec, const OracleCase& which, const OracleOptions& options,
                           std::vector<Comparison>& out) {
  const OracleModel model = make_oracle_model(which, Encoder::kOther, options.gradient_data, options.seed);
  const ExactMeans exact(model);
  const ResidentData<Exec> data(exec, model.data);
  ModelState<Exec> state(exec, model.vae);
  upload(exec, model.flat, state.parameters.view());
  TrainingStep<Exec> step(
      exec, model.vae, data, state,
      {.max_batch = options.gradient_data, .samples = options.gradient_samples, .seed = options.seed});
  std::vector<std::uint32_t> order(static_cast<std::size_t>(options.gradient_data));
  std::iota(order.begin(), order.end(), 0u);
  const std::vector<StepRates> rate{{.lr = 0.0, .beta = which.beta}};
  std::vector<std::vector<float>> gradients;
  for (int t = 0; t < options.gradient_steps; ++t) {
    step.begin(order, rate);
    step();
    gradients.push_back(to_host(exec, step.gradient()));
    for (float& g : gradients.back()) g = -g;  // of the loss: of the ELBO
  }
  const TrainingTotals totals = step.totals();
  const double visits = double(totals.count), draws = visits * options.gradient_samples;
  const double error = std::sqrt(exact.variance_log_px_given_z / draws), rounding = rounding_of(model);
  out.push_back({model.name, "training: E_q[log p(x|z)]", totals.log_px_given_z / visits,
                 exact.log_px_given_z, error, rounding});
  out.push_back({model.name, "training: KL", totals.kl / visits, exact.kl, 0.0, rounding});
  out.push_back({model.name, "training: ELBO", totals.elbo / visits, exact.elbo, error, rounding});
  const std::vector<double> want =
      flat_gradient(model.vae, model.oracle.gradient(model.rows(), double(which.beta)));
  for (Comparison& c : compare_gradients(model, want, gradients)) out.push_back(std::move(c));
}

}  // namespace detail

/// Runs every estimator on every model of oracle_cases(), and those of log p(x) on the nonlinear ones, on
/// `exec`, and calls `tell` with each comparison as it comes.
template <class Exec, class Tell>
OracleReport compare_estimators(const Exec& exec, const OracleOptions& options, const Tell& tell) {
  OracleReport report;
  const auto take = [&](std::vector<Comparison> results) {
    for (Comparison& c : results) {
      report.results.push_back(std::move(c));
      tell(report.results.back());
    }
  };
  for (const OracleCase& which : oracle_cases()) {
    std::vector<Comparison> results;
    detail::compare_exact_weights(exec, which, options, results);
    detail::compare_many_samples(exec, which, options, results);
    detail::compare_few_samples(exec, which, options, results);
    if (options.annealed_data > 0) detail::compare_annealed(exec, which, options, results);
    detail::compare_training_step(exec, which, options, results);
    take(std::move(results));
  }
  for (const NonlinearKind kind :
       {NonlinearKind::kGaussianGrid, NonlinearKind::kBernoulliGrid, NonlinearKind::kMixture}) {
    if (options.annealed_data == 0) break;
    std::vector<Comparison> results;
    detail::compare_nonlinear(exec, kind, options, results);
    take(std::move(results));
  }
  return report;
}

}  // namespace felbo::oracle
