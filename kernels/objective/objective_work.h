// What the ops of objective.h move and compute.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// A float read a sample, and summed; the KL read and the result written a datum, with a quotient, two
/// differences and 3 sums of totals.
constexpr Work elbo_work(std::int64_t batch, std::int64_t samples) {
  return work_of(batch * samples, 4.0, 1.0) + work_of(batch, 8.0, 6.0);
}
/// Three floats read a sample: 2 make log w, then -, exp and +. Two doubles read and written a datum.
constexpr Work log_mean_exp_work(std::int64_t batch, std::int64_t samples) {
  return work_of(batch * samples, 12.0, 5.0) + work_of(batch, 32.0, 0.0);
}
/// The same, and again log w, -, exp and / for a weight, which is written; the bound a datum.
constexpr Work importance_weights_work(std::int64_t batch, std::int64_t samples) {
  return work_of(batch * samples, 16.0, 10.0) + work_of(batch, 4.0, 0.0);
}
/// Two floats read a sample, their difference, and its sum; a mean written a datum.
constexpr Work sampled_kl_work(std::int64_t batch, std::int64_t samples) {
  return work_of(batch * samples, 8.0, 2.0) + work_of(batch, 4.0, 1.0);
}

}  // namespace felbo
