// Categorical over K levels a dimension, of logits l that lie side by side (X, K):
//
//   log p(x|z) = sum_j l_j[x_j] - log sum_k exp(l_j[k])        d / d l_j[k] = [k = x_j] - softmax(l_j)[k]
//
// x = level / max(K - 1, 1), as the encoder reads it. A dimension's logits are read three times on a CPU
// (largest, sum, gradient), each time but the first from the nearest cache; a GPU holds up to 256 in
// registers, and reads more of them once again. There is no memory of K numbers beside the logits.
#pragma once

#include "kernels/common/math.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {
namespace categorical_math {

/// Operations of a dimension as kernels/common/work.h counts them, what is computed again rather than kept
/// once. A logit: a difference, exp and a sum, and for the gradient a product, a difference and the scale. A
/// dimension: log p is a difference of two terms, one of them a logarithm, and is summed; the gradient takes
/// a reciprocal.
constexpr double operations(int categories, bool gradient) {
  return categories * (gradient ? 6.0 : 3.0) + (gradient ? 5.0 : 4.0);
}

/// The level that x stands for, within [0, K - 1] whatever x is.
FELBO_HD_INLINE int level_of(float x, int categories) {
  const auto last = static_cast<float>(categories - 1);
  const float level = math::at_most(math::at_least(math::fma(x, last, 0.5f), 0.0f), last);
  return x == x ? static_cast<int>(level) : 0;
}

/// log p of one dimension: the observed logit less the largest one, and the sum of exp(logit - largest).
/// Within 3 eps of |shifted| + log sum, and the relative error of the sum. A NaN in either, or in x, is kept.
FELBO_HD_INLINE float log_p(float x, float shifted, float sum) {
  const float log_sum = math::select(sum == sum, math::log_normal(sum), sum);
  return math::select(x == x, math::add(shifted, -log_sum), x);
}

/// Of one logit, from its exp(logit - largest) and 1 / sum.
FELBO_HD_INLINE float gradient(bool observed, float exponential, float inverse, float grad_scale) {
  return math::mul(grad_scale, math::add(observed ? 1.0f : 0.0f, -math::mul(exponential, inverse)));
}

/// What a level counts in E[x|z].
FELBO_HD_INLINE float unit_of(int categories) {
  return 1.0f / static_cast<float>(categories > 1 ? categories - 1 : 1);
}

/// E[x|z] of one dimension from its logits, the largest of which is `max`.
FELBO_HD inline float mean_level(const float* logits, int categories, float max) {
  double sum = 0.0, weighed = 0.0;
  for (int k = 0; k < categories; ++k) {
    const auto e = static_cast<double>(math::exp_nonpositive(math::add(logits[k], -max)));
    sum += e;
    weighed += k * e;
  }
  return static_cast<float>(weighed / sum) * unit_of(categories);
}

}  // namespace categorical_math

// How CUDA kernels divide a row; the scratch holds a sum a piece. It depends on K and X alone.

inline constexpr int kCategoricalBlock = 256, kCategoricalSteps = 4;

/// Neighbouring lanes that share a dimension.
constexpr int categorical_lanes(int categories) {
  return categories <= 4 ? 1 : (categories <= 16 ? 4 : (categories <= 64 ? 16 : 32));
}
/// Dimensions of a piece: those that a block takes in kCategoricalSteps steps.
constexpr std::int64_t categorical_dimensions(int lanes) {
  return std::int64_t{kCategoricalSteps} * kCategoricalBlock / lanes;
}
constexpr std::int64_t categorical_pieces(int categories, std::int64_t dimensions) {
  const std::int64_t each = categorical_dimensions(categorical_lanes(categories));
  return (dimensions + each - 1) / each;
}

// The arguments have been checked.
void categorical(const CpuExec& exec, int categories, const LikelihoodArgs& args);
template <class T>
void categorical(const CudaExec& exec, int categories, const LikelihoodArgsOf<T>& args);
/// E[x|z] = sum_k softmax(l)[k] k / (K - 1).
void categorical_mean(const CpuExec& exec, int categories, View<const float, 2> output, View<float, 2> mean);
void categorical_mean(const CudaExec& exec, int categories, View<const float, 2> output, View<float, 2> mean);

}  // namespace felbo
