// What every guard_step refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo {

inline void check(const GuardStepArgs& args) {
  FELBO_CHECK(args.terms.size == 4 && args.clamped.size == 1 && args.guard.size == 1,
              "guard_step: terms have 4 elements, clamped and guard one each, got {}, {} and {}",
              args.terms.size, args.clamped.size, args.guard.size);
  FELBO_CHECK(args.partial.size == step_guard_scratch(args.gradient.size),
              "guard_step: {} parameters need scratch for {} sums, got {}", args.gradient.size,
              step_guard_scratch(args.gradient.size), args.partial.size);
  FELBO_CHECK(args.data >= 0, "guard_step: a step visits 0 or more data, got {}", args.data);
  FELBO_CHECK(args.clip_norm >= 0.0, "guard_step: the norm is clipped at 0 (not at all) or above, got {}",
              args.clip_norm);
}

}  // namespace felbo
