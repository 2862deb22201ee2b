#include "host/train/trainer.h"

namespace felbo {

ElboTerms mean_terms(const TrainingTotals& totals) {
  const auto n = static_cast<double>(totals.count);
  return {totals.elbo / n, totals.log_px_given_z / n, totals.kl / n};
}

}  // namespace felbo
