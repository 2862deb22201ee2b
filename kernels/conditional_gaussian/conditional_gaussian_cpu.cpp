#include "kernels/common/lanes.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/conditional_gaussian/conditional_gaussian_check.h"
#include "kernels/conditional_gaussian/conditional_gaussian_math.h"
#include "kernels/noise/noise_rows.h"

namespace felbo {
namespace {

namespace cm = conditional_gaussian_math;
namespace rm = reparameterize_math;

/// Rows that make about 4096 elements.
std::int64_t grain(std::int64_t cols) { return 1 + 4096 / (cols + 1); }

std::int32_t count_clamped(const float* log_var, std::int64_t n, const LogVarClamp& bounds) {
  std::int32_t clamped = 0;
  for (std::int64_t d = 0; d < n; ++d) clamped += is_clamped(log_var[d], bounds);
  return clamped;
}

/// Sums of a row under way: its pieces come in order.
struct RowSums {
  double log_q = 0.0, log_standard = 0.0;
};

void draw_piece(const ConditionalDrawArgs& a, std::int64_t row, std::int64_t col, std::int64_t n,
                const float* eps, RowSums& sums) {
  const float *mu = a.mu.row(row) + col, *log_var = a.log_var.row(row) + col;
  float* __restrict z = a.z.row(row) + col;
  const LogVarClamp bounds = a.clamp;
  for (std::int64_t d = 0; d < n; ++d) {
    z[d] = math::fma(rm::sigma(clamp_log_var(log_var[d], bounds)), eps[d], mu[d]);
  }
  a.clamped(row) += count_clamped(log_var, n, bounds);
  if (col == 0) sums = {};
  sums.log_q +=
      lane_sum(n, [&](std::int64_t d) { return rm::log_qz(eps[d], clamp_log_var(log_var[d], bounds)); });
  const bool last = col + n == a.mu.cols;
  if (last) a.log_q(row) = static_cast<float>(static_cast<double>(a.log_q(row)) + sums.log_q);
  if (a.log_standard.empty()) return;
  sums.log_standard += lane_sum(n, [&](std::int64_t d) { return rm::log_pz(z[d]); });
  if (last) a.log_standard(row) = static_cast<float>(sums.log_standard);
}

void draw_gradient_piece(const ConditionalDrawGradArgs& a, std::int64_t row, std::int64_t col, std::int64_t n,
                         const float* eps) {
  const float *mu = a.mu.row(row) + col, *log_var = a.log_var.row(row) + col;
  const float* grad_z = a.grad_z.row(row) + col;
  float* __restrict grad_mu = a.grad_mu.row(row) + col;
  float* __restrict grad_log_var = a.grad_log_var.row(row) + col;
  const LogVarClamp bounds = a.clamp;
  const float scale = cm::scale_of(a, a.kl_scale.get(), row), prior_scale = a.standard_prior ? scale : 0.0f;
  for (std::int64_t d = 0; d < n; ++d) {
    const float z = math::fma(rm::sigma(clamp_log_var(log_var[d], bounds)), eps[d], mu[d]);
    const float g = cm::draw_gradient(grad_z[d], z, prior_scale);
    grad_mu[d] = g;
    grad_log_var[d] = cm::draw_grad_log_var(g, eps[d], log_var[d], scale, bounds);
  }
}

void density_row(const ConditionalDensityArgs& a, std::int64_t row) {
  const float *z = a.z.row(row), *mu = a.mu.row(row), *log_var = a.log_var.row(row);
  const LogVarClamp bounds = a.clamp;
  const double log_p = lane_sum(a.mu.cols, [&](std::int64_t d) {
    const float v = clamp_log_var(log_var[d], bounds);
    return rm::log_qz(cm::standardize(z[d], mu[d], v).t, v);
  });
  a.log_p(row) = static_cast<float>(static_cast<double>(a.log_p(row)) + log_p);
  a.clamped(row) += count_clamped(log_var, a.mu.cols, bounds);
}

void density_gradient_row(const ConditionalDensityGradArgs& a, std::int64_t row) {
  const float *z = a.z.row(row), *mu = a.mu.row(row), *log_var = a.log_var.row(row);
  float* __restrict grad_z = a.grad_z.row(row), * __restrict grad_mu = a.grad_mu.row(row);
  float* __restrict grad_log_var = a.grad_log_var.row(row);
  const LogVarClamp bounds = a.clamp;
  const float scale = cm::scale_of(a, a.kl_scale.get(), row);
  for (std::int64_t d = 0; d < a.mu.cols; ++d) {
    const cm::Standardized s = cm::standardize(z[d], mu[d], clamp_log_var(log_var[d], bounds));
    const float pull = cm::density_pull(s, scale);
    grad_z[d] = math::add(grad_z[d], pull);
    grad_mu[d] = -pull;
    grad_log_var[d] = cm::density_grad_log_var(s, log_var[d], scale, bounds);
  }
}

template <class F>
void for_rows(const CpuExec& exec, std::int64_t rows, std::int64_t cols, const F& f) {
  exec.parallel_for(rows, grain(cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) f(row);
  });
}

}  // namespace

void conditional_draw(const CpuExec& exec, const ConditionalDrawArgs& a) {
  check(a);
  exec.parallel_for(a.mu.rows, grain(a.mu.cols), [&](std::int64_t begin, std::int64_t end) {
    RowSums sums[kNormalTileRows];  // pieces of so many rows come in turn
    for_each_noise(a.noise.now(), a.datum, a.first_sample, a.samples, begin, end, a.mu.cols,
                   [&](std::int64_t row, std::int64_t col, std::int64_t n, const float* eps) {
                     draw_piece(a, row, col, n, eps, sums[(row - begin) % kNormalTileRows]);
                   });
  });
}

void conditional_draw_backward(const CpuExec& exec, const ConditionalDrawGradArgs& a) {
  check(a);
  exec.parallel_for(a.mu.rows, grain(a.mu.cols), [&](std::int64_t begin, std::int64_t end) {
    for_each_noise(a.noise.now(), a.datum, a.first_sample, a.samples, begin, end, a.mu.cols,
                   [&](std::int64_t row, std::int64_t col, std::int64_t n, const float* eps) {
                     draw_gradient_piece(a, row, col, n, eps);
                   });
  });
}

void conditional_density(const CpuExec& exec, const ConditionalDensityArgs& a) {
  check(a);
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t row) { density_row(a, row); });
}

void conditional_density_backward(const CpuExec& exec, const ConditionalDensityGradArgs& a) {
  check(a);
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t row) { density_gradient_row(a, row); });
}

void add_gradient(const CpuExec& exec, const AddGradientArgs& a) {
  check(a);
  for_rows(exec, a.gradient.rows, a.gradient.cols, [&](std::int64_t row) {
    const float* more = a.more.row(row);
    float* __restrict gradient = a.gradient.row(row);
    for (std::int64_t d = 0; d < a.gradient.cols; ++d) gradient[d] = math::add(gradient[d], more[d]);
  });
}

}  // namespace felbo
