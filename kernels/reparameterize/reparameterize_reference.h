// Plain loops from the formulas of reparameterize.h. `Draw` gives eps(b, s, d).
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace felbo::reference {

template <class T>
struct Reparameterized {
  std::vector<T> z;               // (B * S, Z)
  std::vector<T> kl;              // (B)
  std::vector<T> log_pz;          // (B * S)
  std::vector<T> log_qz_given_x;  // (B * S)
  std::vector<int> clamped;       // (B)
};

template <class T, class Draw>
Reparameterized<T> reparameterize(const std::vector<T>& mu, const std::vector<T>& log_var, int B, int S,
                                  int Z, T lo, T hi, const Draw& eps) {
  using std::exp, std::log;
  Reparameterized<T> out;
  out.z.resize(std::size_t(B) * S * Z);
  for (int b = 0; b < B; ++b) {
    T kl = 0;
    int clamped = 0;
    for (int d = 0; d < Z; ++d) {
      const T raw = log_var[std::size_t(b) * Z + d];
      const T m = mu[std::size_t(b) * Z + d];
      const T v = std::clamp(raw, lo, hi);
      clamped += raw != v;
      kl += (m * m + exp(v) - v - T(1)) / T(2);
    }
    out.kl.push_back(kl);
    out.clamped.push_back(clamped);
    for (int s = 0; s < S; ++s) {
      T p = 0, q = 0;
      for (int d = 0; d < Z; ++d) {
        const T v = std::clamp(log_var[std::size_t(b) * Z + d], lo, hi);
        const T m = mu[std::size_t(b) * Z + d];
        const T z = m + exp(v / T(2)) * eps(b, s, d);
        out.z[(std::size_t(b) * S + s) * Z + d] = z;
        p -= (log(T(2) * std::numbers::pi_v<T>) + z * z) / T(2);
        q -= (log(T(2) * std::numbers::pi_v<T>) + v + (z - m) * (z - m) / exp(v)) / T(2);
      }
      out.log_pz.push_back(p);
      out.log_qz_given_x.push_back(q);
    }
  }
  return out;
}

template <class T>
struct ReparameterizeGradient {
  std::vector<T> mu, log_var;  // (B, Z)
};

template <class T, class Draw>
ReparameterizeGradient<T> reparameterize_gradient(const std::vector<T>& mu, const std::vector<T>& log_var,
                                                  const std::vector<T>& grad_z, int B, int S, int Z,
                                                  T kl_scale, T lo, T hi, const Draw& eps) {
  using std::exp;
  ReparameterizeGradient<T> out;
  for (int b = 0; b < B; ++b) {
    for (int d = 0; d < Z; ++d) {
      const std::size_t at = std::size_t(b) * Z + d;
      T through_mean = kl_scale * mu[at];
      T through_scale = kl_scale * (exp(log_var[at]) - T(1)) / T(2);
      for (int s = 0; s < S; ++s) {
        const T g = grad_z[(std::size_t(b) * S + s) * Z + d];
        through_mean += g;
        through_scale += g * eps(b, s, d) * exp(log_var[at] / T(2)) / T(2);
      }
      const bool inside = log_var[at] >= lo && log_var[at] <= hi;
      out.mu.push_back(through_mean);
      out.log_var.push_back(inside ? through_scale : T(0));
    }
  }
  return out;
}

}  // namespace felbo::reference
