// The list of everything that `felbo check` checks.
#pragma once

#include <vector>

#include "host/check/adam_checks.h"
#include "host/check/check.h"
#include "host/check/conditional_gaussian_checks.h"
#include "host/check/covariance_factor_checks.h"
#include "host/check/dense_checks.h"
#include "host/check/elbo_loss_checks.h"
#include "host/check/free_bits_checks.h"
#include "host/check/gather_checks.h"
#include "host/check/latent_checks.h"
#include "host/check/likelihood_checks.h"
#include "host/check/log_counts_checks.h"
#include "host/check/minibatch_checks.h"
#include "host/check/noise_checks.h"
#include "host/check/objective_checks.h"
#include "host/check/planar_flow_checks.h"
#include "host/check/reparameterize_checks.h"
#include "host/check/step_guard_checks.h"
#include "host/check/training_step_checks.h"

namespace felbo::checks {

/// In the order of a training step, and the step as a whole.
template <class Exec>
std::vector<Check<Exec>> all_checks() {
  std::vector<Check<Exec>> checks;
  add_noise_checks(checks);
  add_minibatch_checks(checks);
  add_gather_checks(checks);
  add_log_counts_checks(checks);
  add_dense_checks(checks);
  add_reparameterize_checks(checks);
  add_covariance_factor_checks(checks);
  add_planar_flow_checks(checks);
  add_conditional_gaussian_checks(checks);
  add_free_bits_checks(checks);
  add_latent_checks(checks);
  add_likelihood_checks(checks);
  add_objective_checks(checks);
  add_elbo_loss_checks(checks);
  add_step_guard_checks(checks);
  add_adam_checks(checks);
  add_training_step_checks(checks);
  return checks;
}

}  // namespace felbo::checks
