// p(z) as samplers of z need it: its density, gradient and draws, in double on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "host/evaluate/prior.h"
#include "host/model/vae.h"
#include "kernels/common/check.h"

namespace felbo {

/// N(mu, diag exp(log_var)) for each of N data, (N, Z) both.
struct LatentGaussians {
  std::vector<float> mu, log_var;
};

/// N(0, I) of Z dimensions, or a learned diagonal Gaussian or mixture of them. Annealing knows p(z) through
/// this alone.
class LatentPrior {
 public:
  explicit LatentPrior(std::int64_t latent) : latent_(latent) {}
  explicit LatentPrior(const LearnedPrior& learned);

  std::int64_t latent() const { return latent_; }
  /// The standard deviation of z_d.
  double deviation(std::int64_t d) const;
  /// log p(z), nats; z (Z).
  double log_density(const double* z) const;
  /// d log p(z) / dz into gradient (Z).
  void gradient(const double* z, double* gradient) const;
  /// A draw z (Z) from independent standard normals (Z), in place; `uniform` in [0, 1) takes the component.
  void from_normals(double uniform, double* z) const;

 private:
  bool is_standard() const { return log_share_.empty(); }
  std::size_t index(std::size_t k, std::int64_t d) const {
    return k * static_cast<std::size_t>(latent_) + static_cast<std::size_t>(d);
  }
  /// log share_k N(z; mu_k, diag exp(log_var_k)), nats.
  double log_component(std::size_t k, const double* z) const;

  std::int64_t latent_;
  std::vector<double> log_share_, share_;  // (K), all empty of N(0, I)
  std::vector<double> mu_, sigma_;         // (K, Z)
  std::vector<double> log_normalizer_;     // (K) of each component, nats
  std::vector<double> deviation_;          // (Z)
};

/// The prior of a model. Throws std::invalid_argument for the uniform one, whose codes are no z that a
/// decoder reads as it is, and for several stochastic layers.
template <class Exec>
LatentPrior latent_prior(const Exec& exec, const Vae& vae, View<const float, 1> parameters) {
  const PriorFamily family = vae.config().prior.family;
  FELBO_CHECK(family != PriorFamily::kUniform,
              "annealing gives the decoder z itself: under the prior uniform it reads Phi(z)");
  FELBO_CHECK(vae.above().empty(), "annealing walks through z alone: this model has {} stochastic layers",
              vae.config().stochastic_layers());
  if (family == PriorFamily::kStandardNormal) return LatentPrior(vae.config().latent);
  return LatentPrior(learned_prior(exec, vae, parameters));
}

}  // namespace felbo
