// Forward: a group of threads a row of z, which makes its eps four at a time in registers. Backward: one
// thread four columns of a datum, which adds the samples in their order, as the CPU does.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/common/normal.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {

namespace rm = reparameterize_math;

/// What a row adds up to.
struct ReparameterizeSums {
  double kl = 0.0, log_pz = 0.0, log_qz = 0.0;
  std::int32_t clamped = 0;
};

/// Four columns from `col` on, of sample s of datum b.
template <bool kLogs, class T>
__device__ void reparameterize_quad(const ReparameterizeArgsOf<T>& a, std::int64_t b, int s,
                                    std::int64_t quad, ReparameterizeSums& sums) {
  const std::int64_t col = kQuad * quad, left = a.mu.cols - col;
  const float *mu_row = a.mu.row(b), *log_var_row = a.log_var.row(b);
  T* z_row = a.z.row(b * a.samples + s);
  float mu[kQuad], log_var[kQuad], z[kQuad];
  load_quad(mu_row + col, left, aligned(mu_row), mu);
  load_quad(log_var_row + col, left, aligned(log_var_row), log_var);
  const Normals4 eps = normals_from_words(a.noise.words(
      a.datum(b), a.first_sample + static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(quad)));
  float kl = 0.0f, log_pz = 0.0f, log_qz = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const float v = clamp_log_var(log_var[i], a.clamp);
    z[i] = math::fma(rm::sigma(v), eps[i], mu[i]);
    if (i >= left) continue;
    if (s == 0) {
      kl += rm::kl(mu[i], v);
      sums.clamped += is_clamped(log_var[i], a.clamp);
    }
    if (kLogs) {
      log_pz += rm::log_pz(z[i]);
      log_qz += rm::log_qz(eps[i], v);
    }
  }
  store_quad(z_row + col, left, aligned(z_row), z);
  sums.kl += static_cast<double>(kl);
  sums.log_pz += static_cast<double>(log_pz);
  sums.log_qz += static_cast<double>(log_qz);
}

template <int kThreads, bool kLogs, class T>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) reparameterize_rows(ReparameterizeArgsOf<T> a) {
  using Group = RowGroup<kThreads>;
  const std::int64_t row = Group::row(), b = row / a.samples;
  const int s = static_cast<int>(row % a.samples);
  const bool leads = row < a.z.rows && Group::thread() == 0;
  ReparameterizeSums sums;
  if (row < a.z.rows) {
    for (std::int64_t quad = Group::thread(); quad < quads(a.mu.cols); quad += kThreads) {
      reparameterize_quad<kLogs>(a, b, s, quad, sums);
    }
  }
  sums.kl = Group::reduce(sums.kl, Sum());
  sums.clamped = Group::reduce(sums.clamped, Sum());
  if (leads && s == 0) {
    a.kl(b) = static_cast<float>(sums.kl);
    a.clamped(b) = sums.clamped;
  }
  if constexpr (kLogs) {
    sums.log_pz = Group::reduce(sums.log_pz, Sum());
    sums.log_qz = Group::reduce(sums.log_qz, Sum());
    if (leads) {
      a.log_pz(row) = static_cast<float>(sums.log_pz);
      a.log_qz_given_x(row) = static_cast<float>(sums.log_qz);
    }
  }
}

inline constexpr int kReparameterizeGradBlock = 128;

template <PosteriorGradient kKind, class T>
__global__ void __launch_bounds__(kReparameterizeGradBlock)
    reparameterize_grad_quads(ReparameterizeGradArgsOf<T> a) {
  const std::int64_t per_row = quads(a.mu.cols);
  const std::int64_t item = std::int64_t{blockIdx.x} * kReparameterizeGradBlock + threadIdx.x;
  const std::int64_t b = item / per_row, quad = item % per_row;
  if (b >= a.mu.rows) return;
  const std::int64_t col = kQuad * quad, left = a.mu.cols - col;
  const float *mu_row = a.mu.row(b), *log_var_row = a.log_var.row(b);
  float mu[kQuad], log_var[kQuad];
  load_quad(mu_row + col, left, aligned(mu_row), mu);
  load_quad(log_var_row + col, left, aligned(log_var_row), log_var);
  constexpr bool kAnalytic = kKind == PosteriorGradient::kAnalyticKl;
  const float kl_scale = kAnalytic ? rm::analytic_scale(a) : a.kl_scale.get();
  float grad_mu[kQuad] = {}, grad_log_var[kQuad] = {}, kl_scales[kQuad];
  [[maybe_unused]] float sigma[kQuad], inverse_sigma[kQuad];
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    kl_scales[i] = a.kl_weight.empty() || i >= left ? kl_scale : kl_scale * a.kl_weight(col + i);
    if constexpr (kAnalytic) {
      grad_mu[i] = math::mul(kl_scales[i], mu[i]);
    } else {
      const float v = clamp_log_var(log_var[i], a.clamp);
      sigma[i] = rm::sigma(v);
      inverse_sigma[i] = kKind == PosteriorGradient::kMonteCarlo ? 0.0f : rm::sigma(-v);
    }
  }
  for (int s = 0; s < a.samples; ++s) {
    const T* grad_row = a.grad_z.row(b * a.samples + s);
    float grad_z[kQuad];
    load_quad(grad_row + col, left, aligned(grad_row), grad_z);
    const Normals4 eps = normals_from_words(a.noise.words(
        a.datum(b), a.first_sample + static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(quad)));
    if constexpr (!kAnalytic) {
      const float weight = rm::weight_of(a, b * a.samples + s), kl_weight = math::mul(kl_scale, weight);
#pragma unroll
      for (int i = 0; i < kQuad; ++i) {
        grad_z[i] =
            rm::sample_gradient<kKind>(grad_z[i], rm::prior_pull(a, math::fma(sigma[i], eps[i], mu[i])),
                                       eps[i], inverse_sigma[i], weight, kl_weight);
      }
    }
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      grad_mu[i] = math::add(grad_z[i], grad_mu[i]);
      grad_log_var[i] = math::fma(grad_z[i], eps[i], grad_log_var[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    if constexpr (kAnalytic) {
      grad_log_var[i] = rm::grad_log_var(grad_log_var[i], log_var[i], kl_scales[i], a.clamp);
    } else {
      grad_log_var[i] = rm::grad_log_var_of_samples<kKind>(grad_log_var[i], log_var[i], kl_scale, a.clamp);
    }
  }
  T *to_mu = a.grad_mu.row(b), *to_log_var = a.grad_log_var.row(b);
  store_quad(to_mu + col, left, aligned(to_mu), grad_mu);
  store_quad(to_log_var + col, left, aligned(to_log_var), grad_log_var);
}

}  // namespace felbo
