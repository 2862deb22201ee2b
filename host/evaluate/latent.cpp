#include "host/evaluate/latent.h"

#include <algorithm>
#include <cmath>

namespace felbo {

std::int64_t LatentDiagnostics::active() const {
  return std::ranges::count_if(variance_of_mean, [](double v) { return v > kActiveVariance; });
}

std::vector<std::int64_t> LatentDiagnostics::collapsed() const {
  std::vector<std::int64_t> dimensions;
  for (std::size_t d = 0; d < variance_of_mean.size(); ++d) {
    if (variance_of_mean[d] <= kActiveVariance) dimensions.push_back(static_cast<std::int64_t>(d));
  }
  return dimensions;
}

std::vector<float> means_and_log_vars(const VaeConfig& config, std::vector<float> posteriors) {
  if (config.posterior.family == PosteriorFamily::kDiagonalGaussian) return posteriors;
  const std::int64_t Z = config.latent, columns = config.posterior.outputs(Z);
  std::vector<float> out;
  for (auto row = posteriors.begin(); row != posteriors.end(); row += columns) {
    out.insert(out.end(), row, row + Z);
    if (config.posterior.family == PosteriorFamily::kIsotropicGaussian) {
      out.insert(out.end(), static_cast<std::size_t>(Z), row[Z]);
    } else {
      out.insert(out.end(), row + Z, row + 2 * Z);
    }
  }
  return out;
}

LatentSums::LatentSums(std::int64_t latent, const LogVarClamp& clamp)
    : latent_(static_cast<std::size_t>(latent)),
      clamp_(clamp),
      kl_(latent_, 0.0),
      mean_(latent_, 0.0),
      squares_(latent_, 0.0) {}

void LatentSums::add(std::span<const float> posteriors) {
  for (std::size_t row = 0; row + 2 * latent_ <= posteriors.size(); row += 2 * latent_) {
    ++count_;
    for (std::size_t d = 0; d < latent_; ++d) {
      const auto mu = static_cast<double>(posteriors[row + d]);
      const auto log_var = static_cast<double>(clamp_log_var(posteriors[row + latent_ + d], clamp_));
      kl_[d] += 0.5 * (mu * mu + std::expm1(log_var) - log_var);
      const double off = mu - mean_[d];  // Welford's update: no cancellation
      mean_[d] += off / static_cast<double>(count_);
      squares_[d] += off * (mu - mean_[d]);
    }
  }
}

LatentDiagnostics LatentSums::diagnose() const {
  LatentDiagnostics out;
  const auto n = static_cast<double>(count_);
  for (std::size_t d = 0; d < latent_; ++d) {
    out.kl.push_back(kl_[d] / n);
    out.variance_of_mean.push_back(squares_[d] / (n - 1.0));
  }
  return out;
}

}  // namespace felbo
