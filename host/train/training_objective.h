// What training maximises: which bound on log p(x), and which estimate of its gradient.
#pragma once

#include <string>

#include "host/model/vae.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

/// With log w_s = log p(x|z_s) + beta (log p(z_s) - log q(z_s|x)), z_s ~ q(z|x), S samples a datum:
enum class TrainingObjective {
  kElbo,    // mean_s log p(x|z_s) - beta KL(q||p), the KL in closed form (Kingma and Welling, ICLR 2014)
            // where there is one (has_closed_kl()); else kElboMc
  kElboMc,  // mean_s log w_s: the ELBO by samples alone
  kStl,     // the same; its gradient through z alone, "sticking the landing" (Roeder et al., NeurIPS 2017)
  kIwae,    // log mean_s w_s (Burda, Grosse and Salakhutdinov, ICLR 2016)
  kDreg,    // the same; the encoder's gradient doubly reparameterised (Tucker et al., ICLR 2019)
};

/// "elbo", "elbo-mc", "stl", "iwae" or "dreg". Throws std::invalid_argument that lists them.
TrainingObjective training_objective_from_name(const std::string& name);

/// Whether the gradients of a datum's samples are weighed by their importance weights.
constexpr bool has_importance_weights(TrainingObjective objective) {
  return objective == TrainingObjective::kIwae || objective == TrainingObjective::kDreg;
}

/// What goes with which objective. Throws std::invalid_argument, in terms of `train`'s flags, that says why
/// the rest is refused.
void check_objective(TrainingObjective objective, double free_bits, const VaeConfig& model);

/// Whether an objective's gradient goes through z alone, which needs the derivative of log q(z|x) by z: that
/// of a posterior that does not couple the dimensions.
constexpr bool goes_through_z_alone(TrainingObjective objective) {
  return objective == TrainingObjective::kStl || objective == TrainingObjective::kDreg;
}

/// The estimate that an objective's backward pass makes, where the KL of kElbo has a closed form.
constexpr PosteriorGradient posterior_gradient(TrainingObjective objective) {
  switch (objective) {
    case TrainingObjective::kElbo:
      return PosteriorGradient::kAnalyticKl;
    case TrainingObjective::kElboMc:
    case TrainingObjective::kIwae:
      return PosteriorGradient::kMonteCarlo;
    case TrainingObjective::kStl:
      return PosteriorGradient::kStickingTheLanding;
    case TrainingObjective::kDreg:
      return PosteriorGradient::kDoublyReparameterized;
  }
  return PosteriorGradient::kAnalyticKl;
}

}  // namespace felbo
