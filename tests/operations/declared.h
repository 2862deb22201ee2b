// What the losses declare, for sources that are compiled with counting numbers and so cannot include the ops'
// own headers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/common/work.h"

namespace felbo::test {

/// p(x|z): a family with one of its variances.
struct LossFamily {
  std::string name;                              // for the test's name
  std::string family_name, variance_name;        // of likelihood_from_names()
  int family = 0, variance = 0, categories = 0;  // the enumerators
  bool has_variance = false, in_elbo_loss = false;
  int outputs = 1;
  bool own_per_dimension = false;
  int own = 0;  // else: own parameters

  /// What the CPU's loop has beside the declaration: exponentials of few levels that it computes again, or a
  /// partial sum of many.
  int again(bool gradient) const {
    if (categories == 0) return 0;
    return categories < 40 ? (gradient ? 2 * categories : 0) : 1;
  }
};

/// Every family, those with a variance with every source of it (a unit variance is a given one).
std::vector<LossFamily> loss_families();

Work declared_likelihood(const LossFamily& family, std::int64_t rows, std::int64_t dimensions, bool gradient,
                         std::int64_t data_bytes);
Work declared_elbo_loss(const LossFamily& family, std::int64_t batch, std::int64_t dimensions,
                        std::int64_t latent, std::int64_t samples, std::int64_t data_bytes, bool gradient);

}  // namespace felbo::test
