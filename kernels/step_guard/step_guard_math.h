// The verdict on a step, shared by the CPU loops and the CUDA kernels.
#pragma once

#include <cmath>

#include "kernels/common/view.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo::step_guard_math {

/// Elements of the gradient whose squares are added up at once.
inline constexpr std::int64_t kChunk = 4096;

FELBO_HD inline bool is_finite(double x) { return x - x == 0.0; }

/// Judges the step whose gradient has this sum of squares.
FELBO_HD inline void judge(const GuardStepArgs& args, double squares) {
  StepGuard& g = args.guard(0);
  const double norm = sqrt(squares), elbo = args.terms(2), bound = args.terms(3);
  const bool sums =
      is_finite(args.terms(0)) && is_finite(args.terms(1)) && is_finite(elbo) && is_finite(bound);
  const bool stopped = args.on_non_finite == OnNonFinite::kStop && g.first_bad != 0;
  g.norm = norm;
  g.scale = 0.0f;
  if (stopped) return;
  if (!sums || !(norm < kGradientNormLimit)) {
    if (g.first_bad == 0) {
      g.first_bad = std::int64_t{args.step.get()} + 1;
      g.bad_norm = norm;
      g.bad_elbo = elbo;
    }
    if (args.on_non_finite == OnNonFinite::kStop) return;
    ++g.skipped_steps;
    g.skipped_data += args.data;
    return;
  }
  const bool clips = args.clip_norm > 0.0 && norm > args.clip_norm;
  g.scale = clips ? static_cast<float>(args.clip_norm / norm) : 1.0f;
  g.log_px_given_z += args.terms(0);
  g.kl += args.terms(1);
  g.elbo += elbo;
  g.bound += bound;
  g.norm_sum += norm;
  g.norm_max = norm > g.norm_max ? norm : g.norm_max;
  ++g.steps;
  g.data += args.data;
  g.clamped += args.clamped(0);
  g.clipped_steps += clips ? 1 : 0;
}

/// Leaves the step's sums at 0, for the next one.
FELBO_HD inline void clear(const GuardStepArgs& args) {
  for (int i = 0; i < 4; ++i) args.terms(i) = 0.0;
  args.clamped(0) = 0;
}

}  // namespace felbo::step_guard_math
