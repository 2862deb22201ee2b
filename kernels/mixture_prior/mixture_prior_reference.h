// Plain loops from the formulas of mixture_prior.h. Rows one after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace felbo::reference {

template <class T>
struct Mixture {
  std::vector<T> mu, log_var;  // (K, Z), log_var not clamped
  std::vector<T> logit;        // (K); empty: equal
  std::size_t components, latent;
  T lo, hi;
};

/// l_k of z, (K).
template <class T>
std::vector<T> component_log_densities(const Mixture<T>& mixture, const T* z) {
  using std::exp, std::log;
  T total = 0;
  for (std::size_t k = 0; k < mixture.components; ++k)
    total += mixture.logit.empty() ? T(1) : exp(mixture.logit[k]);
  std::vector<T> out;
  for (std::size_t k = 0; k < mixture.components; ++k) {
    T l = (mixture.logit.empty() ? T(0) : mixture.logit[k]) - log(total);
    for (std::size_t d = 0; d < mixture.latent; ++d) {
      const std::size_t at = k * mixture.latent + d;
      const T v = std::clamp(mixture.log_var[at], mixture.lo, mixture.hi), away = z[d] - mixture.mu[at];
      l -= (log(T(2) * std::numbers::pi_v<T>) + v + away * away / exp(v)) / T(2);
    }
    out.push_back(l);
  }
  return out;
}

/// log p(z).
template <class T>
T mixture_log_density(const Mixture<T>& mixture, const T* z) {
  using std::exp, std::log;
  const std::vector<T> l = component_log_densities(mixture, z);
  const T max = *std::ranges::max_element(l);
  T sum = 0;
  for (const T value : l) sum += exp(value - max);
  return max + log(sum);
}

}  // namespace felbo::reference
