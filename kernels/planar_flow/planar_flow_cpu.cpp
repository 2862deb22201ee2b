#include "kernels/common/lanes.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/planar_flow/planar_flow_check.h"
#include "kernels/planar_flow/planar_flow_math.h"

namespace felbo {
namespace {

namespace pm = planar_flow_math;

float dot(const float* a, const float* b, std::int64_t n) {
  return static_cast<float>(lane_sum(n, [&](std::int64_t d) { return a[d] * b[d]; }));
}

pm::Bend bend_of(const pm::Step<const float>& step, std::int64_t latent) {
  return pm::bend(dot(step.w, step.u, latent), dot(step.w, step.w, latent));
}

void forward_row(const PlanarFlowArgs& a, const pm::Step<const float>& step, const pm::Bend& bend,
                 std::int64_t t, std::int64_t row) {
  float* __restrict z = a.z.row(row);
  const float argument = math::add(dot(step.w, z, a.z.cols), *step.b);
  const pm::Tanh h = pm::tanh_and_slope(argument);
  for (std::int64_t d = 0; d < a.z.cols; ++d)
    z[d] = math::fma(pm::moved(bend, step.u[d], step.w[d]), h.value, z[d]);
  a.log_qz_given_x(row) -= pm::log_det(bend, h);
  if (!a.activation.empty()) a.activation(row, t) = argument;
}

/// By value and without aliases, so that the loop is vectorised.
template <bool kFirst>
void elements_back(const pm::Bend bend, const pm::Tanh h, const pm::SharedGradient shared,
                   std::int64_t latent, const float* __restrict u, const float* __restrict w,
                   float* __restrict z, float* __restrict grad_z, float* __restrict grad_u,
                   float* __restrict grad_w) {
  for (std::int64_t d = 0; d < latent; ++d) {
    const pm::Element back = pm::element_back(bend, h, shared, u[d], w[d], z[d], grad_z[d]);
    z[d] = back.z;
    grad_z[d] = back.grad_z;
    grad_u[d] = kFirst ? back.grad_u : math::add(grad_u[d], back.grad_u);
    grad_w[d] = kFirst ? back.grad_w : math::add(grad_w[d], back.grad_w);
  }
}

void backward_row(const PlanarFlowGradArgs& a, const pm::Step<const float>& step, const pm::Step<float>& grad,
                  const pm::Bend& bend, float activation, std::int64_t row) {
  const std::int64_t latent = a.z.cols;
  float* grad_z = a.grad_z.row(row);
  const pm::Tanh h = pm::tanh_and_slope(activation);
  const pm::SharedGradient shared =
      pm::shared_gradient(bend, h, dot(grad_z, step.u, latent), dot(grad_z, step.w, latent),
                          math::mul(a.kl_scale.get(), pm::weight_of(a, row)));
  const bool first = row % a.samples == 0;
  const auto back = first ? elements_back<true> : elements_back<false>;
  back(bend, h, shared, latent, step.u, step.w, a.z.row(row), grad_z, grad.u, grad.w);
  *grad.b = first ? shared.a : math::add(*grad.b, shared.a);
}

/// Data that are worth a thread.
template <class Args>
std::int64_t grain(const Args& a) {
  return 1 + 8192 / ((a.z.cols + 32) * a.samples * (planar_flow_steps(a) + 1));
}

}  // namespace

void planar_flow(const CpuExec& exec, const PlanarFlowArgs& a) {
  check(a);
  exec.parallel_for(a.flow.rows, grain(a), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      for (std::int64_t t = 0; t < planar_flow_steps(a); ++t) {
        const pm::Step step(a.flow, b, t, a.z.cols);
        const pm::Bend bend = bend_of(step, a.z.cols);
        for (std::int64_t row = b * a.samples; row < (b + 1) * a.samples; ++row) {
          forward_row(a, step, bend, t, row);
        }
      }
    }
  });
}

void planar_flow_backward(const CpuExec& exec, const PlanarFlowGradArgs& a) {
  check(a);
  exec.parallel_for(a.flow.rows, grain(a), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      for (std::int64_t t = planar_flow_steps(a) - 1; t >= 0; --t) {
        const pm::Step step(a.flow, b, t, a.z.cols);
        const pm::Step grad(a.grad_flow, b, t, a.z.cols);
        const pm::Bend bend = bend_of(step, a.z.cols);
        for (std::int64_t row = b * a.samples; row < (b + 1) * a.samples; ++row) {
          backward_row(a, step, grad, bend, a.activation(row, t), row);
        }
      }
    }
  });
}

}  // namespace felbo
