// Activations and their derivatives for one element, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/math.h"
#include "kernels/dense/dense.h"

namespace felbo::activation {

/// tanh(u) of gelu, u = sqrt(2/pi) (x + 0.044715 x^3).
FELBO_HD inline float gelu_tanh(float x) {
  return math::tanh(0.79788456f * math::fma(0.044715f * x * x, x, x));
}

/// act(x).
template <Activation A>
FELBO_HD inline float apply(float x) {
  if constexpr (A == Activation::kRelu) return x < 0.0f ? 0.0f : x;
  if constexpr (A == Activation::kTanh) return math::tanh(x);
  if constexpr (A == Activation::kGelu) return 0.5f * x * (1.0f + gelu_tanh(x));
  if constexpr (A == Activation::kSoftplus) return math::softplus(x);
  if constexpr (A == Activation::kSigmoid) return math::sigmoid(x);
  return x;
}

/// act'(x) from y = act(x); gelu alone reads x itself.
template <Activation A>
FELBO_HD inline float derivative(float y, [[maybe_unused]] float x) {
  if constexpr (A == Activation::kRelu) return y > 0.0f ? 1.0f : 0.0f;
  if constexpr (A == Activation::kTanh) return math::fma(-y, y, 1.0f);
  if constexpr (A == Activation::kGelu) {
    const float c = math::at_least(math::at_most(x, 20.0f), -20.0f);  // beyond, the derivative is 0 or 1
    const float t = gelu_tanh(c);
    const float du = 0.79788456f * math::fma(0.134145f * c, c, 1.0f);
    return 0.5f * math::fma(c * math::fma(-t, t, 1.0f), du, 1.0f + t);
  }
  if constexpr (A == Activation::kSoftplus) {
    // 1 - e^-y; by its series where the difference would cancel.
    float p = math::fma(y, 1.0f / 120.0f, -1.0f / 24.0f);
    p = math::fma(p, y, 1.0f / 6.0f);
    p = math::fma(p, y, -0.5f);
    return y < 0.1f ? math::fma(p * y, y, y) : 1.0f - math::exp_nonpositive(-y);
  }
  if constexpr (A == Activation::kSigmoid) return y * (1.0f - y);
  return 1.0f;
}

/// Calls f with the activation as a template argument.
template <class F>
void dispatch(Activation activation, const F& f) {
  switch (activation) {
    case Activation::kIdentity:
      return f.template operator()<Activation::kIdentity>();
    case Activation::kRelu:
      return f.template operator()<Activation::kRelu>();
    case Activation::kTanh:
      return f.template operator()<Activation::kTanh>();
    case Activation::kGelu:
      return f.template operator()<Activation::kGelu>();
    case Activation::kSoftplus:
      return f.template operator()<Activation::kSoftplus>();
    case Activation::kSigmoid:
      return f.template operator()<Activation::kSigmoid>();
  }
}

}  // namespace felbo::activation
