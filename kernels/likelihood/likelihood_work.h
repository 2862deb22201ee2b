// What likelihood() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

struct Likelihood;

/// Of `rows` rows of X dimensions, one sample a datum: x read, an element of `data_bytes`, and the decoder's
/// output read, its gradient written if wanted (what own parameters have a column is left out). Operations:
/// those that the family declares (kOperations), or for a softmax those of a dimension and of a logit; and
/// the quotient of each byte.
Work likelihood_work(const Likelihood& which, std::int64_t rows, std::int64_t dimensions, bool gradient,
                     std::int64_t data_bytes = 4);
/// The same, with the gradient, of a decoder's output that is stored in bfloat16.
Work likelihood_bf16_work(const Likelihood& which, std::int64_t rows, std::int64_t dimensions);
/// Operations of one element of x.
double likelihood_operations(const Likelihood& which, bool gradient);
/// Of likelihood_mean() under a Bernoulli: a logit read, its sigmoid written.
constexpr Work bernoulli_mean_work(std::int64_t rows, std::int64_t dimensions) {
  return work_of(rows * dimensions, 8.0, 1.0);
}

}  // namespace felbo
