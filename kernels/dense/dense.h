// A linear layer with its activation, forward and backward:
//
//   y = act(x W + bias)                      x (B, I), W (I, O), bias (O), y (B, O)
//   grad_W = x^T grad_y,  grad_bias = sum_b grad_y(b),  grad_x = (grad_y W^T) * act_below'(x)
//
// grad_y is the gradient before this layer's activation. grad_x comes out already multiplied by the
// derivative of the activation that made x, that is as the grad_y of the layer below, so no pass over memory
// is spent on it alone. What that derivative needs and y does not tell, the forward pass keeps in `aux`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
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

/// Bytes of `aux` for a layer's y of (rows, cols) elements of `element` bytes, in a layout that is the Exec's
/// own; 0 where y tells enough. On a CPU that is gelu's value before the activation. On CUDA it is that too,
/// stored as y is, and relu's sign bits.
std::int64_t dense_aux_bytes(const CpuExec& exec, Activation activation, std::int64_t rows, std::int64_t cols,
                             std::int64_t element = sizeof(float));
std::int64_t dense_aux_bytes(const CudaExec& exec, Activation activation, std::int64_t rows,
                             std::int64_t cols, std::int64_t element = sizeof(float));
/// Bytes that the address of `aux` must be a multiple of.
inline constexpr std::int64_t kDenseAuxAlignment = 16;

/// T: how what a product reads is stored; Y: its result. Sums and activations are in float. A layer that
/// another one reads has Y = T.
template <class T, class Y = T>
struct DenseArgsOf {
  View<const T, 2> x;       // (B, I)
  View<const T, 2> weight;  // (I, O)
  View<const Y, 1> bias;    // (O)
  Activation activation = Activation::kIdentity;
  View<Y, 2> y;            // (B, O)
  View<std::byte, 1> aux;  // (dense_aux_bytes of y, or more); empty where no backward pass follows
};
using DenseArgs = DenseArgsOf<float>;

/// Forward. Throws std::invalid_argument if shapes disagree or are empty. On CUDA the first call of a shape
/// asks cuBLASLt for an algorithm, a row's bits may depend on the batch that it is in, and relu may make 0 of
/// NaN (cuBLASLt's does).
void dense(const CpuExec& exec, const DenseArgs& args);
void dense(const CudaExec& exec, const DenseArgs& args);
void dense(const CudaExec& exec, const DenseArgsOf<BFloat16>& args);
void dense(const CudaExec& exec, const DenseArgsOf<BFloat16, float>& args);

template <class T>
struct DenseGradArgsOf {
  View<const T, 2> x;                        // (B, I)
  View<const T, 2> weight;                   // (I, O)
  View<const T, 2> grad_y;                   // (B, O) gradient before this layer's activation
  View<float, 2> grad_weight;                // (I, O); empty where no parameter's gradient is wanted
  View<float, 1> grad_bias;                  // (O); empty with grad_weight
  Activation below = Activation::kIdentity;  // the activation that made x
  View<const std::byte, 1> x_aux;  // its aux; may be empty where grad_x is, or where it has no bytes
  View<T, 2> grad_x;               // (B, I); empty where x is data and no gradient is wanted
};
using DenseGradArgs = DenseGradArgsOf<float>;

/// Backward. Throws std::invalid_argument if shapes disagree or are empty, or no gradient is wanted. relu's
/// derivative at 0 itself is 0 on a CPU and 1 on CUDA (cuBLASLt's convention).
void dense_backward(const CpuExec& exec, const DenseGradArgs& args);
void dense_backward(const CudaExec& exec, const DenseGradArgs& args);
void dense_backward(const CudaExec& exec, const DenseGradArgsOf<BFloat16>& args);

}  // namespace felbo
