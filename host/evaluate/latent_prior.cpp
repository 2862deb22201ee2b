#include "host/evaluate/latent_prior.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace felbo {
namespace {

constexpr double kLog2Pi = 1.8378770664093454836;

}  // namespace

LatentPrior::LatentPrior(const LearnedPrior& learned)
    : latent_(learned.latent), share_(learned.share), mu_(learned.mu.begin(), learned.mu.end()) {
  for (const float log_var : learned.log_var) sigma_.push_back(std::exp(0.5 * static_cast<double>(log_var)));
  for (std::size_t k = 0; k < share_.size(); ++k) {
    log_share_.push_back(std::log(share_[k]));
    double sum = static_cast<double>(latent_) * kLog2Pi;
    for (std::int64_t d = 0; d < latent_; ++d) sum += static_cast<double>(learned.log_var[index(k, d)]);
    log_normalizer_.push_back(-0.5 * sum);
  }
  for (std::int64_t d = 0; d < latent_; ++d) {
    double mean = 0.0, variance = 0.0;
    for (std::size_t k = 0; k < share_.size(); ++k) mean += share_[k] * mu_[index(k, d)];
    for (std::size_t k = 0; k < share_.size(); ++k) {
      const double off = mu_[index(k, d)] - mean;
      variance += share_[k] * (sigma_[index(k, d)] * sigma_[index(k, d)] + off * off);
    }
    deviation_.push_back(std::sqrt(variance));
  }
}

double LatentPrior::deviation(std::int64_t d) const {
  return is_standard() ? 1.0 : deviation_[static_cast<std::size_t>(d)];
}

double LatentPrior::log_component(std::size_t k, const double* z) const {
  double square = 0.0;
  for (std::int64_t d = 0; d < latent_; ++d) {
    const double e = (z[d] - mu_[index(k, d)]) / sigma_[index(k, d)];
    square += e * e;
  }
  return log_share_[k] + log_normalizer_[k] - 0.5 * square;
}

double LatentPrior::log_density(const double* z) const {
  if (is_standard()) {
    double square = 0.0;
    for (std::int64_t d = 0; d < latent_; ++d) square += z[d] * z[d];
    return -0.5 * (square + static_cast<double>(latent_) * kLog2Pi);
  }
  double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (std::size_t k = 0; k < share_.size(); ++k) largest = std::max(largest, log_component(k, z));
  for (std::size_t k = 0; k < share_.size(); ++k) sum += std::exp(log_component(k, z) - largest);
  return largest + std::log(sum);
}

void LatentPrior::gradient(const double* z, double* gradient) const {
  if (is_standard()) {
    for (std::int64_t d = 0; d < latent_; ++d) gradient[d] = -z[d];
    return;
  }
  const double whole = log_density(z);
  std::fill_n(gradient, latent_, 0.0);
  for (std::size_t k = 0; k < share_.size(); ++k) {
    const double responsibility = std::exp(log_component(k, z) - whole);
    for (std::int64_t d = 0; d < latent_; ++d) {
      const double sigma = sigma_[index(k, d)];
      gradient[d] -= responsibility * (z[d] - mu_[index(k, d)]) / (sigma * sigma);
    }
  }
}

void LatentPrior::from_normals(double uniform, double* z) const {
  if (is_standard()) return;
  std::size_t k = 0;
  while (k + 1 < share_.size() && uniform >= share_[k]) uniform -= share_[k++];
  for (std::int64_t d = 0; d < latent_; ++d) z[d] = mu_[index(k, d)] + sigma_[index(k, d)] * z[d];
}

}  // namespace felbo
