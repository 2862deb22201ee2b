// A multilayer perceptron: hidden layers with one activation, then a linear layer. No hidden layer at all
// makes it linear.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "host/exec/buffer.h"
#include "host/model/parameter_table.h"
#include "kernels/common/check.h"
#include "kernels/dense/dense.h"

namespace felbo {

/// One layer's parameters by index into the table.
struct Layer {
  int weight;  // (in, out)
  int bias;    // (out)
  std::int64_t in;
  std::int64_t out;
  Activation activation;
};

/// The shape of a perceptron. Its parameters are named "<name>.<layer>.weight" and "<name>.<layer>.bias".
class Mlp {
 public:
  Mlp() = default;
  Mlp(ParameterTable& table, const std::string& name, std::int64_t in,
      const std::vector<std::int64_t>& hidden, std::int64_t out, Activation activation);

  const std::vector<Layer>& layers() const { return layers_; }
  std::int64_t in() const { return layers_.front().in; }
  std::int64_t out() const { return layers_.back().out; }

 private:
  std::vector<Layer> layers_;
};

/// The flat parameters as products read them, in T, and as they are trained.
template <class T>
struct MlpParameters {
  View<const T, 1> rounded;      // (P)
  View<const float, 1> trained;  // (P)

  /// A tensor as an array of Y: of the trained ones for floats.
  template <class Y>
  View<const Y, 1> flat() const {
    if constexpr (std::is_same_v<Y, float>) {
      return trained;
    } else {
      return rounded;
    }
  }
};
template <>
struct MlpParameters<float> {
  MlpParameters(View<const float, 1> trained) : trained(trained) {}
  View<const float, 1> trained;
  template <class Y>
  View<const float, 1> flat() const {
    return trained;
  }
};

/// What a pass through a perceptron leaves behind: each layer's output, and where asked for, what a backward
/// pass needs and its gradients. T: how what passes between layers is stored; Result: the last layer's
/// output.
template <class Exec, class T = float, class Result = T>
class MlpWorkspace {
 public:
  MlpWorkspace(const Exec& exec, const Mlp& mlp, std::int64_t max_rows, bool with_gradients) {
    std::int64_t widest = 0;
    for (std::size_t l = 0; l + 1 < mlp.layers().size(); ++l) {
      const Layer& layer = mlp.layers()[l];
      outputs_.emplace_back(exec, max_rows * layer.out);
      const std::int64_t aux = dense_aux_bytes(exec, layer.activation, max_rows, layer.out, sizeof(T));
      aux_.emplace_back(exec, with_gradients ? aux : 0);
      widest = std::max(widest, layer.out);
    }
    result_ = Buffer<Exec, Result>(exec, max_rows * mlp.out());
    if (with_gradients) {
      for (auto& gradient : gradients_) gradient = Buffer<Exec, T>(exec, max_rows * widest);
    }
  }

  /// The output of hidden layer l.
  View<T, 2> output(const Mlp& mlp, std::size_t l, std::int64_t rows) const {
    return outputs_[l].matrix(rows, mlp.layers()[l].out);
  }
  /// What hidden layer l keeps for the backward pass beside its output; empty where there is nothing to keep.
  View<std::byte, 1> aux(std::size_t l) const {
    return aux_[l].size() > 0 ? aux_[l].view() : View<std::byte, 1>();
  }
  /// The perceptron's output, (rows, out).
  View<Result, 2> result(const Mlp& mlp, std::int64_t rows) const { return result_.matrix(rows, mlp.out()); }
  /// One of two buffers that the gradients of the hidden layers take in turn.
  View<T, 2> gradient(std::size_t l, std::int64_t rows, std::int64_t cols) const {
    return gradients_[l % 2].matrix(rows, cols);
  }

 private:
  std::vector<Buffer<Exec, T>> outputs_;
  std::vector<Buffer<Exec, std::byte>> aux_;
  Buffer<Exec, Result> result_;
  Buffer<Exec, T> gradients_[2];
};

template <class T, class Y, class Exec>
void forward_layer(const Exec& exec, const Layer& layer, const MlpParameters<T>& parameters,
                   const ParameterTable& table, View<const T, 2> x, View<Y, 2> y, View<std::byte, 1> aux) {
  dense(exec, DenseArgsOf<T, Y>{.x = x,
                                .weight = matrix_of(parameters.template flat<T>(), table[layer.weight]),
                                .bias = vector_of(parameters.template flat<Y>(), table[layer.bias]),
                                .activation = layer.activation,
                                .y = y,
                                .aux = aux});
}

/// Runs x (B, in) through the layers; the result stands in work.result(mlp, B).
template <class Exec, class T, class Result>
void forward(const Exec& exec, const Mlp& mlp, const std::type_identity_t<MlpParameters<T>>& parameters,
             const ParameterTable& table, std::type_identity_t<View<const T, 2>> x,
             const MlpWorkspace<Exec, T, Result>& work) {
  const std::size_t last = mlp.layers().size() - 1;
  View<const T, 2> input = x;
  for (std::size_t l = 0; l < last; ++l) {
    const View<T, 2> y = work.output(mlp, l, x.rows);
    forward_layer(exec, mlp.layers()[l], parameters, table, input, y, work.aux(l));
    input = y;
  }
  forward_layer(exec, mlp.layers()[last], parameters, table, input, work.result(mlp, x.rows), {});
}

/// Gradients of all parameters from grad_result (B, out), into the flat buffer `gradients`, and of x into
/// grad_x (B, in), each unless it is empty.
template <class Exec, class T, class Result>
void backward(const Exec& exec, const Mlp& mlp, const std::type_identity_t<MlpParameters<T>>& parameters,
              const ParameterTable& table, std::type_identity_t<View<const T, 2>> x,
              const MlpWorkspace<Exec, T, Result>& work, std::type_identity_t<View<const T, 2>> grad_result,
              View<float, 1> gradients, std::type_identity_t<View<T, 2>> grad_x) {
  View<const T, 2> grad_y = grad_result;
  for (std::size_t l = mlp.layers().size(); l-- > 0;) {
    const Layer& layer = mlp.layers()[l];
    DenseGradArgsOf<T> args{.x = x,
                            .weight = matrix_of(parameters.template flat<T>(), table[layer.weight]),
                            .grad_y = grad_y,
                            .grad_weight = {},
                            .grad_bias = {},
                            .grad_x = grad_x};
    if (!gradients.empty()) {
      args.grad_weight = matrix_of(gradients, table[layer.weight]);
      args.grad_bias = vector_of(gradients, table[layer.bias]);
    }
    if (l > 0) {
      args.x = work.output(mlp, l - 1, x.rows);
      args.below = mlp.layers()[l - 1].activation;
      args.x_aux = work.aux(l - 1);
      args.grad_x = work.gradient(l, x.rows, layer.in);
    }
    dense_backward(exec, args);
    grad_y = args.grad_x;
  }
}

}  // namespace felbo
