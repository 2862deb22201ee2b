// A multilayer perceptron: hidden layers with one activation, then a linear layer. No hidden layer at all
// makes it linear.
#pragma once

#include <cstddef>
#include <string>
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

/// What a pass through a perceptron leaves behind: each layer's output, and where asked for, what a backward
/// pass needs and its gradients.
template <class Exec>
class MlpWorkspace {
 public:
  MlpWorkspace(const Exec& exec, const Mlp& mlp, std::int64_t max_rows, bool with_gradients) {
    std::int64_t widest = 0;
    for (const Layer& layer : mlp.layers()) {
      outputs_.emplace_back(exec, max_rows * layer.out);
      aux_.emplace_back(exec,
                        with_gradients ? dense_aux_bytes(exec, layer.activation, max_rows, layer.out) : 0);
      if (&layer != &mlp.layers().back()) widest = std::max(widest, layer.out);
    }
    if (with_gradients) {
      for (auto& gradient : gradients_) gradient = Buffer<Exec, float>(exec, max_rows * widest);
    }
  }

  /// Layer l's output.
  View<float, 2> output(const Mlp& mlp, std::size_t l, std::int64_t rows) const {
    return outputs_[l].matrix(rows, mlp.layers()[l].out);
  }
  /// What layer l keeps for the backward pass beside its output; empty where there is nothing to keep.
  View<std::byte, 1> aux(std::size_t l) const {
    return aux_[l].size() > 0 ? aux_[l].view() : View<std::byte, 1>();
  }
  /// The perceptron's output, (rows, out).
  View<float, 2> result(const Mlp& mlp, std::int64_t rows) const {
    return output(mlp, mlp.layers().size() - 1, rows);
  }
  /// One of two buffers that the gradients of the hidden layers take in turn.
  View<float, 2> gradient(std::size_t l, std::int64_t rows, std::int64_t cols) const {
    return gradients_[l % 2].matrix(rows, cols);
  }

 private:
  std::vector<Buffer<Exec, float>> outputs_;
  std::vector<Buffer<Exec, std::byte>> aux_;
  Buffer<Exec, float> gradients_[2];
};

/// Runs x (B, in) through the layers; the result stands in work.result(mlp, B).
template <class Exec>
void forward(const Exec& exec, const Mlp& mlp, View<const float, 1> parameters, const ParameterTable& table,
             View<const float, 2> x, const MlpWorkspace<Exec>& work) {
  View<const float, 2> input = x;
  for (std::size_t l = 0; l < mlp.layers().size(); ++l) {
    const Layer& layer = mlp.layers()[l];
    const View<float, 2> y = work.output(mlp, l, x.rows);
    dense(exec, {input, matrix_of(parameters, table[layer.weight]), vector_of(parameters, table[layer.bias]),
                 layer.activation, y, work.aux(l)});
    input = y;
  }
}

/// Gradients of all parameters from grad_result (B, out), into the flat buffer `gradients`; and of x into
/// grad_x (B, in) unless that is empty.
template <class Exec>
void backward(const Exec& exec, const Mlp& mlp, View<const float, 1> parameters, const ParameterTable& table,
              View<const float, 2> x, const MlpWorkspace<Exec>& work, View<const float, 2> grad_result,
              View<float, 1> gradients, View<float, 2> grad_x) {
  View<const float, 2> grad_y = grad_result;
  for (std::size_t l = mlp.layers().size(); l-- > 0;) {
    const Layer& layer = mlp.layers()[l];
    DenseGradArgs args{.x = x,
                       .weight = matrix_of(parameters, table[layer.weight]),
                       .grad_y = grad_y,
                       .grad_weight = matrix_of(gradients, table[layer.weight]),
                       .grad_bias = vector_of(gradients, table[layer.bias]),
                       .grad_x = grad_x};
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
