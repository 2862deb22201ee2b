#include "host/train/trainer.h"

#include <fmt/format.h>

#include <cmath>

namespace felbo {
namespace {

/// A NaN may carry a sign, which means nothing: "nan", never "-nan".
std::string number_text(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

std::string where_text(const BadStep& bad, int epoch, std::int64_t of_epoch, std::int64_t steps) {
  const std::string place = fmt::format("step {} of {} in epoch {}", of_epoch + 1, steps, epoch);
  if (!std::isfinite(bad.elbo)) return fmt::format("the ELBO of {} is {}", place, number_text(bad.elbo));
  if (std::isfinite(bad.norm) && bad.norm >= kGradientNormLimit)
    return fmt::format(
        "the gradient of {} has a norm of {:.3g}, whose square Adam's second moment cannot hold", place,
        bad.norm);
  return std::isfinite(bad.norm)
             ? fmt::format("a term of the loss of {} is not finite", place)
             : fmt::format("the gradient of {} has the norm {}", place, number_text(bad.norm));
}

}  // namespace

NonFiniteStep::NonFiniteStep(const BadStep& bad, int epoch, std::int64_t of_epoch, std::int64_t steps)
    : Diverged(where_text(bad, epoch, of_epoch, steps)), bad_(bad) {}

ElboTerms mean_terms(const TrainingTotals& totals) {
  const auto n = static_cast<double>(totals.count);
  return {totals.elbo / n, totals.log_px_given_z / n, totals.kl / n};
}

void check_finite(const std::string& which, int epoch, const ElboTerms& terms) {
  if (std::isfinite(terms.elbo)) return;
  throw Diverged(fmt::format("the {} ELBO of epoch {} is {} (log p(x|z) {}, KL {})", which, epoch,
                             number_text(terms.elbo), number_text(terms.log_px_given_z),
                             number_text(terms.kl)));
}

void check_any_taken(int epoch, const TrainingTotals& totals) {
  if (totals.steps > 0 || totals.skipped_steps == 0) return;
  throw Diverged(
      fmt::format("every step of epoch {} was skipped, {}: none was finite", epoch, totals.skipped_steps));
}

void check_parameters(int epoch, std::int64_t non_finite) {
  if (non_finite == 0) return;
  throw SpoiledParameters(
      fmt::format("in epoch {} {} parameters or moments became NaN or infinite", epoch, non_finite));
}

}  // namespace felbo
