// Clipping by the norm, transcribed from Pascanu, Mikolov and Bengio, "On the difficulty of training
// recurrent neural networks" (ICML 2013), algorithm 1.
#pragma once

#include <cmath>
#include <vector>

namespace felbo::reference {

/// The L2 norm.
template <class T>
T gradient_norm(const std::vector<T>& gradient) {
  T squares = 0;
  for (const T g : gradient) squares += g * g;
  return std::sqrt(squares);
}

/// The gradient, multiplied by threshold / norm if its norm is at least `threshold`.
template <class T>
std::vector<T> clipped(std::vector<T> gradient, T threshold) {
  const T norm = gradient_norm(gradient);
  if (norm >= threshold) {
    for (T& g : gradient) g *= threshold / norm;
  }
  return gradient;
}

}  // namespace felbo::reference
