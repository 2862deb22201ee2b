// Forward: a group of threads a row, which makes its eps four at a time in registers. Backward: one thread
// four columns of a row.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/common/normal.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/conditional_gaussian/conditional_gaussian_math.h"

namespace felbo {

template <class T>
__device__ void load_columns(View<const T, 2> from, std::int64_t row, std::int64_t col, float (&out)[kQuad]) {
  const T* begin = from.row(row);
  load_quad(begin + col, from.cols - col, aligned(begin), out);
}
__device__ inline void store_columns(View<float, 2> to, std::int64_t row, std::int64_t col,
                                     const float (&in)[kQuad]) {
  float* begin = to.row(row);
  store_quad(begin + col, to.cols - col, aligned(begin), in);
}

/// The noise of four columns of a row.
template <class Args>
__device__ Normals4 conditional_noise(const Args& a, std::int64_t row, std::int64_t quad) {
  return normals_from_words(a.noise.words(a.datum(row / a.samples),
                                          a.first_sample + static_cast<std::uint32_t>(row % a.samples),
                                          static_cast<std::uint32_t>(quad)));
}

/// What a row adds up to.
struct ConditionalSums {
  double log_density = 0.0, log_standard = 0.0;
  std::int32_t clamped = 0;
};

__device__ inline void conditional_draw_quad(const ConditionalDrawArgs& a, std::int64_t row,
                                             std::int64_t quad, ConditionalSums& sums) {
  namespace rm = reparameterize_math;
  const std::int64_t col = kQuad * quad, left = a.mu.cols - col;
  float mu[kQuad], log_var[kQuad], z[kQuad];
  load_columns(a.mu, row, col, mu);
  load_columns(a.log_var, row, col, log_var);
  const Normals4 eps = conditional_noise(a, row, quad);
  float log_q = 0.0f, log_standard = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const float v = clamp_log_var(log_var[i], a.clamp);
    z[i] = math::fma(rm::sigma(v), eps[i], mu[i]);
    if (i >= left) continue;
    log_q += rm::log_qz(eps[i], v);
    log_standard += rm::log_pz(z[i]);
    sums.clamped += is_clamped(log_var[i], a.clamp);
  }
  store_columns(a.z, row, col, z);
  sums.log_density += static_cast<double>(log_q);
  sums.log_standard += static_cast<double>(log_standard);
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) conditional_draw_rows(ConditionalDrawArgs a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t row = Group::row();
  const bool inside = row < a.mu.rows;
  ConditionalSums sums;
  for (std::int64_t quad = Group::thread(); inside && quad < quads(a.mu.cols); quad += kThreads) {
    conditional_draw_quad(a, row, quad, sums);
  }
  sums.log_density = Group::reduce(sums.log_density, Sum());
  sums.log_standard = Group::reduce(sums.log_standard, Sum());
  sums.clamped = Group::reduce(sums.clamped, Sum());
  if (!inside || Group::thread() != 0) return;
  a.log_q(row) = static_cast<float>(static_cast<double>(a.log_q(row)) + sums.log_density);
  if (!a.log_standard.empty()) a.log_standard(row) = static_cast<float>(sums.log_standard);
  a.clamped(row) += sums.clamped;
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    conditional_density_rows(ConditionalDensityArgs a) {
  using Group = RowGroup<kThreads>;
  namespace cm = conditional_gaussian_math;
  const std::int64_t row = Group::row();
  const bool inside = row < a.mu.rows;
  ConditionalSums sums;
  for (std::int64_t d = Group::thread(); inside && d < a.mu.cols; d += kThreads) {
    const float v = clamp_log_var(a.log_var(row, d), a.clamp);
    sums.log_density +=
        static_cast<double>(reparameterize_math::log_qz(cm::standardize(a.z(row, d), a.mu(row, d), v).t, v));
    sums.clamped += is_clamped(a.log_var(row, d), a.clamp);
  }
  sums.log_density = Group::reduce(sums.log_density, Sum());
  sums.clamped = Group::reduce(sums.clamped, Sum());
  if (!inside || Group::thread() != 0) return;
  a.log_p(row) = static_cast<float>(static_cast<double>(a.log_p(row)) + sums.log_density);
  a.clamped(row) += sums.clamped;
}

inline constexpr int kConditionalBlock = 128;

/// The row and the quad of columns of a thread of a grid over a matrix.
struct QuadPlace {
  __device__ explicit QuadPlace(std::int64_t cols) {
    const std::int64_t item = std::int64_t{blockIdx.x} * kConditionalBlock + threadIdx.x;
    row = item / quads(cols);
    quad = item % quads(cols);
  }
  std::int64_t row, quad;
};

__global__ void __launch_bounds__(kConditionalBlock) conditional_draw_grad_quads(ConditionalDrawGradArgs a) {
  namespace cm = conditional_gaussian_math;
  namespace rm = reparameterize_math;
  const QuadPlace at(a.mu.cols);
  if (at.row >= a.mu.rows) return;
  const std::int64_t col = kQuad * at.quad;
  float mu[kQuad], log_var[kQuad], g[kQuad], grad_log_var[kQuad];
  load_columns(a.mu, at.row, col, mu);
  load_columns(a.log_var, at.row, col, log_var);
  load_columns(a.grad_z, at.row, col, g);
  const Normals4 eps = conditional_noise(a, at.row, at.quad);
  const float scale = cm::scale_of(a, a.kl_scale.get(), at.row),
              prior_scale = a.standard_prior ? scale : 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const float z = math::fma(rm::sigma(clamp_log_var(log_var[i], a.clamp)), eps[i], mu[i]);
    g[i] = cm::draw_gradient(g[i], z, prior_scale);
    grad_log_var[i] = cm::draw_grad_log_var(g[i], eps[i], log_var[i], scale, a.clamp);
  }
  store_columns(a.grad_mu, at.row, col, g);
  store_columns(a.grad_log_var, at.row, col, grad_log_var);
}

__global__ void __launch_bounds__(kConditionalBlock)
    conditional_density_grad_quads(ConditionalDensityGradArgs a) {
  namespace cm = conditional_gaussian_math;
  const QuadPlace at(a.mu.cols);
  if (at.row >= a.mu.rows) return;
  const std::int64_t col = kQuad * at.quad;
  float z[kQuad], mu[kQuad], log_var[kQuad], grad_z[kQuad], grad_log_var[kQuad];
  load_columns(a.z, at.row, col, z);
  load_columns(a.mu, at.row, col, mu);
  load_columns(a.log_var, at.row, col, log_var);
  load_columns(View<const float, 2>(a.grad_z), at.row, col, grad_z);
  const float scale = cm::scale_of(a, a.kl_scale.get(), at.row);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const cm::Standardized s = cm::standardize(z[i], mu[i], clamp_log_var(log_var[i], a.clamp));
    const float pull = cm::density_pull(s, scale);
    grad_z[i] = math::add(grad_z[i], pull);
    mu[i] = -pull;
    grad_log_var[i] = cm::density_grad_log_var(s, log_var[i], scale, a.clamp);
  }
  store_columns(a.grad_z, at.row, col, grad_z);
  store_columns(a.grad_mu, at.row, col, mu);
  store_columns(a.grad_log_var, at.row, col, grad_log_var);
}

__global__ void __launch_bounds__(kConditionalBlock) add_gradient_quads(AddGradientArgs a) {
  const QuadPlace at(a.gradient.cols);
  if (at.row >= a.gradient.rows) return;
  const std::int64_t col = kQuad * at.quad;
  float more[kQuad], gradient[kQuad];
  load_columns(a.more, at.row, col, more);
  load_columns(View<const float, 2>(a.gradient), at.row, col, gradient);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) gradient[i] = math::add(gradient[i], more[i]);
  store_columns(a.gradient, at.row, col, gradient);
}

}  // namespace felbo
