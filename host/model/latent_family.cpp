#include "host/model/latent_family.h"

#include <array>
#include <utility>

#include "kernels/common/check.h"

namespace felbo {
namespace {

template <class Family, std::size_t N>
Family from_name(const char* flag, const std::string& name,
                 const std::array<std::pair<const char*, Family>, N>& families) {
  std::string known;
  for (std::size_t i = 0; i < N; ++i) {
    if (name == families[i].first) return families[i].second;
    known += (i == 0 ? "" : i + 1 < N ? ", " : " or ") + std::string(families[i].first);
  }
  throw std::invalid_argument(fmt::format("{} must be {}, got '{}'", flag, known, name));
}

}  // namespace

std::int64_t Posterior::outputs(std::int64_t latent) const {
  switch (family) {
    case PosteriorFamily::kDiagonalGaussian:
      return 2 * latent;
    case PosteriorFamily::kIsotropicGaussian:
      return latent + 1;
    case PosteriorFamily::kFullCovarianceGaussian:
      return 2 * latent + latent * (latent - 1) / 2;
    case PosteriorFamily::kPlanarFlow:
      return 2 * latent + flow_steps * (2 * latent + 1);
  }
  return 0;
}

PosteriorFamily posterior_family_from_name(const std::string& name) {
  return from_name("--posterior", name,
                   std::array{std::pair{"diagonal-gaussian", PosteriorFamily::kDiagonalGaussian},
                              std::pair{"isotropic-gaussian", PosteriorFamily::kIsotropicGaussian},
                              std::pair{"full-covariance-gaussian", PosteriorFamily::kFullCovarianceGaussian},
                              std::pair{"planar-flow", PosteriorFamily::kPlanarFlow}});
}

PriorFamily prior_family_from_name(const std::string& name) {
  return from_name(
      "--prior", name,
      std::array{std::pair{"standard-normal", PriorFamily::kStandardNormal},
                 std::pair{"diagonal-gaussian", PriorFamily::kDiagonalGaussian},
                 std::pair{"uniform", PriorFamily::kUniform}, std::pair{"mixture", PriorFamily::kMixture},
                 std::pair{"vamp", PriorFamily::kVamp}});
}

}  // namespace felbo
