// Dense layers, forward and backward, with every activation.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/dense/dense.h"
#include "kernels/dense/dense_reference.h"

namespace felbo::checks {

struct DenseCase {
  int batch, in, out;
};

/// What one layer is given.
template <class Exec>
struct DenseProblem {
  DenseProblem(const Exec& exec, const DenseCase& c)
      : layout{c.out % 3, c.out % 2},
        x(normals(exec, c.batch, c.in, layout, kInputSeed)),
        weight(
            normals(exec, c.in, c.out, layout, kInputSeed + 1, 1.0f / std::sqrt(static_cast<float>(c.in)))),
        bias(normals(exec, 1, c.out, {}, kInputSeed + 2)),
        grad_y(normals(exec, c.batch, c.out, layout, kInputSeed + 3)) {}
  Layout layout;
  Mirror<Exec, float> x, weight, bias, grad_y;
};

/// What a layer keeps for its backward pass, in the Exec's own layout; its view is empty where that is
/// nothing.
template <class Exec>
struct Aux {
  Aux(const Exec& exec, Activation act, int rows, int cols)
      : bytes(dense_aux_bytes(exec, act, rows, cols)), memory(exec, 1, bytes) {}
  View<std::byte, 1> view() const { return bytes > 0 ? memory.vector() : View<std::byte, 1>(); }
  std::int64_t bytes;
  Mirror<Exec, std::byte> memory;
};

template <class Exec>
void check_dense_case(const Exec& exec, const DenseCase& c, Activation act, bool keeps, Parity& parity) {
  parity.begin_case(
      fmt::format("B {} I {} O {}{}", c.batch, c.in, c.out, keeps ? "" : ", no backward pass follows"));
  DenseProblem<Exec> p(exec, c);
  Mirror<Exec, float> y(exec, c.batch, c.out, p.layout);
  Aux<Exec> aux(exec, act, c.batch, c.out);
  DenseArgs args{.x = p.x.matrix(),
                 .weight = p.weight.matrix(),
                 .bias = p.bias.vector(),
                 .activation = act,
                 .y = y.matrix()};
  if (keeps) args.aux = aux.view();
  dense(exec, args);
  aux.memory.receive(parity, "aux");
  const auto want =
      reference::affine(p.x.doubles(), p.weight.doubles(), p.bias.doubles(), c.batch, c.in, c.out);
  Values value, tolerance;
  for (std::size_t i = 0; i < want.value.size(); ++i) {
    value.push_back(reference::activation(act, want.value[i]));
    tolerance.push_back(activated_tolerance(product_k(c.in) * kEps * want.magnitude[i], value.back()));
  }
  y.judge(parity, "y", value, tolerance);
}

/// The layer below: its forward pass on `pre` with the identity for weights and no bias, so that each sum has
/// one term that is not 0 and `pre` is exactly what was activated. It leaves what the backward pass needs.
template <class Exec>
struct LayerBelow {
  LayerBelow(const Exec& exec, const DenseCase& c, Activation act, Layout layout)
      : pre(normals(exec, c.batch, c.in, layout, kInputSeed + 4, 1.5f)),
        x(exec, c.batch, c.in, layout),
        aux(exec, act, c.batch, c.in) {
    Mirror<Exec, float> identity(exec, c.in, c.in), bias = row_of(exec, std::vector<float>(c.in, 0.0f));
    for (int i = 0; i < c.in; ++i) {
      for (int j = 0; j < c.in; ++j) identity.host()(i, j) = i == j ? 1.0f : 0.0f;
    }
    identity.send();
    dense(exec, {.x = pre.matrix(),
                 .weight = identity.matrix(),
                 .bias = bias.vector(),
                 .activation = act,
                 .y = x.matrix(),
                 .aux = aux.view()});
  }
  Mirror<Exec, float> pre, x;
  Aux<Exec> aux;
};

template <class Exec>
void check_dense_backward_case(const Exec& exec, const DenseCase& c, Activation act, Parity& parity) {
  parity.begin_case(fmt::format("B {} I {} O {}", c.batch, c.in, c.out));
  DenseProblem<Exec> p(exec, c);
  LayerBelow<Exec> below(exec, c, act, p.layout);
  Mirror<Exec, float> grad_x(exec, c.batch, c.in, p.layout), grad_weight(exec, c.in, c.out, p.layout),
      grad_bias(exec, 1, c.out);
  dense_backward(exec, {.x = below.x.matrix(),
                        .weight = p.weight.matrix(),
                        .grad_y = p.grad_y.matrix(),
                        .grad_weight = grad_weight.matrix(),
                        .grad_bias = grad_bias.vector(),
                        .below = act,
                        .x_aux = below.aux.view(),
                        .grad_x = grad_x.matrix()});
  below.x.receive(parity, "x");
  const auto want = reference::affine_gradient(below.x.doubles(), p.weight.doubles(), p.grad_y.doubles(),
                                               c.batch, c.in, c.out);
  grad_weight.judge(parity, "grad_weight", want.weight, scaled(want.weight_magnitude, product_k(c.batch)));
  grad_bias.judge(parity, "grad_bias", want.bias, scaled(want.bias_magnitude, product_k(c.batch)));
  const Values pre = below.pre.doubles();
  Values value, tolerance;
  for (std::size_t i = 0; i < want.x.size(); ++i) {
    const double slope = reference::activation_derivative(act, pre[i]);
    value.push_back(want.x[i] * slope);
    tolerance.push_back(product_k(c.out) * kEps * want.x_magnitude[i] * (std::abs(slope) + kSlopeError) +
                        kSlopeError * std::abs(want.x[i]));
  }
  grad_x.judge(parity, "grad_x", value, tolerance);
}

template <class Exec>
void check_dense(const Exec& exec, Activation act, Parity& parity) {
  for (const DenseCase& c :
       {DenseCase{1, 1, 1}, {3, 33, 257}, {33, 785, 20}, {129, 20, 785}, {2, 4099, 33}, {5, 33, 4099}})
    for (const bool keeps : {true, false}) check_dense_case(exec, c, act, keeps, parity);
}

template <class Exec>
void check_dense_backward(const Exec& exec, Activation act, Parity& parity) {
  for (const DenseCase& c :
       {DenseCase{1, 1, 1}, {3, 33, 257}, {33, 257, 20}, {129, 20, 785}, {5, 33, 4099}, {1031, 7, 33}})
    check_dense_backward_case(exec, c, act, parity);
}

template <class Exec>
void add_dense_checks(std::vector<Check<Exec>>& checks) {
  for (const Activation act : {Activation::kIdentity, Activation::kRelu, Activation::kTanh, Activation::kGelu,
                               Activation::kSoftplus, Activation::kSigmoid}) {
    const std::string name(name_of(act));
    checks.push_back(
        {"dense/" + name, [act](const Exec& exec, Parity& parity) { check_dense(exec, act, parity); }});
    checks.push_back({"dense_backward/" + name,
                      [act](const Exec& exec, Parity& parity) { check_dense_backward(exec, act, parity); }});
  }
}

}  // namespace felbo::checks
