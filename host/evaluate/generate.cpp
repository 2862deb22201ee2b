#include "host/evaluate/generate.h"

#include <cmath>

namespace felbo {

std::vector<float> marginal_log_vars(const VaeConfig& config, const Encoded& encoded) {
  std::vector<float> out = encoded.log_var;
  if (config.posterior.family != PosteriorFamily::kFullCovarianceGaussian) return out;
  const auto Z = static_cast<std::size_t>(config.latent),
             columns = static_cast<std::size_t>(config.posterior.outputs(config.latent));
  for (std::size_t n = 0; n * Z < out.size(); ++n) {
    std::size_t below = n * columns + 2 * Z;  // rows of the strict lower triangle
    for (std::size_t i = 0; i < Z; ++i) {
      double variance = std::exp(static_cast<double>(out[n * Z + i]));
      for (std::size_t j = 0; j < i; ++j, ++below)
        variance +=
            static_cast<double>(encoded.posterior[below]) * static_cast<double>(encoded.posterior[below]);
      out[n * Z + i] = static_cast<float>(std::log(variance));
    }
  }
  return out;
}

}  // namespace felbo
