// Plain loops from the formulas of covariance_factor.h. `Draw` gives eps(b, s, d).
#pragma once

#include <cstddef>
#include <vector>

namespace felbo::reference {

template <class T>
struct CovarianceFactored {
  std::vector<T> z;   // (B * S, Z)
  std::vector<T> kl;  // (B) what is added
};

/// From z = mu + sigma eps.
template <class T, class Draw>
CovarianceFactored<T> covariance_factor(const std::vector<T>& factor, std::vector<T> z, int B, int S, int Z,
                                        const Draw& eps) {
  CovarianceFactored<T> out;
  std::size_t at = 0;  // elements below the diagonal are listed row by row
  for (int b = 0; b < B; ++b) {
    T kl = 0;
    for (int i = 0; i < Z; ++i) {
      for (int j = 0; j < i; ++j) {
        const T l = factor[at++];
        kl += l * l / T(2);
        for (int s = 0; s < S; ++s) {
          z[(static_cast<std::size_t>(b) * S + s) * Z + static_cast<std::size_t>(i)] += l * eps(b, s, j);
        }
      }
    }
    out.kl.push_back(kl);
  }
  out.z = z;
  return out;
}

/// (B, Z (Z - 1) / 2).
template <class T, class Draw>
std::vector<T> covariance_factor_gradient(const std::vector<T>& factor, const std::vector<T>& grad_z, int B,
                                          int S, int Z, T kl_scale, const Draw& eps) {
  std::vector<T> out;
  for (int b = 0; b < B; ++b) {
    for (int i = 0; i < Z; ++i) {
      for (int j = 0; j < i; ++j) {
        T sum = kl_scale * factor[out.size()];
        for (int s = 0; s < S; ++s) {
          sum +=
              grad_z[(static_cast<std::size_t>(b) * S + s) * Z + static_cast<std::size_t>(i)] * eps(b, s, j);
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

}  // namespace felbo::reference
