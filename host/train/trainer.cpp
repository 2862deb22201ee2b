#include "host/train/trainer.h"

#include <fmt/format.h>

#include <cmath>

namespace felbo {
namespace {

/// A NaN may carry a sign, which means nothing: "nan", never "-nan".
std::string number_text(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

}  // namespace

ElboTerms mean_terms(const TrainingTotals& totals) {
  const auto n = static_cast<double>(totals.count);
  return {totals.elbo / n, totals.log_px_given_z / n, totals.kl / n};
}

void check_finite(const std::string& which, int epoch, const ElboTerms& terms) {
  if (std::isfinite(terms.elbo)) return;
  throw Diverged(fmt::format(
      "the {} ELBO of epoch {} is {} (log p(x|z) {}, KL {}): the run diverged. Try a lower --lr, a "
      "warm-up (--warmup-epochs) or narrower --log-var-clamp",
      which, epoch, number_text(terms.elbo), number_text(terms.log_px_given_z), number_text(terms.kl)));
}

void check_parameters(int epoch, std::int64_t non_finite) {
  if (non_finite == 0) return;
  throw Diverged(
      fmt::format("in epoch {} {} parameters became NaN or infinite: the run diverged. Try a lower --lr, a "
                  "warm-up (--warmup-epochs) or narrower --log-var-clamp",
                  epoch, non_finite));
}

}  // namespace felbo
