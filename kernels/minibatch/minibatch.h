// The next step of an epoch, taken from the epoch's plan: which data it visits and the numbers in which it
// differs from other steps. It stands in memory of the Exec, so that a step recorded once can be replayed
// with no word from the host.
#pragma once

#include "host/exec/exec.h"
#include "kernels/adam/adam.h"
#include "kernels/common/view.h"

namespace felbo {

/// What changes from one optimiser step to the next.
struct StepPlan {
  std::uint32_t step;  // steps taken before: names the noise
  float kl_scale;      // beta / B
  AdamStep adam;
  std::int64_t place = -1;  // where the step's rows stand, if the host has gathered them: gather.h
};

struct NextMinibatchArgs {
  View<const std::uint32_t, 1> order;  // (N) the data in the order of the epoch
  View<const StepPlan, 1> plan;        // (T) a step each
  std::int64_t batch = 1;              // step i visits order[i * batch] and on
  View<std::int64_t, 1> position;      // (1) i, the steps of the epoch taken so far
  View<std::uint32_t, 1> rows;         // (B) the data of step i, B at most `batch`
  View<StepPlan, 1> now;               // (1) plan[i]
};

/// rows = order[i * batch ... i * batch + B - 1] and now = plan[i] of i = position, which then moves on by
/// one. The caller sees to it that step i is there. Throws std::invalid_argument if `rows` is empty or longer
/// than `batch` or than the order, or if position or now have not one element.
void next_minibatch(const CpuExec& exec, const NextMinibatchArgs& args);
void next_minibatch(const CudaExec& exec, const NextMinibatchArgs& args);

}  // namespace felbo
