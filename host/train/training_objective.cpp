#include "host/train/training_objective.h"

#include <fmt/format.h>

#include <stdexcept>

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

}  // namespace felbo
