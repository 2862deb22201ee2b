#include "host/train/training_objective.h"

#include <fmt/format.h>

#include <stdexcept>

#include "kernels/common/check.h"

namespace felbo {

TrainingObjective training_objective_from_name(const std::string& name) {
  if (name == "elbo") return TrainingObjective::kElbo;
  if (name == "elbo-mc") return TrainingObjective::kElboMc;
  if (name == "stl") return TrainingObjective::kStl;
  if (name == "iwae") return TrainingObjective::kIwae;
  if (name == "dreg") return TrainingObjective::kDreg;
  throw std::invalid_argument(
      fmt::format("--objective \"{}\" is not known; give elbo, elbo-mc, stl, iwae or dreg", name));
}

void check_objective(TrainingObjective objective, double free_bits, const VaeConfig& model) {
  const Posterior& posterior = model.posterior;
  const Prior& prior = model.prior;
  const int layers = model.stochastic_layers();
  FELBO_CHECK(layers == 1 || objective != TrainingObjective::kElbo,
              "--objective elbo takes the KL in closed form, which {} stochastic layers do not have; use "
              "--objective elbo-mc (the same bound by samples) or iwae",
              layers);
  FELBO_CHECK(
      layers == 1 || !goes_through_z_alone(objective),
      "--objective stl and dreg go with one stochastic layer, not {}: the encoder of h2 would need one "
      "gradient for its own parameters and another for h1, which its log q(h2|h1) depends on too; use "
      "--objective elbo-mc or iwae",
      layers);
  FELBO_CHECK(
      free_bits == 0 || objective == TrainingObjective::kElbo,
      "--free-bits {} goes with --objective elbo alone: a threshold on the KL of each dimension needs it "
      "in closed form",
      free_bits);
  FELBO_CHECK(
      free_bits == 0 || (posterior.family == PosteriorFamily::kDiagonalGaussian && prior.is_standard()),
      "--free-bits {} goes with --posterior diagonal-gaussian and --prior standard-normal or uniform: a "
      "threshold on the KL of each dimension needs it in closed form, dimension by dimension",
      free_bits);
  FELBO_CHECK(
      !goes_through_z_alone(objective) || !posterior.couples_dimensions(),
      "--objective stl and dreg go with --posterior diagonal-gaussian or isotropic-gaussian: they need "
      "the derivative of log q(z|x) by z, which one that couples the dimensions of z does not give; use "
      "--objective elbo-mc or iwae");
}

}  // namespace felbo
