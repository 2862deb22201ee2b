// Epochs of training steps.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/report/progress.h"
#include "host/train/beta_schedule.h"
#include "host/train/lr_schedule.h"
#include "host/train/run_progress.h"
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

/// Throws Diverged unless the count of parameters that are NaN or infinite in `epoch` is 0.
void check_parameters(int epoch, std::int64_t non_finite);

/// Steps an epoch of `rows` data in batches of `batch` has; the last batch may be smaller.
inline std::int64_t steps_per_epoch(std::int64_t rows, std::int64_t batch) {
  return (rows + batch - 1) / batch;
}

/// The data of an epoch, their order and rates.
struct EpochPlan {
  std::int64_t rows = 0;
  std::int64_t batch = 0;
  std::uint64_t seed = 0;
  const LrSchedule& lr;
  const BetaSchedule& beta;
};

/// What follows a step.
enum class AfterStep { kGoOn, kSave, kStop };

namespace detail {

/// Lays out what is left of the epoch under way after `done` of its steps.
template <class Exec, class T>
void begin_rest_of_epoch(TrainingStep<Exec, T>& step, const ModelState<Exec>& state, const EpochPlan& plan,
                         std::int64_t done) {
  const std::int64_t steps = steps_per_epoch(plan.rows, plan.batch);
  std::vector<StepRates> rates;
  for (std::int64_t i = 0; i < steps - done; ++i)
    rates.push_back({plan.lr.rate(state.step + i, steps), plan.beta.beta(state.step + i, steps)});
  const std::vector<std::uint32_t> order =
      epoch_order(plan.seed, static_cast<std::uint32_t>(state.epoch), plan.rows);
  step.begin(std::span(order).subspan(static_cast<std::size_t>(done * plan.batch)), rates);
}

}  // namespace detail

/// Runs epoch state.epoch + 1 from step at.steps of it on: every datum once, in the order of (seed, epoch).
/// `after_step` returns an AfterStep behind each step and costs no wait; where that is kSave or kStop, `save`
/// is called, with the epoch's sums so far in `at`. Returns nothing if it was stopped so; else the epoch's
/// means, and `at` stands at the start of the next epoch. Throws Diverged if the epoch's ELBO or a parameter
/// is not finite; `state`, which is the step's, is then of no more use.
template <class Exec, class T, class Ask, class Save>
std::optional<EpochTraining> train_epoch(TrainingStep<Exec, T>& step, ModelState<Exec>& state,
                                         const EpochPlan& plan, RunProgress& at, Progress& progress,
                                         const Ask& after_step, const Save& save) {
  const auto start = std::chrono::steady_clock::now();
  const double seconds_before = at.seconds;
  const auto seconds = [&] {
    return seconds_before + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::int64_t steps = steps_per_epoch(plan.rows, plan.batch), first = state.step - at.steps;
  if (at.steps < steps) detail::begin_rest_of_epoch(step, state, plan, at.steps);
  step.restore_totals(at.totals);
  while (at.steps < steps) {
    const std::int64_t count = step();
    ++at.steps;
    progress.step(count, [&] { return mean_terms(step.totals()); });
    const AfterStep next = after_step(at.steps);
    if (next == AfterStep::kGoOn) continue;
    at.totals = step.totals();
    at.seconds = seconds();
    check_finite("training", state.epoch + 1, mean_terms(at.totals));  // before a good checkpoint is replaced
    check_parameters(state.epoch + 1, step.non_finite_parameters());
    save();
    if (next == AfterStep::kStop) return std::nullopt;
  }
  EpochTraining result;
  result.lr = plan.lr.rate(first + steps - 1, steps);
  result.beta = plan.beta.beta(first + steps - 1, steps);
  ++state.epoch;
  const TrainingTotals totals = step.take_totals();
  result.terms = mean_terms(totals);
  result.bound = totals.bound / static_cast<double>(totals.count);
  result.clamped = totals.clamped;
  result.seconds = seconds();
  result.samples_per_second = static_cast<double>(plan.rows) / result.seconds;
  at.steps = 0;
  at.totals = {};
  at.seconds = 0.0;
  check_finite("training", state.epoch, result.terms);
  check_parameters(state.epoch, step.non_finite_parameters());
  return result;
}

}  // namespace felbo
