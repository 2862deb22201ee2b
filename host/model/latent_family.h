// Which q(z|x) and which p(z), and what goes with what.
#pragma once

#include <cstdint>
#include <string>

namespace felbo {

enum class PosteriorFamily {
  kDiagonalGaussian,        // N(mu, diag exp(log_var)), all from the encoder
  kIsotropicGaussian,       // one log_var a datum
  kFullCovarianceGaussian,  // N(mu, L L^T), L_ii = exp(log_var_i / 2), what is below the diagonal given too
  kPlanarFlow,              // a diagonal Gaussian carried through planar flows (planar_flow.h)
};
enum class PriorFamily {
  kStandardNormal,    // N(0, I)
  kDiagonalGaussian,  // N(m, diag exp(v)), learned
  kUniform,           // on the unit cube: the decoder reads Phi(z), z ~ N(0, I) (normal_cdf.h)
  kMixture,           // of learned diagonal Gaussians (mixture_prior.h)
  kVamp,              // of the posteriors of learned pseudo-inputs (Tomczak and Welling, AISTATS 2018)
};

struct Posterior {
  PosteriorFamily family = PosteriorFamily::kDiagonalGaussian;
  int flow_steps = 8;  // of kPlanarFlow

  /// Numbers that the encoder gives a datum for Z latent dimensions: [mu (Z) | log_var (Z, or 1) | the rest].
  std::int64_t outputs(std::int64_t latent) const;
  /// Whether z is no longer mu + sigma eps of each dimension by itself.
  bool couples_dimensions() const {
    return family == PosteriorFamily::kFullCovarianceGaussian || family == PosteriorFamily::kPlanarFlow;
  }
};

struct Prior {
  PriorFamily family = PriorFamily::kStandardNormal;
  std::int64_t components = 100;  // of kMixture and kVamp

  bool is_mixture() const { return family == PriorFamily::kMixture || family == PriorFamily::kVamp; }
  /// Whether log p(z) is that of N(0, I), for z before the decoder's map.
  bool is_standard() const {
    return family == PriorFamily::kStandardNormal || family == PriorFamily::kUniform;
  }
};

/// Whether KL(q(z|x) || p(z)) has a closed form here; elsewhere it is estimated by the samples.
constexpr bool has_closed_kl(PosteriorFamily posterior, PriorFamily prior) {
  if (posterior == PosteriorFamily::kPlanarFlow) return false;
  if (prior == PriorFamily::kMixture || prior == PriorFamily::kVamp) return false;
  return posterior != PosteriorFamily::kFullCovarianceGaussian || prior != PriorFamily::kDiagonalGaussian;
}

/// "diagonal-gaussian", "isotropic-gaussian", "full-covariance-gaussian" or "planar-flow". Throws
/// std::invalid_argument that lists them.
PosteriorFamily posterior_family_from_name(const std::string& name);
/// "standard-normal", "diagonal-gaussian", "uniform", "mixture" or "vamp". Throws std::invalid_argument that
/// lists them.
PriorFamily prior_family_from_name(const std::string& name);

}  // namespace felbo
