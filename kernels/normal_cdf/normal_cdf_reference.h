#pragma once

#include <cmath>
#include <numbers>

namespace felbo::reference {

template <class T>
T normal_cdf(T z) {
  using std::erfc;
  return erfc(-z / std::numbers::sqrt2_v<T>) / T(2);
}
template <class T>
T normal_density(T z) {
  return std::exp(-z * z / T(2)) / std::sqrt(T(2) * std::numbers::pi_v<T>);
}

}  // namespace felbo::reference
