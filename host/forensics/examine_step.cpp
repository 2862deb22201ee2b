// The overloads of ops for a WatchedExec must be known where the training step is instantiated.
#include "host/forensics/examine_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "host/train/trainer.h"

namespace felbo {
namespace {

/// What was wrong before the step.
void look_at_state(const WatchedExec& exec, const Vae& vae, const ModelState<WatchedExec>& state) {
  const std::pair<const char*, const Buffer<WatchedExec, float>*> buffers[] = {
      {"", &state.parameters}, {"adam.m.", &state.m}, {"adam.v.", &state.v}};
  for (const auto& [prefix, buffer] : buffers) {
    for (const ParameterEntry& entry : vae.table().entries())
      exec.look("state", prefix + entry.name, vector_of(buffer->view(), entry), RowsAre::kNoData);
  }
}

}  // namespace

NextStep next_step(const RunConfig& config, std::int64_t rows, std::int64_t step, int epoch,
                   std::int64_t of_epoch) {
  const std::int64_t batch = std::min(config.batch, rows), steps = steps_per_epoch(rows, batch);
  FELBO_CHECK(of_epoch >= 0 && of_epoch < steps, "an epoch over {} rows has {} steps, there is no step {}",
              rows, steps, of_epoch + 1);
  const std::vector<std::uint32_t> order = epoch_order(config.seed, static_cast<std::uint32_t>(epoch), rows);
  const auto visited = rows_of_step(order, of_epoch, batch);
  return {{visited.begin(), visited.end()},
          {lr_schedule(config).rate(step, steps), beta_schedule(config).beta(step, steps)},
          of_epoch,
          steps};
}

Examination examine_step(const StepAtHand& at, int threads) {
  const auto batch = static_cast<std::int64_t>(at.rows.size());
  const WatchedExec exec(threads, batch, at.options.samples);
  ModelState<WatchedExec> state = state_on(exec, at.vae, at.state);
  look_at_state(exec, at.vae, state);
  exec.name_parameters(at.vae.table(), state.parameters.data());
  const ResidentData<WatchedExec> data(exec, at.part);
  TrainingStepOptions options = at.options;
  options.max_batch = batch;
  options.track_norm = true;
  TrainingStep<WatchedExec> step(exec, at.vae, data, state, options);
  step.begin(at.rows, std::vector{at.rates});
  step();
  return {exec.first(), exec.batch()};
}

std::string describe(const Examination& examination, const std::vector<std::uint32_t>& rows) {
  if (!examination.first) return "op by op on the CPU all of it is finite";
  const Sighting& seen = *examination.first;
  const std::string value = std::isnan(seen.value) ? "nan" : fmt::format("{:.6g}", seen.value);
  std::string text = seen.op == "state" ? fmt::format("{} stands in {} before the step", value, seen.tensor)
                                        : fmt::format("{} gave {} in {}", seen.op, value, seen.tensor);
  if (seen.data.empty()) return text;
  constexpr std::size_t kMost = 5;
  std::vector<std::uint32_t> named;
  for (std::size_t i = 0; i < std::min(kMost, seen.data.size()); ++i)
    named.push_back(rows[static_cast<std::size_t>(seen.data[i])]);
  text += fmt::format(", for row{} {}", seen.data.size() > 1 ? "s" : "", fmt::join(named, ", "));
  if (seen.data.size() > kMost) text += fmt::format(" and {} more", seen.data.size() - kMost);
  return text + " of the training data";
}

}  // namespace felbo
