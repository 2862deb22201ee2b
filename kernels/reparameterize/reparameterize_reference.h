// Plain loops from the formulas of reparameterize.h. `Draw` gives eps(b, s, d).
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/reparameterize/reparameterize.h"

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

/// The estimates by samples, from the derivatives of the loss kl_scale sum_bs w_bs (log q(z_bs) - log
/// p(z_bs)) and of what grad_z stands for: d log p / dz = -z; d log q / dz = -(z - mu) / sigma^2; and by q's
/// own parameters at a fixed z, d log q / dmu = (z - mu) / sigma^2, d log q / dlog_var = ((z - mu)^2 /
/// sigma^2 - 1) / 2.
template <class T, class Draw>
ReparameterizeGradient<T> sample_gradient(PosteriorGradient kind, const std::vector<T>& mu,
                                          const std::vector<T>& log_var, const std::vector<T>& grad_z,
                                          const std::vector<T>& weight, int B, int S, int Z, T kl_scale, T lo,
                                          T hi, const Draw& eps) {
  using std::exp;
  const bool total = kind == PosteriorGradient::kMonteCarlo;
  ReparameterizeGradient<T> out;
  for (int b = 0; b < B; ++b) {
    for (int d = 0; d < Z; ++d) {
      const std::size_t at = std::size_t(b) * Z + d;
      const T var = exp(std::clamp(log_var[at], lo, hi)), sigma = exp(std::clamp(log_var[at], lo, hi) / T(2));
      T by_mean = 0, by_log_var = 0;
      for (int s = 0; s < S; ++s) {
        const std::size_t row = std::size_t(b) * S + s;
        const T e = eps(b, s, d), z = mu[at] + sigma * e, w = weight[row];
        T through_z = grad_z[row * Z + d] + kl_scale * w * (-(z - mu[at]) / var + z);
        if (kind == PosteriorGradient::kDoublyReparameterized) through_z *= w;
        by_mean += through_z;
        by_log_var += through_z * e * sigma / T(2);
        if (total) by_mean += kl_scale * w * (z - mu[at]) / var;
        if (total) by_log_var += kl_scale * w * ((z - mu[at]) * (z - mu[at]) / var - T(1)) / T(2);
      }
      const bool inside = log_var[at] >= lo && log_var[at] <= hi;
      out.mu.push_back(by_mean);
      out.log_var.push_back(inside ? by_log_var : T(0));
    }
  }
  return out;
}

}  // namespace felbo::reference
