#include <cmath>

#include "kernels/adam/adam.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

/// 1 - beta^t without cancellation.
double bias_correction(float beta, std::int64_t t) {
  return -std::expm1(static_cast<double>(t) * std::log(static_cast<double>(beta)));
}

}  // namespace

AdamStep adam_step(const AdamOptions& o, std::int64_t t) {
  FELBO_CHECK(t >= 1, "adam: steps count from 1, got {}", t);
  FELBO_CHECK(o.beta1 >= 0.0f && o.beta1 < 1.0f, "adam: beta1 must be in [0, 1), got {}", o.beta1);
  FELBO_CHECK(o.beta2 >= 0.0f && o.beta2 < 1.0f, "adam: beta2 must be in [0, 1), got {}", o.beta2);
  FELBO_CHECK(std::isfinite(o.epsilon) && o.epsilon > 0.0f,
              "adam: epsilon must be positive and finite, got {}", o.epsilon);
  FELBO_CHECK(std::isfinite(o.lr), "adam: the learning rate must be finite, got {}", o.lr);
  return {static_cast<float>(o.lr / bias_correction(o.beta1, t)),
          static_cast<float>(1.0 / std::sqrt(bias_correction(o.beta2, t))),
          o.beta1,
          1.0f - o.beta1,
          o.beta2,
          1.0f - o.beta2,
          o.epsilon};
}

}  // namespace felbo
