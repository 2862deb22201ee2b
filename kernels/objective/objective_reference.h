// The objectives, transcribed from the formulas in objective.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace felbo::reference {

/// mean_s log p(x|z_s) of one datum.
template <class T>
T mean(const std::vector<T>& values) {
  T total = 0;
  for (const T value : values) total += value;
  return total / T(values.size());
}

template <class T>
T elbo(const std::vector<T>& log_px_given_z, T kl) {
  return mean(log_px_given_z) - kl;
}

/// log((1/S) sum_s exp(log_w_s)), with e^c taken out of the sum so that no term overflows: c is the largest.
template <class T>
T log_mean_exp(const std::vector<T>& log_w) {
  const T c = *std::max_element(log_w.begin(), log_w.end());
  T total = 0;
  for (const T value : log_w) total += std::exp(value - c);
  return c + std::log(total / T(log_w.size()));
}

/// w_s / sum_t w_t, with e^c taken out of both: the logarithm of the sum would not be told from c where c is
/// large.
template <class T>
std::vector<T> normalised_weights(const std::vector<T>& log_w) {
  const T c = *std::max_element(log_w.begin(), log_w.end());
  T total = 0;
  for (const T value : log_w) total += std::exp(value - c);
  std::vector<T> out;
  for (const T value : log_w) out.push_back(std::exp(value - c) / total);
  return out;
}

}  // namespace felbo::reference
