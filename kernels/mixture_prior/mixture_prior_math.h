// What one element or component contributes, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/math.h"
#include "kernels/mixture_prior/mixture_prior.h"

namespace felbo::mixture_math {

inline constexpr double kLog2Pi = 1.8378770664093454836;

/// The parts of the scratch.
template <class T>
struct Table {
  T* inverse;   // (K, Z) exp(-v)
  T* constant;  // (K) log pi_k - 1/2 sum_d (log 2 pi + v_kd)
  T* share;     // (K) pi_k
};
template <class T>
FELBO_HD_INLINE Table<T> table(View<T, 1> scratch, std::int64_t components, std::int64_t latent) {
  T* constant = scratch.data + components * latent;
  return {scratch.data, constant, constant + components};
}

/// (z - m)^2 s.
FELBO_HD_INLINE float distance(float z, float m, float inverse) {
  const float d = math::add(z, -m);
  return math::mul(math::mul(d, inverse), d);
}
/// (z - m) s.
FELBO_HD_INLINE float pull(float z, float m, float inverse) { return math::mul(math::add(z, -m), inverse); }

/// l_k from the sum of the distances.
FELBO_HD_INLINE double log_density(float constant, double distances) {
  return static_cast<double>(constant) - 0.5 * distances;
}

/// exp(l) relative to exp(max). A NaN is kept.
FELBO_HD_INLINE float relative(double l, double max) {
  return math::exp_nonpositive(math::at_most(static_cast<float>(l - max), 0.0f));
}

/// What a row's gradients are scaled by.
FELBO_HD inline float row_scale(const MixturePriorGradArgs& a, std::int64_t row) {
  const float weight = a.weight.empty() ? 1.0f / static_cast<float>(a.samples) : a.weight(row);
  return math::mul(a.kl_scale.get(), weight);
}

}  // namespace felbo::mixture_math
