#include "host/evaluate/evaluate.h"

namespace felbo {

Estimate estimate(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n * (n - 1.0)))};
}

namespace detail {

EvaluationTile evaluation_tile(const VaeConfig& config, std::int64_t rows, std::int64_t samples) {
  const std::int64_t widest = std::max(config.dimensions * config.likelihood.outputs(),
                                       config.hidden.empty() ? 1 : std::ranges::max(config.hidden));
  const std::int64_t most = std::clamp<std::int64_t>((std::int64_t{4} << 20) / widest, 16, 1024);
  const std::int64_t data = std::min({rows, most, samples == 1 ? most : std::int64_t{128}});
  return {data, std::clamp<std::int64_t>(most / data, 1, samples)};
}

}  // namespace detail
}  // namespace felbo
