// Algorithm 1 of Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015), line by line.
#pragma once

#include <cmath>
#include <cstdint>

namespace felbo::reference {

/// One parameter with its moments; T is double in the tests.
template <class T>
struct AdamState {
  T theta = 0;
  T m = 0;
  T v = 0;
};

template <class T>
AdamState<T> adam(AdamState<T> s, T g, T alpha, T beta1, T beta2, T epsilon, std::int64_t t) {
  s.m = beta1 * s.m + (1 - beta1) * g;
  s.v = beta2 * s.v + (1 - beta2) * (g * g);
  const T m_hat = s.m / (1 - std::pow(beta1, T(t)));
  const T v_hat = s.v / (1 - std::pow(beta2, T(t)));
  s.theta = s.theta - alpha * m_hat / (std::sqrt(v_hat) + epsilon);
  return s;
}

}  // namespace felbo::reference
