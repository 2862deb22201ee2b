// Forward: a group of threads a row of z. Backward: a group a datum, which adds the samples in their order. A
// thread reads and writes its own columns alone, so steps follow one another with no barrier but those of the
// sums.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/planar_flow/planar_flow_math.h"

namespace felbo {

namespace pm = planar_flow_math;

/// Sums over the columns of a row. All threads of the block must call it; those that do not work add nothing.
template <int kThreads>
struct PlanarSums {
  using Group = RowGroup<kThreads>;
  float wu = 0.0f, ww = 0.0f, wz = 0.0f;

  /// w . u, w . w and, unless `z` is null, w . z.
  __device__ PlanarSums(const pm::Step<const float>& step, const float* z, std::int64_t latent, bool works) {
    if (works) {
      for (std::int64_t d = Group::thread(); d < latent; d += kThreads) {
        const float w = step.w[d];
        wu = math::fma(w, step.u[d], wu);
        ww = math::fma(w, w, ww);
        if (z != nullptr) wz = math::fma(w, z[d], wz);
      }
    }
    wu = Group::reduce(wu, Sum());
    ww = Group::reduce(ww, Sum());
    if (z != nullptr) wz = Group::reduce(wz, Sum());
  }
};

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    planar_flow_rows(PlanarFlowArgs a, std::int64_t steps) {
  using Group = RowGroup<kThreads>;
  const std::int64_t row = Group::row(), latent = a.z.cols;
  const bool works = row < a.z.rows, leads = works && Group::thread() == 0;
  const std::int64_t b = works ? row / a.samples : 0;
  float* z = a.z.row(works ? row : 0);
  float log_q = leads ? a.log_qz_given_x(row) : 0.0f;
  for (std::int64_t t = 0; t < steps; ++t) {
    const pm::Step step(a.flow, b, t, latent);
    const PlanarSums<kThreads> sums(step, z, latent, works);
    if (!works) continue;
    const pm::Bend bend = pm::bend(sums.wu, sums.ww);
    const float argument = math::add(sums.wz, *step.b);
    const pm::Tanh h = pm::tanh_and_slope(argument);
    for (std::int64_t d = Group::thread(); d < latent; d += kThreads) {
      z[d] = math::fma(pm::moved(bend, step.u[d], step.w[d]), h.value, z[d]);
    }
    log_q -= pm::log_det(bend, h);
    if (leads && !a.activation.empty()) a.activation(row, t) = argument;
  }
  if (leads) a.log_qz_given_x(row) = log_q;
}

/// Sample s of a datum, step t; all threads of the block must call it.
template <int kThreads>
__device__ void planar_sample_back(const PlanarFlowGradArgs& a, const pm::Step<const float>& step,
                                   const pm::Step<float>& grad, const pm::Bend& bend, std::int64_t row,
                                   std::int64_t t, bool first, bool works) {
  using Group = RowGroup<kThreads>;
  const std::int64_t latent = a.z.cols;
  float *z = a.z.row(row), *grad_z = a.grad_z.row(row), gu = 0.0f, gw = 0.0f;
  if (works) {
    for (std::int64_t d = Group::thread(); d < latent; d += kThreads) {
      gu = math::fma(grad_z[d], step.u[d], gu);
      gw = math::fma(grad_z[d], step.w[d], gw);
    }
  }
  gu = Group::reduce(gu, Sum());
  gw = Group::reduce(gw, Sum());
  if (!works) return;
  const pm::Tanh h = pm::tanh_and_slope(a.activation(row, t));
  const pm::SharedGradient shared =
      pm::shared_gradient(bend, h, gu, gw, math::mul(a.kl_scale.get(), pm::weight_of(a, row)));
  for (std::int64_t d = Group::thread(); d < latent; d += kThreads) {
    const pm::Element back = pm::element_back(bend, h, shared, step.u[d], step.w[d], z[d], grad_z[d]);
    z[d] = back.z;
    grad_z[d] = back.grad_z;
    grad.u[d] = first ? back.grad_u : math::add(grad.u[d], back.grad_u);
    grad.w[d] = first ? back.grad_w : math::add(grad.w[d], back.grad_w);
  }
  if (Group::thread() == 0) *grad.b = first ? shared.a : math::add(*grad.b, shared.a);
}

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    planar_flow_grad(PlanarFlowGradArgs a, std::int64_t steps) {
  using Group = RowGroup<kThreads>;
  const bool works = Group::row() < a.flow.rows;
  const std::int64_t b = works ? Group::row() : 0;
  for (std::int64_t t = steps - 1; t >= 0; --t) {
    const pm::Step step(a.flow, b, t, a.z.cols);
    const pm::Step grad(a.grad_flow, b, t, a.z.cols);
    const PlanarSums<kThreads> sums(step, nullptr, a.z.cols, works);
    const pm::Bend bend = pm::bend(sums.wu, sums.ww);
    for (int s = 0; s < a.samples; ++s) {
      planar_sample_back<kThreads>(a, step, grad, bend, b * a.samples + s, t, s == 0, works);
    }
  }
}

}  // namespace felbo
