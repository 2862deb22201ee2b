// p(z) as samplers of z need it: its density, gradient and draws, in double on the host.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "host/model/vae.h"
#include "kernels/common/check.h"

namespace felbo {

/// N(mu, diag exp(log_var)) for each of N data, (N, Z) both.
struct LatentGaussians {
  std::vector<float> mu, log_var;
};

/// N(0, I) of Z dimensions. Whatever walks through z (annealing, quadrature) knows p(z) through this alone.
class LatentPrior {
 public:
  explicit LatentPrior(std::int64_t latent) : latent_(latent) {}

  std::int64_t latent() const { return latent_; }
  /// log p(z), nats; z (Z).
  double log_density(const double* z) const {
    double square = 0.0;
    for (std::int64_t d = 0; d < latent_; ++d) square += z[d] * z[d];
    return -0.5 * (square + static_cast<double>(latent_) * std::log(2.0 * std::numbers::pi));
  }
  /// d log p(z) / dz into gradient (Z).
  void gradient(const double* z, double* gradient) const {
    for (std::int64_t d = 0; d < latent_; ++d) gradient[d] = -z[d];
  }
  /// A draw z (Z) from independent standard normals (Z), in place.
  void from_normals(double* /*z*/) const {}

 private:
  std::int64_t latent_;
};

/// The prior of a model. Throws std::invalid_argument unless it is N(0, I).
inline LatentPrior latent_prior(const Vae& vae) {
  FELBO_CHECK(vae.config().prior.family == PriorFamily::kStandardNormal,
              "annealing walks through z from the prior standard-normal: this model has another one");
  FELBO_CHECK(vae.above().empty(), "annealing walks through z alone: this model has {} stochastic layers",
              vae.config().stochastic_layers());
  return LatentPrior(vae.config().latent);
}

}  // namespace felbo
