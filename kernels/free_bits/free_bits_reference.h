// Plain loops from the formula of free_bits.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace felbo::reference {

/// KL_d, (Z).
template <class T>
std::vector<T> kl_of_dimensions(const std::vector<T>& mu, const std::vector<T>& log_var, int B, int Z, T lo,
                                T hi) {
  std::vector<T> out(static_cast<std::size_t>(Z));
  for (int d = 0; d < Z; ++d) {
    T sum = 0;
    for (int b = 0; b < B; ++b) {
      const std::size_t at =
          static_cast<std::size_t>(b) * static_cast<std::size_t>(Z) + static_cast<std::size_t>(d);
      const T v = std::clamp(log_var[at], lo, hi);
      sum += (mu[at] * mu[at] + std::exp(v) - v - T(1)) / T(2);
    }
    out[static_cast<std::size_t>(d)] = sum / T(B);
  }
  return out;
}

}  // namespace felbo::reference
