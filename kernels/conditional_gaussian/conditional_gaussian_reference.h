// Plain loops from the formulas of conditional_gaussian.h, a row at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace felbo::reference {

/// log N(h; mu, diag exp(log_var)), log_var clamped to [lo, hi].
template <class T>
T diagonal_gaussian_log_density(const std::vector<T>& h, const std::vector<T>& mu,
                                const std::vector<T>& log_var, T lo, T hi) {
  using std::exp, std::log;
  T sum = 0;
  for (std::size_t d = 0; d < h.size(); ++d) {
    const T variance = exp(std::clamp(log_var[d], lo, hi));
    sum -= log(T(2) * std::numbers::pi_v<T> * variance) / T(2) +
           (h[d] - mu[d]) * (h[d] - mu[d]) / (T(2) * variance);
  }
  return sum;
}

template <class T>
struct ConditionalDraw {
  std::vector<T> z;
  T log_q = 0, log_standard = 0;
};
template <class T>
ConditionalDraw<T> conditional_draw(const std::vector<T>& mu, const std::vector<T>& log_var,
                                    const std::vector<T>& eps, T lo, T hi) {
  using std::exp, std::sqrt;
  ConditionalDraw<T> out;
  for (std::size_t d = 0; d < mu.size(); ++d)
    out.z.push_back(mu[d] + sqrt(exp(std::clamp(log_var[d], lo, hi))) * eps[d]);
  out.log_q = diagonal_gaussian_log_density(out.z, mu, log_var, lo, hi);
  const std::vector<T> zero(mu.size(), T(0));
  out.log_standard = diagonal_gaussian_log_density(out.z, zero, zero, T(0), T(0));
  return out;
}

template <class T>
struct ConditionalGradient {
  std::vector<T> z, mu, log_var;
};
/// Of scale (log q(h) [- log N(h; 0, I)]) + sum_d grad_z_d h_d, by mu and log_var.
template <class T>
ConditionalGradient<T> conditional_draw_gradient(const std::vector<T>& mu, const std::vector<T>& log_var,
                                                 const std::vector<T>& eps, const std::vector<T>& grad_z,
                                                 T scale, bool standard_prior, T lo, T hi) {
  ConditionalGradient<T> out;
  for (std::size_t d = 0; d < mu.size(); ++d) {
    const bool clamped = log_var[d] < lo || log_var[d] > hi;
    const T sigma = std::sqrt(std::exp(std::clamp(log_var[d], lo, hi)));
    const T g = grad_z[d] + (standard_prior ? scale * (mu[d] + sigma * eps[d]) : T(0));
    out.mu.push_back(g);
    out.log_var.push_back(clamped ? T(0) : g * eps[d] * sigma / T(2) - scale / T(2));
  }
  return out;
}
/// Of -scale log N(h; mu, diag exp(log_var)), by h, mu and log_var.
template <class T>
ConditionalGradient<T> conditional_density_gradient(const std::vector<T>& h, const std::vector<T>& mu,
                                                    const std::vector<T>& log_var, T scale, T lo, T hi) {
  ConditionalGradient<T> out;
  for (std::size_t d = 0; d < mu.size(); ++d) {
    const bool clamped = log_var[d] < lo || log_var[d] > hi;
    const T variance = std::exp(std::clamp(log_var[d], lo, hi)), away = h[d] - mu[d];
    out.z.push_back(scale * away / variance);
    out.mu.push_back(-scale * away / variance);
    out.log_var.push_back(clamped ? T(0) : scale * (T(1) - away * away / variance) / T(2));
  }
  return out;
}

}  // namespace felbo::reference
