#include "host/evaluate/local_posterior.h"

#include <algorithm>

namespace felbo {

void LocalFitOptions::check() const {
  FELBO_CHECK(steps >= 0, "the fit of q takes 0 steps or more, got {}", steps);
  FELBO_CHECK(samples >= 1 && samples <= 1024, "the fit of q takes 1 to 1024 samples a step, got {}",
              samples);
  FELBO_CHECK(lr > 0.0 && std::isfinite(lr), "the rate of the fit of q must be positive, got {}", lr);
}

namespace detail {

std::int64_t local_tile(const VaeConfig& config, std::int64_t rows, std::int64_t samples) {
  const std::int64_t at_once = evaluation_tile(config, std::int64_t{1} << 30, 1).data;
  return std::clamp<std::int64_t>(at_once / samples, 1, rows);
}

void PosteriorSums::add(double log_px_given_z, double log_w) {
  if (count++ == 0) first = log_px_given_z;
  const double d = log_px_given_z - first;
  sum += d;
  squares += d * d;
  tail.add(log_w);
  if (log_w > largest) {
    weights *= std::exp(largest - log_w);
    largest = log_w;
  }
  weights += std::exp(log_w - largest);
}

void PosteriorSums::finish(double kl, PosteriorValues& out) const {
  const auto n = static_cast<double>(count);
  out.elbo.push_back(first + sum / n - kl);
  out.elbo_error.push_back(std::sqrt(std::max(0.0, squares - sum * sum / n) / (n * (n - 1.0))));
  out.log_px.push_back(log_mean_exp_value(largest, weights, count));
  out.weights.push_back(tail.diagnose());
}

}  // namespace detail
}  // namespace felbo
