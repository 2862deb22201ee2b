// What one parameter becomes, shared by the CPU loops and the CUDA kernels.
#pragma once

#include <cfloat>

#include "kernels/adam/adam.h"
#include "kernels/common/math.h"

namespace felbo::adam_math {

/// Zero for a subnormal, which some processors handle ten times more slowly; a NaN is kept.
FELBO_HD inline float flush(float x) { return x < FLT_MIN && x > -FLT_MIN ? 0.0f : x; }

FELBO_HD inline float first_moment(const AdamStep& step, float m, float g) {
  return flush(math::fma(step.beta1, m, math::mul(step.rest1, g)));
}
FELBO_HD inline float second_moment(const AdamStep& step, float v, float g) {
  return flush(math::fma(step.beta2, v, math::mul(math::mul(step.rest2, g), g)));
}
/// The parameter after the step, from the new moments.
FELBO_HD inline float parameter(const AdamStep& step, float theta, float m, float v) {
  const float denominator = math::fma(math::sqrt(v), step.v_scale, step.epsilon);
  return math::fma(-step.rate, m / denominator, theta);
}

}  // namespace felbo::adam_math
