// Plain loops from the formulas of dense.h.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/dense/dense.h"

namespace felbo::reference {

template <class T>
T activation(Activation which, T x) {
  using std::exp, std::log1p, std::tanh, std::sqrt, std::abs, std::max;
  switch (which) {
    case Activation::kRelu:
      return max(x, T(0));
    case Activation::kTanh:
      return tanh(x);
    case Activation::kGelu:
      return x / T(2) * (T(1) + tanh(sqrt(T(2) / std::numbers::pi_v<T>) * (x + T(0.044715) * x * x * x)));
    case Activation::kSoftplus:
      return max(x, T(0)) + log1p(exp(-abs(x)));
    case Activation::kSigmoid:
      return T(1) / (T(1) + exp(-x));
    case Activation::kIdentity:
      break;
  }
  return x;
}

template <class T>
T activation_derivative(Activation which, T x) {
  using std::exp, std::cosh, std::tanh, std::sqrt;
  switch (which) {
    case Activation::kRelu:
      return x > T(0) ? T(1) : T(0);
    case Activation::kTanh:
      return T(1) / (cosh(x) * cosh(x));
    case Activation::kGelu: {
      const T k = sqrt(T(2) / std::numbers::pi_v<T>);
      const T u = k * (x + T(0.044715) * x * x * x);
      return (T(1) + tanh(u)) / T(2) +
             x / T(2) * k * (T(1) + T(3) * T(0.044715) * x * x) / (cosh(u) * cosh(u));
    }
    case Activation::kSoftplus:
      return T(1) / (T(1) + exp(-x));
    case Activation::kSigmoid:
      return exp(-x) / ((T(1) + exp(-x)) * (T(1) + exp(-x)));
    case Activation::kIdentity:
      break;
  }
  return T(1);
}

/// x W + bias, before the activation, and the sum of the magnitudes of its terms, which scales rounding
/// errors.
template <class T>
struct Affine {
  std::vector<T> value, magnitude;  // (B, O)
};
template <class T>
Affine<T> affine(const std::vector<T>& x, const std::vector<T>& weight, const std::vector<T>& bias, int B,
                 int I, int O) {
  Affine<T> out;
  for (int b = 0; b < B; ++b) {
    for (int o = 0; o < O; ++o) {
      T sum = bias[o], magnitude = std::abs(bias[o]);
      for (int i = 0; i < I; ++i) {
        const T term = x[std::size_t(b) * I + i] * weight[std::size_t(i) * O + o];
        sum += term;
        magnitude += std::abs(term);
      }
      out.value.push_back(sum);
      out.magnitude.push_back(magnitude);
    }
  }
  return out;
}

/// Gradients of sum(grad_y * (x W + bias)), and the sums of magnitudes. grad_x is not yet multiplied by the
/// derivative of the activation below.
template <class T>
struct AffineGradient {
  std::vector<T> x, weight, bias, x_magnitude, weight_magnitude, bias_magnitude;
};
template <class T>
AffineGradient<T> affine_gradient(const std::vector<T>& x, const std::vector<T>& weight,
                                  const std::vector<T>& grad_y, int B, int I, int O) {
  AffineGradient<T> g;
  g.x.assign(std::size_t(B) * I, T(0));
  g.weight.assign(std::size_t(I) * O, T(0));
  g.bias.assign(std::size_t(O), T(0));
  g.x_magnitude = g.x, g.weight_magnitude = g.weight, g.bias_magnitude = g.bias;
  for (int b = 0; b < B; ++b) {
    for (int o = 0; o < O; ++o) {
      const T up = grad_y[std::size_t(b) * O + o];
      g.bias[o] += up;
      g.bias_magnitude[o] += std::abs(up);
      for (int i = 0; i < I; ++i) {
        const T to_x = up * weight[std::size_t(i) * O + o], to_weight = up * x[std::size_t(b) * I + i];
        g.x[std::size_t(b) * I + i] += to_x;
        g.x_magnitude[std::size_t(b) * I + i] += std::abs(to_x);
        g.weight[std::size_t(i) * O + o] += to_weight;
        g.weight_magnitude[std::size_t(i) * O + o] += std::abs(to_weight);
      }
    }
  }
  return g;
}

}  // namespace felbo::reference
