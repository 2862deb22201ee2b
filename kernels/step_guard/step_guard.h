// Judges an optimiser step before it is taken: whether its terms and its gradient g are finite, and by what
// the gradient is scaled, its norm clipped at c (Pascanu, Mikolov and Bengio, ICML 2013, algorithm 1):
//
//   norm = sqrt(sum_i g_i^2),   scale = c / norm if norm > c, else 1
//
// A step that may not be taken gets the scale 0, by which Adam (kernels/adam) changes nothing: what a
// training has learned stays as it was before the step, and no word from the host is needed in time.
#pragma once

#include <cstdint>

#include "host/exec/exec.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

/// The largest norm that is let through lies below this, 2^63: the square of any element then has room in a
/// float (2^126), as Adam's second moment needs it.
inline constexpr double kGradientNormLimit = 9223372036854775808.0;

/// What the guard knows. All zero, it knows of no step.
struct StepGuard {
  float scale;  // of the gradient of the step judged last; 0: it is not to be taken
  double norm;  // of that gradient

  // Of the steps that are taken: sums of their terms in nats, over data; of their norms, and the largest.
  double log_px_given_z, kl, elbo, bound;
  double norm_sum, norm_max;
  std::int64_t steps, data, clamped;  // clamped: log-variances that the clamp held
  std::int64_t clipped_steps;         // whose norm was above the limit
  // Of those that are not; kStop skips none.
  std::int64_t skipped_steps, skipped_data;
  std::int64_t first_bad;  // 1 + the number of the first; 0: there is none
  double bad_norm;         // its norm
  double bad_elbo;         // the sum of its data's ELBO
};

/// What follows a step that may not be taken.
enum class OnNonFinite {
  kStop,  // no later one is taken either
  kSkip   // the next one
};

struct GuardStepArgs {
  View<const float, 1> gradient;  // (P); empty: the norm is not looked at, and counts as 0
  View<double, 1> terms;          // (4) this step's sums: log p(x|z), KL, ELBO, bound; left 0
  View<std::int64_t, 1> clamped;  // (1) this step's; left 0
  std::int64_t data = 0;          // of this step
  Scalar<std::uint32_t> step;     // steps before this one
  double clip_norm = 0.0;         // c; 0: nothing is clipped
  OnNonFinite on_non_finite = OnNonFinite::kStop;
  View<double, 1> partial;   // (step_guard_scratch(P))
  View<StepGuard, 1> guard;  // (1) goes on from what stands there
};

/// Doubles of scratch for P parameters.
std::int64_t step_guard_scratch(std::int64_t parameters);

/// Squares are taken and added in double, where the largest float's has room: the norm is finite if and only
/// if all of the gradient is. Chunks of fixed lengths are added up, then their sums, in an order that depends
/// on P alone. Under kStop the sums stay as they are from the first bad step on. Throws std::invalid_argument
/// if shapes disagree, `data` is negative, or clip_norm is negative or NaN.
void guard_step(const CpuExec& exec, const GuardStepArgs& args);
void guard_step(const CudaExec& exec, const GuardStepArgs& args);

}  // namespace felbo
