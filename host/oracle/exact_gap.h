// The parts of log p(x) - ELBO of a linear-Gaussian VAE in closed form: what host/evaluate/gap.h estimates.
//
// The best diagonal Gaussian for a posterior N(m, M^-1) has its mean and the variances 1 / M_dd, which do not
// depend on x, so that
//
//   approximation gap = KL(q* || p(z|x)) = 1/2 (sum_d log M_dd - log det M)
//   amortisation gap  = KL(q(z|x) || p(z|x)) - KL(q* || p(z|x))
#pragma once

#include <optional>
#include <span>

#include "host/data/data_part.h"
#include "host/evaluate/evaluate.h"
#include "host/model/vae.h"

namespace felbo::oracle {

/// Means over data, nats.
struct ExactGapParts {
  Estimate log_px, elbo;
  Estimate gap, approximation, amortisation;
};

/// For the model that `vae` is with the flat parameters `flat` (P), on the data as a model sees them; nothing
/// where there is no closed form: hidden layers, another likelihood than a Gaussian, a variance that depends
/// on z, or a log-variance of q beyond its clamp.
std::optional<ExactGapParts> exact_gap_parts(const Vae& vae, std::span<const float> flat,
                                             const DataPart& part);

}  // namespace felbo::oracle
