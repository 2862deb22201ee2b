// Takes a step once more, in float and by the references in double, and says what made it not finite.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/forensics/examine_step.h"
#include "host/train/training_step.h"

namespace felbo {

/// What a step came to in float, on some device.
struct FloatStep {
  std::vector<float> gradient;  // (P)
  TrainingTotals totals;        // empty of a step that was not taken, but for `bad`
  std::int64_t spoiled = 0;     // parameters that are not finite after it
  bool finite() const { return totals.bad.step < 0 && spoiled == 0; }
};

/// Takes the step on `exec` with products of T. `at` stays as it is.
template <class T, class Exec>
FloatStep take_float_step(const Exec& exec, const StepAtHand& at) {
  ModelState<Exec> state = state_on(exec, at.vae, host_copy(CpuExec(1), at.vae, at.state));
  const ResidentData<Exec> data(exec, at.part);
  TrainingStepOptions options = at.options;
  options.max_batch = static_cast<std::int64_t>(at.rows.size());
  options.track_norm = true;
  TrainingStep<Exec, T> step(exec, at.vae, data, state, options);
  step.begin(at.rows, std::vector{at.rates});
  step();
  return {to_host(exec, step.gradient()), step.totals(), step.non_finite_parameters()};
}

/// What made the step not finite.
enum class Blame {
  kData,     // the batch holds what the likelihood cannot observe
  kState,    // a parameter or a moment was not finite before
  kModel,    // in double, too, a value is not finite or has no room in a float
  kKernel,   // double stays within float's range, and the float step does not follow it
  kNothing,  // the float step is finite here, and as the double one says
};
/// "data", "state", "model", "kernel" or "none".
std::string name_of(Blame blame);

struct Verdict {
  Blame blame = Blame::kNothing;
  std::string why;  // a sentence
  double elbo = 0.0,
         norm = 0.0;  // of the step in double: nats a datum, and L2 of the gradient; NaN where none was made
};

/// Judges the step that `examination` (op by op on the CPU) and `device` took. T: how the device's products
/// were stored. Takes the reference's time: some seconds for 10^8 products.
template <class T>
Verdict judge_step(const StepAtHand& at, const Examination& examination, const FloatStep& device);

}  // namespace felbo
