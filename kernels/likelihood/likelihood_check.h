// What every likelihood refuses, and how its scratch is laid out.
#pragma once

#include "kernels/common/check.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {

/// Rows whose gradients of per-dimension parameters are summed in float before they go on in double. The
/// scratch of such a likelihood holds X precisions, then X sums a block of rows; that of one learned variance
/// a sum a row.
inline constexpr std::int64_t kRowsABlock = 32;

FELBO_HD constexpr std::int64_t blocks_of(std::int64_t rows, std::int64_t rows_a_block) {
  return (rows + rows_a_block - 1) / rows_a_block;
}

/// The weight of row r.
template <class T>
FELBO_HD float row_weight(const LikelihoodArgsOf<T>& a, std::int64_t r) {
  return a.weight.empty() ? 1.0f : a.weight(r);
}
/// grad_scale and the weight of row r.
template <class T>
FELBO_HD float row_grad_scale(const LikelihoodArgsOf<T>& a, std::int64_t r) {
  return a.grad_scale * row_weight(a, r);
}
/// The sum of all rows' weights.
template <class T>
FELBO_HD double sum_of_weights(const LikelihoodArgsOf<T>& a) {
  return static_cast<double>(a.weight.empty() ? a.output.rows : a.x.rows);
}

template <class T>
void check(const Likelihood& which, const LikelihoodArgsOf<T>& a) {
  which.check();
  FELBO_CHECK(a.x.cols >= 1, "likelihood: x has no columns");
  FELBO_CHECK(a.samples >= 1, "likelihood: samples must be at least 1, got {}", a.samples);
  using gather_math::ByteIntensity;
  FELBO_CHECK(a.x.divisor >= ByteIntensity::kSmallest && a.x.divisor <= ByteIntensity::kLargest,
              "likelihood: the divisor of x must lie in [{}, {}], got {}", ByteIntensity::kSmallest,
              ByteIntensity::kLargest, a.x.divisor);
  const std::int64_t rows = a.x.rows * a.samples;
  FELBO_CHECK(a.output.rows == rows && a.output.cols == which.outputs() * a.x.cols,
              "likelihood: output must be {} x {} ({} x {} rows of {} x {} numbers), got {} x {}", rows,
              which.outputs() * a.x.cols, a.x.rows, a.samples, which.outputs(), a.x.cols, a.output.rows,
              a.output.cols);
  FELBO_CHECK(a.log_px_given_z.size == rows, "likelihood: log_px_given_z must have {} elements, got {}", rows,
              a.log_px_given_z.size);
  FELBO_CHECK(a.clamped.size == rows, "likelihood: clamped must have {} elements, got {}", rows,
              a.clamped.size);
  const std::int64_t own = which.own_parameters(a.x.cols);
  FELBO_CHECK(a.own.size == own, "likelihood: own must have {} elements, got {}", own, a.own.size);
  FELBO_CHECK(!a.want_gradient || a.grad_own.size == own,
              "likelihood: grad_own must have {} elements, got {}", own, a.grad_own.size);
  FELBO_CHECK(a.weight.empty() || a.weight.size == rows,
              "likelihood: weight must have {} elements or none, got {}", rows, a.weight.size);
  const std::int64_t scratch = likelihood_scratch(which, rows, a.x.cols);
  FELBO_CHECK(a.scratch.size >= scratch, "likelihood: scratch must have at least {} elements, got {}",
              scratch, a.scratch.size);
}

inline void check_mean(const Likelihood& which, View<const float, 2> output, View<float, 2> mean) {
  FELBO_CHECK(mean.cols >= 1, "likelihood_mean: mean has no columns");
  FELBO_CHECK(output.rows == mean.rows && output.cols == which.outputs() * mean.cols,
              "likelihood_mean: output must be {} x {} for a mean of {} x {}, got {} x {}", mean.rows,
              which.outputs() * mean.cols, mean.rows, mean.cols, output.rows, output.cols);
}

}  // namespace felbo
