#include "host/oracle/estimators.h"

#include <fmt/format.h>

namespace felbo::oracle {

OracleOptions quick_options(std::uint64_t seed) {
  return {.seed = seed,
          .data = 8,
          .samples = 64,
          .single = 64,
          .gradient_data = 4,
          .gradient_samples = 4,
          .gradient_steps = 20,
          .annealed_data = 4,
          .annealed = {.temperatures = 20, .chains = 8, .leapfrog = 2},
          .nonlinear_samples = 256,
          .most_nats = 1.0,
          .widest_sandwich = 2.0};
}

namespace detail {
namespace {

constexpr double kEps = std::numeric_limits<float>::epsilon();

/// Mean and standard error of numbers added one by one.
struct Running {
  double sum = 0.0, squares = 0.0, first = 0.0;
  std::int64_t count = 0;

  void add(double v) {
    if (count++ == 0) first = v;  // sums of differences from it: no cancellation of large squares
    sum += v - first;
    squares += (v - first) * (v - first);
  }
  double mean() const { return first + sum / double(count); }
  double standard_error() const {
    const double n = double(count);
    return std::sqrt(std::max(0.0, squares - sum * sum / n) / (n * (n - 1.0)));
  }
};

}  // namespace

ExactMeans::ExactMeans(const OracleModel& model) {
  const double share = 1.0 / double(model.data.rows);
  for (std::int64_t n = 0; n < model.data.rows; ++n) {
    const Vector x = model.x(n);
    const Moments reconstruction = model.oracle.log_px_given_z(x), weight = model.oracle.log_weight(x);
    log_px += share * model.oracle.log_px(x);
    log_px_given_z += share * reconstruction.mean;
    kl += share * model.oracle.kl_to_prior(x);
    elbo += share * weight.mean;
    variance_log_px_given_z += share * reconstruction.variance;
    variance_log_weight += share * weight.variance;
    relative_weight_variance += share * model.oracle.relative_weight_variance(x);
  }
}

double rounding_of(const VaeConfig& config) {
  return 16.0 * kEps * 3.0 * double(config.dimensions + config.latent);
}

double weight_bias(const ExactMeans& exact, std::int64_t samples) {
  return exact.relative_weight_variance / double(samples);
}

Comparison compare_log_px(const std::string& model, const std::string& name, double mean,
                          const std::vector<double>& exact, const std::vector<WeightDiagnostics>& weights,
                          double rounding, double most_nats) {
  const double count = double(exact.size());
  double bias = 0.0;  // of the log of a mean: half its squared standard error, to first order; twice that
  for (const WeightDiagnostics& w : weights) bias += w.standard_error * w.standard_error / count;
  const double slack = std::min(rounding + bias, most_nats);
  return {.model = model,
          .name = name,
          .value = mean,
          .exact = std::accumulate(exact.begin(), exact.end(), 0.0) / count,
          .standard_error = summarize(weights).sampling_error,
          .rounding = slack,
          .most = most_nats};
}

std::vector<Comparison> compare_annealed_values(const std::string& model, const AnnealedEvaluation& annealed,
                                                const std::vector<double>& exact, double rounding,
                                                const OracleOptions& options) {
  const std::string of =
      fmt::format("annealed, T={}, C={}", options.annealed.temperatures, options.annealed.chains);
  std::vector<Comparison> out{compare_log_px(model, of, annealed.log_px.mean, exact,
                                             annealed.weights_of_datum, rounding, options.most_nats)};
  if (annealed.upper_of_datum.empty()) return out;
  Comparison above = out.front();
  above.name = "... backwards, from above";
  above.value = annealed.upper.mean;
  // Chains backwards share their start, so the spread over data tells their error, and not that of weights.
  above.standard_error = annealed.sandwich.standard_error;
  out.push_back(above);
  out.push_back({.model = model,
                 .name = "... above - below",
                 .value = annealed.sandwich.mean,
                 .exact = 0.0,
                 .rounding = options.widest_sandwich});
  return out;
}

std::vector<Comparison> compare_gradients(const OracleModel& model, const std::vector<double>& exact,
                                          const std::vector<std::vector<float>>& of_step) {
  std::vector<Comparison> out;
  for (const ParameterEntry& entry : model.vae.table().entries()) {
    const auto begin = static_cast<std::size_t>(entry.offset),
               end = begin + static_cast<std::size_t>(entry.size);
    double square = 0.0;
    for (std::size_t i = begin; i < end; ++i) square += exact[i] * exact[i];
    const double length = std::sqrt(square);
    // Sums over data and samples in float, of terms larger than their sum.
    const double rounding = 64.0 * kEps * (1.0 + length);
    Running along;
    for (const std::vector<float>& gradient : of_step) {
      double dot = 0.0;
      for (std::size_t i = begin; i < end; ++i) dot += double(gradient[i]) * exact[i];
      along.add(dot / length);
    }
    out.push_back(
        {model.name, "gradient of " + entry.name, along.mean(), length, along.standard_error(), rounding});
    Comparison worst;
    double most = -1.0;
    for (std::size_t i = begin; i < end; ++i) {
      Running element;
      for (const std::vector<float>& gradient : of_step) element.add(double(gradient[i]));
      const Comparison one{model.name, "... its worst element",  element.mean(),
                           exact[i],   element.standard_error(), rounding};
      const double score = std::abs(one.difference()) / one.allowed();
      if (!(score <= most)) {  // a NaN is the worst
        worst = one;
        most = score;
      }
    }
    out.push_back(worst);
  }
  return out;
}

}  // namespace detail
}  // namespace felbo::oracle
