// Plain loops from the formulas of gaussian_kl.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace felbo::reference {

template <class T>
std::vector<T> gaussian_kl(const std::vector<T>& mu, const std::vector<T>& log_var, const std::vector<T>& m,
                           const std::vector<T>& v, T lo, T hi) {
  using std::exp;
  std::vector<T> out;
  for (std::size_t b = 0; b * m.size() < mu.size(); ++b) {
    T kl = 0;
    for (std::size_t d = 0; d < m.size(); ++d) {
      const std::size_t at = b * m.size() + d;
      const T q = exp(std::clamp(log_var[at], lo, hi)), p = exp(std::clamp(v[d], lo, hi));
      kl += ((mu[at] - m[d]) * (mu[at] - m[d]) / p + q / p - std::log(q / p) - T(1)) / T(2);
    }
    out.push_back(kl);
  }
  return out;
}

}  // namespace felbo::reference
