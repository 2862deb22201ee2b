#include "host/evaluate/prior.h"

#include <algorithm>

namespace felbo {
namespace {

/// Softmax in double.
std::vector<double> shares(View<const float, 1> logit) {
  std::vector<double> out;
  const float largest = *std::max_element(logit.begin(), logit.end());
  double sum = 0.0;
  for (const float l : logit) {
    out.push_back(std::exp(static_cast<double>(l) - static_cast<double>(largest)));
    sum += out.back();
  }
  for (double& share : out) share /= sum;
  return out;
}

}  // namespace

LearnedPrior learned_prior(const Vae& vae, View<const float, 1> parameters,
                           const std::vector<float>& pseudo) {
  const VaeConfig& config = vae.config();
  const std::int64_t Z = config.latent;
  FELBO_CHECK(!config.prior.is_standard(), "the prior has nothing that is learned");
  LearnedPrior out{.components = config.prior.is_mixture() ? config.prior.components : 1, .latent = Z};
  const PriorParameters<const float> given = vae.prior(parameters);
  for (std::int64_t k = 0; k < out.components; ++k) {
    const float* mu = pseudo.empty() ? given.mu.row(k) : pseudo.data() + 2 * Z * k;
    const float* log_var = pseudo.empty() ? given.log_var.row(k) : mu + Z;
    out.mu.insert(out.mu.end(), mu, mu + Z);
    for (std::int64_t d = 0; d < Z; ++d) out.log_var.push_back(clamp_log_var(log_var[d], config.clamp));
  }
  out.share = given.logit.empty() ? std::vector<double>(static_cast<std::size_t>(out.components),
                                                        1.0 / static_cast<double>(out.components))
                                  : shares(given.logit);
  return out;
}

void place_in_components(const LearnedPrior& prior, const NoiseStream& noise, std::vector<float>& eps) {
  const auto Z = static_cast<std::size_t>(prior.latent);
  for (std::size_t i = 0; i * Z < eps.size(); ++i) {
    const std::uint32_t word = noise.words(static_cast<std::uint32_t>(i), 1, 0).w[0];
    double left = (static_cast<double>(word) + 0.5) / 4294967296.0;
    std::size_t k = 0;
    while (k + 1 < prior.share.size() && left >= prior.share[k]) left -= prior.share[k++];
    for (std::size_t d = 0; d < Z; ++d) {
      const std::size_t at = k * Z + d;
      float& z = eps[i * Z + d];
      z = prior.mu[at] + static_cast<float>(std::exp(0.5 * static_cast<double>(prior.log_var[at]))) * z;
    }
  }
}

}  // namespace felbo
