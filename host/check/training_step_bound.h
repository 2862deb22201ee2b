// What a training step must give, from its reference in double, and how far each number may be off.
#pragma once

#include <cstdint>
#include <vector>

#include "host/check/parity.h"
#include "host/check/tolerance.h"
#include "host/train/training_step.h"
#include "host/train/training_step_reference.h"

namespace felbo::checks {

/// How the activations of a step and the operands of its products are stored.
enum class Storage { kFloat, kBFloat16 };

/// A step's outcome by the reference, with a bound of the rounding errors of each number by a running error
/// analysis over the ops that it is made of. Of one stochastic layer, in bfloat16 of the default posterior
/// and prior.
class ExpectedStep {
 public:
  /// Of a step on `in` from Adam's moments `m` and `v` (P) as they stand before it.
  ExpectedStep(const reference::StepInput<double>& in, const Values& m, const Values& v,
               Storage storage = Storage::kFloat);

  /// Whether a log-variance is so near one of its bounds that rounding decides its gradient: there is no
  /// bound of the step's errors then.
  bool straddles_a_bound() const { return straddles_; }

  /// Compare what the step gave: its flat gradient (P); parameters and moments (P) after it; sums over its
  /// batch.
  void judge_gradient(Parity& parity, const std::vector<float>& gradient) const;
  void judge_state(Parity& parity, const Values& parameters, const Values& m, const Values& v) const;
  void judge_totals(Parity& parity, const TrainingTotals& got) const;

 private:
  const Vae* vae_;
  std::int64_t count_;
  reference::StepTrace<double> want_;
  Values gradient_tolerance_;  // (P)
  std::vector<AdamBound> adam_;
  bool straddles_ = false;
  double log_px_tolerance_ = 0, kl_tolerance_ = 0, bound_tolerance_ = 0;
};

}  // namespace felbo::checks
