// Multinomial over a row of counts x with N = sum_j x_j, of logits l:
//
//   log p(x|z) = log N! - sum_j log x_j! + sum_j x_j log softmax(l)_j          d / d l = x - N softmax(l)
//
// It is the product of Poissons of means mu_j = N softmax(l)_j, less log p of a Poisson of mean N at N:
//
//   log p(x|z) = sum_j log Poisson(x_j; mu_j) + (log N! - (N log N - N))
//
// whose terms keep their digits for large counts (poisson.h). A row is read twice: for the largest logit, the
// sum of the exponentials and N, then for log p and the gradient. A row of zeros has log p = 0 and no
// gradient. The logits are not clamped.
#pragma once

#include "kernels/likelihood/family.h"
#include "kernels/likelihood/poisson.h"
#include "kernels/likelihood/softmax.h"

namespace felbo {

/// One row, once its sums are known: a family as family.h describes it.
struct MultinomialRow {
  static constexpr int kOutputs = 1;
  static constexpr OwnParameters kOwn = OwnParameters::kNone;
  static constexpr bool kClamps = false;
  static constexpr bool kExcess = false;
  // The row's sums are among them: of the counts, and of exponentials of differences.
  static constexpr ElementOperations kOperations{.value = 21, .gradient = 1};
  static constexpr bool kLoadsAhead = false;  // heavy, as other counts

  float max;    // of the logits
  float shift;  // log N - log sum_j exp(l_j - max)

  /// `sum` of exp(l - max), N = `count`. A NaN in either is kept.
  FELBO_HD static MultinomialRow of(float max, float sum, float count) {
    const float log_sum = math::select(sum == sum, math::log_normal(sum), sum);
    const float log_count = count > 0.0f ? math::log_normal(count) : kNoLogit;
    return {max, math::add(count == count ? log_count : count, -log_sum)};
  }
  /// What the row adds beside its elements.
  FELBO_HD static double constant(float count) {
    return count > 0.0f ? static_cast<double>(counts::log_factorial_rest(count, math::log_normal(count)))
                        : 0.0;
  }
  FELBO_HD_INLINE ElementTerms<1> operator()(float x, const float (&output)[1], std::int64_t) const {
    const counts::PoissonTerms terms = counts::poisson_terms(x, math::add(math::add(output[0], -max), shift));
    return {terms.log_p, {terms.difference}, 0.0f, false, 0.0f};
  }
};

// The arguments have been checked.
void multinomial(const CpuExec& exec, const LikelihoodArgs& args);
template <class T>
void multinomial(const CudaExec& exec, const LikelihoodArgsOf<T>& args);
/// softmax(l), which is E[x / N | z].
void multinomial_mean(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean);
void multinomial_mean(const CudaExec& exec, View<const float, 2> output, View<float, 2> mean);

}  // namespace felbo
