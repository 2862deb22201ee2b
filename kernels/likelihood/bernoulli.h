// Bernoulli on logits l: log p(x) = x l - log(1 + e^l), d log p / dl = x - sigmoid(l). x may be any value of
// [0, 1]; only 0 and 1 make it a log-likelihood.
#pragma once

#include <cstdint>

#include "kernels/common/math.h"
#include "kernels/likelihood/family.h"

namespace felbo {

struct Bernoulli {
  static constexpr int kOutputs = 1;
  static constexpr OwnParameters kOwn = OwnParameters::kNone;
  static constexpr bool kClamps = false;
  static constexpr bool kExcess = true;
  static constexpr ElementOperations kOperations{.value = 7, .gradient = 4};

  /// Written with t = [l > 0] and y = e^-|l|, so that nothing cancels for x in {0, 1}:
  ///   log p = (x - t) l - log(1 + y),   gradient = (x - t) +- y / (1 + y), plus where l > 0.
  /// Within 6 eps of log p; within 5 eps of |x - t| + y / (1 + y). Finite for every finite l.
  FELBO_HD ElementTerms<1> operator()(float x, const float (&output)[1], std::int64_t) const {
    const float l = output[0];
    const bool positive = l > 0.0f;
    const float y = math::exp_nonpositive(math::minus_magnitude(l));
    const float missing = math::add(x, positive ? -1.0f : -0.0f);
    const float rest = y / math::add(y, 1.0f);
    return {math::mul(missing, l), {math::add(missing, positive ? rest : -rest)}, 0.0f, false, y};
  }

  FELBO_HD static float mean(float logit) { return math::sigmoid(logit); }
};

}  // namespace felbo
