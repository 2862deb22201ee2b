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
  double norm_mean = 0.0, norm_max = 0.0;  // of the gradients' L2 norms, before they are clipped
  std::int64_t clipped_steps = 0;
  std::int64_t skipped_steps = 0;  // not taken, and counted in nothing else here
  double lr = 0.0;                 // of the last step
  double beta = 1.0;               // of the last step
  double seconds = 0.0;            // of the steps alone
  double samples_per_second = 0.0;
};

/// Means of the totals.
ElboTerms mean_terms(const TrainingTotals& totals);

/// What to do about a run that diverged.
inline constexpr const char* kDivergedAdvice =
    "The run diverged: try a lower --lr, a warm-up (--warmup-epochs), --clip-norm or narrower "
    "--log-var-clamp";

/// The run has left the finite numbers; the message says where and what may help.
class Diverged : public std::runtime_error {
 public:
  explicit Diverged(const std::string& where)
      : std::runtime_error(where + ". " + kDivergedAdvice), where_(where) {}
  /// The message without the advice.
  const std::string& where() const { return where_; }

 private:
  std::string where_;
};

/// A step is not taken, since its loss or its gradient is not finite: the state stands before it.
class NonFiniteStep : public Diverged {
 public:
  /// `of_epoch`: of that step, from 0.
  NonFiniteStep(const BadStep& bad, int epoch, std::int64_t of_epoch, std::int64_t steps);
  const BadStep& bad() const { return bad_; }

 private:
  BadStep bad_;
};

/// Throws Diverged if not one step of the epoch was taken.
void check_any_taken(int epoch, const TrainingTotals& totals);

/// Throws Diverged, naming `which` ELBO ("training", "held-out"), unless the bound is finite.
void check_finite(const std::string& which, int epoch, const ElboTerms& terms);

/// A step has made parameters NaN or infinite.
class SpoiledParameters : public Diverged {
  using Diverged::Diverged;
};

/// Throws SpoiledParameters unless the count of parameters that are NaN or infinite in `epoch` is 0.
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

/// The data that step `step` of an epoch visits, in `order`.
inline std::span<const std::uint32_t> rows_of_step(std::span<const std::uint32_t> order, std::int64_t step,
                                                   std::int64_t batch) {
  const auto first = static_cast<std::size_t>(step * batch);
  return order.subspan(first, std::min(static_cast<std::size_t>(batch), order.size() - first));
}

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

/// Throws NonFiniteStep if the training has stopped by itself; `state` and `at` then stand before the step
/// that it did not take. `first`: steps before the epoch.
template <class Exec>
void check_stopped(OnNonFinite on_non_finite, const TrainingTotals& totals, std::int64_t first,
                   std::int64_t steps, ModelState<Exec>& state, RunProgress& at) {
  if (on_non_finite != OnNonFinite::kStop || totals.bad.step < 0) return;
  state.step = totals.bad.step;
  at.steps = state.step - first;
  at.totals = totals;
  throw NonFiniteStep(totals.bad, state.epoch + 1, at.steps, steps);
}

/// Says when the host shall look whether the training has stopped by itself: seldom enough to cost nothing.
/// What becomes of the state does not depend on when.
class Watch {
 public:
  bool due() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(1)) return false;
    last_ = now;
    return true;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace detail

/// Runs epoch state.epoch + 1 from step at.steps of it on: every datum once, in the order of (seed, epoch).
/// `after_step` returns an AfterStep behind each step and costs no wait; where that is kSave or kStop, `save`
/// is called, with the epoch's sums so far in `at`. Returns nothing if it was stopped so; else the epoch's
/// means, and `at` stands at the start of the next epoch. Throws NonFiniteStep at the first step whose loss
/// or gradient is not finite, unless such steps are skipped: `state`, which is the step's, and `at` then
/// stand before it. Throws Diverged if the epoch's ELBO or a parameter is not finite all the same; `state` is
/// then of no more use.
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
  detail::Watch watch;
  while (at.steps < steps) {
    const std::int64_t count = step();
    ++at.steps;
    if (watch.due()) {
      at.seconds = seconds();
      detail::check_stopped(step.on_non_finite(), step.totals(), first, steps, state, at);
    }
    progress.step(count, [&] { return mean_terms(step.totals()); });
    const AfterStep next = after_step(at.steps);
    if (next == AfterStep::kGoOn) continue;
    at.seconds = seconds();
    detail::check_stopped(step.on_non_finite(), step.totals(), first, steps, state, at);
    at.totals = step.totals();
    if (at.totals.count > 0)  // not all were skipped; before a good checkpoint is replaced
      check_finite("training", state.epoch + 1, mean_terms(at.totals));
    check_parameters(state.epoch + 1, step.non_finite_parameters());
    save();
    if (next == AfterStep::kStop) return std::nullopt;
  }
  at.seconds = seconds();
  detail::check_stopped(step.on_non_finite(), step.totals(), first, steps, state, at);
  EpochTraining result;
  result.lr = plan.lr.rate(first + steps - 1, steps);
  result.beta = plan.beta.beta(first + steps - 1, steps);
  ++state.epoch;
  const TrainingTotals totals = step.take_totals();
  check_any_taken(state.epoch, totals);
  result.terms = mean_terms(totals);
  result.bound = totals.bound / static_cast<double>(totals.count);
  result.clamped = totals.clamped;
  result.norm_mean = totals.norm_sum / static_cast<double>(totals.steps);
  result.norm_max = totals.norm_max;
  result.clipped_steps = totals.clipped_steps;
  result.skipped_steps = totals.skipped_steps;
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
