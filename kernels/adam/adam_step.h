// What every Adam refuses, and what it works out once a step.
#pragma once

#include <cmath>

#include "kernels/adam/adam.h"
#include "kernels/adam/adam_math.h"
#include "kernels/common/check.h"

namespace felbo {

inline void check(const AdamArgs& args) {
  const std::int64_t count = args.parameter.size;
  FELBO_CHECK(args.gradient.size == count && args.m.size == count && args.v.size == count,
              "adam: {} parameters, but {} gradients, {} first and {} second moments", count,
              args.gradient.size, args.m.size, args.v.size);
  FELBO_CHECK(args.rounded.empty() || args.rounded.size == count,
              "adam: {} parameters, but room for {} in bfloat16", count, args.rounded.size);
  FELBO_CHECK(args.step >= 1, "adam: steps count from 1, got {}", args.step);
  FELBO_CHECK(args.beta1 >= 0.0f && args.beta1 < 1.0f, "adam: beta1 must be in [0, 1), got {}", args.beta1);
  FELBO_CHECK(args.beta2 >= 0.0f && args.beta2 < 1.0f, "adam: beta2 must be in [0, 1), got {}", args.beta2);
  FELBO_CHECK(std::isfinite(args.epsilon) && args.epsilon > 0.0f,
              "adam: epsilon must be positive and finite, got {}", args.epsilon);
  FELBO_CHECK(std::isfinite(args.lr), "adam: the learning rate must be finite, got {}", args.lr);
}

/// 1 - beta^t without cancellation.
inline double bias_correction(float beta, std::int64_t t) {
  return -std::expm1(static_cast<double>(t) * std::log(static_cast<double>(beta)));
}

/// The numbers that all parameters of the step share.
inline adam_math::Step fold(const AdamArgs& args) {
  return {static_cast<float>(args.lr / bias_correction(args.beta1, args.step)),
          static_cast<float>(1.0 / std::sqrt(bias_correction(args.beta2, args.step))),
          args.beta1,
          1.0f - args.beta1,
          args.beta2,
          1.0f - args.beta2,
          args.epsilon};
}

}  // namespace felbo
