// Epochs of training steps.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/report/progress.h"
#include "host/train/beta_schedule.h"
#include "host/train/lr_schedule.h"
#include "host/train/shuffle.h"
#include "host/train/training_step.h"

namespace felbo {

/// One epoch of training: means over the data as they were visited, in nats a datum.
struct EpochTraining {
  ElboTerms terms;     // with the KL in closed form, whatever the objective
  double bound = 0.0;  // log mean_s w_s, where the objective has importance weights; else 0
  std::int64_t clamped = 0;
  double lr = 0.0;       // of the last step
  double beta = 1.0;     // of the last step
  double seconds = 0.0;  // of the steps alone
  double samples_per_second = 0.0;
};

/// Means of the totals.
ElboTerms mean_terms(const TrainingTotals& totals);

/// The run has left the finite numbers; the message says where and what may help.
class Diverged : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Diverged, naming `which` ELBO ("training", "held-out"), unless the bound is finite.
void check_finite(const std::string& which, int epoch, const ElboTerms& terms);

/// Throws Diverged unless the count of parameters that are NaN or infinite after `epoch` is 0.
void check_parameters(int epoch, std::int64_t non_finite);

/// Steps an epoch of `rows` data in batches of `batch` has; the last batch may be smaller.
inline std::int64_t steps_per_epoch(std::int64_t rows, std::int64_t batch) {
  return (rows + batch - 1) / batch;
}

/// Runs epoch state.epoch + 1: every datum once, in the order of (seed, epoch). Throws Diverged if
/// the epoch's ELBO or a parameter is not finite; `state`, which is the step's, is then of no more use.
template <class Exec, class T>
EpochTraining train_epoch(TrainingStep<Exec, T>& step, ModelState<Exec>& state, std::int64_t rows,
                          std::int64_t batch, std::uint64_t seed, const LrSchedule& lr,
                          const BetaSchedule& beta, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t steps = steps_per_epoch(rows, batch);
  std::vector<StepRates> rates;
  for (std::int64_t i = 0; i < steps; ++i)
    rates.push_back({lr.rate(state.step + i, steps), beta.beta(state.step + i, steps)});
  step.begin(epoch_order(seed, static_cast<std::uint32_t>(state.epoch), rows), rates);
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t count = step();
    progress.step(count, [&] { return mean_terms(step.totals()); });
  }
  EpochTraining result;
  result.lr = rates.back().lr;
  result.beta = rates.back().beta;
  ++state.epoch;
  const TrainingTotals totals = step.take_totals();
  result.terms = mean_terms(totals);
  result.bound = totals.bound / static_cast<double>(totals.count);
  result.clamped = totals.clamped;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.samples_per_second = static_cast<double>(rows) / result.seconds;
  check_finite("training", state.epoch, result.terms);
  check_parameters(state.epoch, step.non_finite_parameters());
  return result;
}

}  // namespace felbo
