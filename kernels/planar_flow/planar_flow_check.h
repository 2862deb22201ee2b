// What every planar_flow and its backward refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/planar_flow/planar_flow.h"

namespace felbo {

/// T of checked arguments.
template <class Args>
std::int64_t planar_flow_steps(const Args& a) {
  return a.flow.cols / planar_flow_columns(a.z.cols, 1);
}

template <class Args>
void check_planar_shapes(const Args& a, const char* name) {
  FELBO_CHECK(a.samples >= 1, "{}: {} samples a datum", name, a.samples);
  FELBO_CHECK(a.z.rows == a.flow.rows * a.samples && a.z.cols >= 1,
              "{}: z is {} x {}, expected {} rows of at least one column", name, a.z.rows, a.z.cols,
              a.flow.rows * a.samples);
  FELBO_CHECK(a.flow.cols % planar_flow_columns(a.z.cols, 1) == 0,
              "{}: {} columns of parameters are no multiple of the {} of a step (2 Z + 1)", name, a.flow.cols,
              planar_flow_columns(a.z.cols, 1));
  FELBO_CHECK(
      a.activation.empty() || (a.activation.rows == a.z.rows && a.activation.cols == planar_flow_steps(a)),
      "{}: the activation is {} x {}, expected {} x {}", name, a.activation.rows, a.activation.cols, a.z.rows,
      planar_flow_steps(a));
}

inline void check(const PlanarFlowArgs& a) {
  check_planar_shapes(a, "planar_flow");
  FELBO_CHECK(a.log_qz_given_x.size == a.z.rows, "planar_flow: log_qz_given_x needs {} rows, has {}",
              a.z.rows, a.log_qz_given_x.size);
}

inline void check(const PlanarFlowGradArgs& a) {
  check_planar_shapes(a, "planar_flow_backward");
  FELBO_CHECK(!a.activation.empty() || planar_flow_steps(a) == 0,
              "planar_flow_backward: the forward pass's activation is missing");
  FELBO_CHECK(a.weight.empty() || a.weight.size == a.z.rows, "planar_flow_backward: {} weights, expected {}",
              a.weight.size, a.z.rows);
  FELBO_CHECK(a.grad_z.rows == a.z.rows && a.grad_z.cols == a.z.cols,
              "planar_flow_backward: the gradient of z is {} x {}, expected {} x {}", a.grad_z.rows,
              a.grad_z.cols, a.z.rows, a.z.cols);
  FELBO_CHECK(a.grad_flow.rows == a.flow.rows && a.grad_flow.cols == a.flow.cols,
              "planar_flow_backward: the gradient of the flow is {} x {}, expected {} x {}", a.grad_flow.rows,
              a.grad_flow.cols, a.flow.rows, a.flow.cols);
}

}  // namespace felbo
