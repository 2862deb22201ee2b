// What every overload of these ops refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"

namespace felbo {

namespace conditional_gaussian_check {

template <class T>
void same_shape(const char* op, const char* name, View<T, 2> view, std::int64_t rows, std::int64_t cols) {
  FELBO_CHECK(view.rows == rows && view.cols == cols, "{}: {} is {} x {}, expected {} x {}", op, name,
              view.rows, view.cols, rows, cols);
}

/// Of an op that makes noise: `z` is h or its gradient.
template <class Args, class T>
void draw_shapes(const char* op, const Args& a, View<T, 2> z) {
  FELBO_CHECK(a.samples >= 1 &&
                  std::uint64_t{a.first_sample} + static_cast<std::uint64_t>(a.samples) <= kMaxNoiseSamples,
              "{}: samples {} ... {} are not between 0 and {}", op, a.first_sample,
              std::int64_t{a.first_sample} + a.samples - 1, kMaxNoiseSamples - 1);
  FELBO_CHECK(a.mu.rows == a.datum.size * a.samples, "{}: {} rows for {} data with {} samples each", op,
              a.mu.rows, a.datum.size, a.samples);
  same_shape(op, "log_var", a.log_var, a.mu.rows, a.mu.cols);
  same_shape(op, "h or its gradient", z, a.mu.rows, a.mu.cols);
  check_log_var_clamp(op, a.clamp);
}

template <class Args>
void gradient_shapes(const char* op, const Args& a) {
  FELBO_CHECK(a.weight.empty() || a.weight.size == a.mu.rows, "{}: {} weights for {} rows", op, a.weight.size,
              a.mu.rows);
  FELBO_CHECK(a.samples >= 1, "{}: {} samples", op, a.samples);
  same_shape(op, "grad_mu", a.grad_mu, a.mu.rows, a.mu.cols);
  same_shape(op, "grad_log_var", a.grad_log_var, a.mu.rows, a.mu.cols);
}

template <class Args>
void density_shapes(const char* op, const Args& a) {
  same_shape(op, "h", a.z, a.mu.rows, a.mu.cols);
  same_shape(op, "log_var", a.log_var, a.mu.rows, a.mu.cols);
  check_log_var_clamp(op, a.clamp);
}

}  // namespace conditional_gaussian_check

inline void check(const ConditionalDrawArgs& a) {
  const char* op = "conditional_draw";
  conditional_gaussian_check::draw_shapes(op, a, a.z);
  FELBO_CHECK(a.log_q.size == a.mu.rows && a.clamped.size == a.mu.rows,
              "{}: log_q and clamped need {} rows, have {} and {}", op, a.mu.rows, a.log_q.size,
              a.clamped.size);
  FELBO_CHECK(a.log_standard.empty() || a.log_standard.size == a.mu.rows,
              "{}: log_standard needs {} rows, has {}", op, a.mu.rows, a.log_standard.size);
}

inline void check(const ConditionalDrawGradArgs& a) {
  const char* op = "conditional_draw_backward";
  conditional_gaussian_check::draw_shapes(op, a, a.grad_z);
  conditional_gaussian_check::gradient_shapes(op, a);
}

inline void check(const ConditionalDensityArgs& a) {
  const char* op = "conditional_density";
  conditional_gaussian_check::density_shapes(op, a);
  FELBO_CHECK(a.log_p.size == a.mu.rows && a.clamped.size == a.mu.rows,
              "{}: log_p and clamped need {} rows, have {} and {}", op, a.mu.rows, a.log_p.size,
              a.clamped.size);
}

inline void check(const ConditionalDensityGradArgs& a) {
  const char* op = "conditional_density_backward";
  conditional_gaussian_check::density_shapes(op, a);
  conditional_gaussian_check::gradient_shapes(op, a);
  conditional_gaussian_check::same_shape(op, "grad_z", a.grad_z, a.mu.rows, a.mu.cols);
}

inline void check(const AddGradientArgs& a) {
  conditional_gaussian_check::same_shape("add_gradient", "more", a.more, a.gradient.rows, a.gradient.cols);
}

}  // namespace felbo
