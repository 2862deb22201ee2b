// A linear layer with its activation, forward and backward:
//
//   y = act(x W + bias)                      x (B, I), W (I, O), bias (O), y (B, O)
//   grad_W = x^T grad_y,  grad_bias = sum_b grad_y(b),  grad_x = (grad_y W^T) * act_below'(x)
//
// grad_y is the gradient before this layer's activation. grad_x comes out already multiplied by the
// derivative of the activation that made x, that is as the grad_y of the layer below, so no pass over memory
// is spent on it alone.
#pragma once

#include <string_view>

#include "host/exec/cpu_exec.h"
#include "kernels/common/view.h"

namespace felbo {

/// gelu is the tanh form, x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016, section
/// 2), which is also the one that GPU matrix libraries fuse.
enum class Activation { kIdentity, kRelu, kTanh, kGelu, kSoftplus, kSigmoid };

/// "relu" and so on; throws std::invalid_argument that lists the names.
Activation activation_from_name(std::string_view name);
std::string_view name_of(Activation activation);
/// Whether the derivative needs the value before the activation (gelu); the others are derived from y.
bool needs_pre_activation(Activation activation);

struct DenseArgs {
  View<const float, 2> x;       // (B, I)
  View<const float, 2> weight;  // (I, O)
  View<const float, 1> bias;    // (O)
  Activation activation = Activation::kIdentity;
  View<float, 2> y;    // (B, O)
  View<float, 2> pre;  // (B, O) x W + bias; empty unless the activation needs it
};

/// Forward. Throws std::invalid_argument if shapes disagree.
void dense(const CpuExec& exec, const DenseArgs& args);

struct DenseGradArgs {
  View<const float, 2> x;                    // (B, I)
  View<const float, 2> weight;               // (I, O)
  View<const float, 2> grad_y;               // (B, O) gradient before this layer's activation
  View<float, 2> grad_weight;                // (I, O)
  View<float, 1> grad_bias;                  // (O)
  Activation below = Activation::kIdentity;  // the activation that made x
  View<const float, 2> x_pre;                // (B, I) x before that activation; empty unless it needs it
  View<float, 2> grad_x;                     // (B, I); empty where x is data and no gradient is wanted
};

/// Backward. Throws std::invalid_argument if shapes disagree.
void dense_backward(const CpuExec& exec, const DenseGradArgs& args);

}  // namespace felbo
