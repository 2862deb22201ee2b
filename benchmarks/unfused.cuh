// One thread four elements of a row; of the KL a group of threads a row.
#pragma once

#include "benchmarks/unfused_math.h"
#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"

namespace felbo::bench {

inline constexpr int kUnfusedBlock = 256;

/// The four elements of this thread, of a matrix whose rows have `cols` elements.
struct ThreadQuad {
  std::int64_t row, col, left;
};
__device__ inline ThreadQuad thread_quad(std::int64_t cols) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kUnfusedBlock + threadIdx.x, per_row = quads(cols);
  const std::int64_t col = kQuad * (item % per_row);
  return {item / per_row, col, cols - col};
}
template <class T>
__device__ void load(const View<T, 2>& from, const ThreadQuad& q, float (&to)[kQuad]) {
  load_quad(from.row(q.row) + q.col, q.left, aligned(from.row(q.row)), to);
}
__device__ inline void store(const View<float, 2>& to, const ThreadQuad& q, const float (&from)[kQuad]) {
  store_quad(to.row(q.row) + q.col, q.left, aligned(to.row(q.row)), from);
}

__global__ void __launch_bounds__(kUnfusedBlock) unfused_sample_quads(UnfusedArgs a) {
  const ThreadQuad q = thread_quad(a.mu.cols);
  if (q.row >= a.mu.rows) return;
  float mu[kQuad], log_var[kQuad], eps[kQuad];
  load(a.mu, q, mu);
  load(a.log_var, q, log_var);
  load(a.eps, q, eps);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) mu[i] = unfused_z(mu[i], log_var[i], eps[i], a.clamp);
  store(a.z, q, mu);
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) unfused_kl_rows(UnfusedArgs a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  double sum = 0.0;
  for (std::int64_t quad = Group::thread(); b < a.mu.rows && quad < quads(a.mu.cols); quad += kThreads) {
    const ThreadQuad q{b, kQuad * quad, a.mu.cols - kQuad * quad};
    float mu[kQuad], log_var[kQuad], kl = 0.0f;
    load(a.mu, q, mu);
    load(a.log_var, q, log_var);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      if (i < q.left) kl += reparameterize_math::kl(mu[i], clamp_log_var(log_var[i], a.clamp));
    }
    sum += static_cast<double>(kl);
  }
  sum = Group::reduce(sum, Sum());
  if (b < a.mu.rows && Group::thread() == 0) a.kl(b) = static_cast<float>(sum);
}

template <class Family>
__global__ void __launch_bounds__(kUnfusedBlock) unfused_likelihood_quads(Family family, UnfusedArgs a) {
  const ThreadQuad q = thread_quad(a.x.cols);
  if (q.row >= a.x.rows) return;
  float x[kQuad], output[kQuad];
  load(a.x, q, x);
  load(a.output, q, output);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) output[i] = unfused_output_gradient(family, x[i], output[i], a.grad_scale);
  store(a.output, q, output);
}

__global__ void __launch_bounds__(kUnfusedBlock) unfused_kl_gradient_quads(UnfusedArgs a) {
  const ThreadQuad q = thread_quad(a.mu.cols);
  if (q.row >= a.mu.rows) return;
  float mu[kQuad], log_var[kQuad];
  load(a.mu, q, mu);
  load(a.log_var, q, log_var);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    mu[i] = math::mul(a.kl_scale, mu[i]);
    log_var[i] = reparameterize_math::kl_grad_log_var(log_var[i], a.kl_scale, a.clamp);
  }
  store(a.grad_mu, q, mu);
  store(a.grad_log_var, q, log_var);
}

__global__ void __launch_bounds__(kUnfusedBlock) unfused_sample_gradient_quads(UnfusedArgs a) {
  const ThreadQuad q = thread_quad(a.mu.cols);
  if (q.row >= a.mu.rows) return;
  float log_var[kQuad], eps[kQuad], grad_z[kQuad], grad_mu[kQuad], grad_log_var[kQuad];
  load(a.log_var, q, log_var);
  load(a.eps, q, eps);
  load(a.grad_z, q, grad_z);
  load(a.grad_mu, q, grad_mu);
  load(a.grad_log_var, q, grad_log_var);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    grad_mu[i] = math::add(grad_z[i], grad_mu[i]);
    grad_log_var[i] = math::add(unfused_through_z(grad_z[i], log_var[i], eps[i], a.clamp), grad_log_var[i]);
  }
  store(a.grad_mu, q, grad_mu);
  store(a.grad_log_var, q, grad_log_var);
}

}  // namespace felbo::bench
