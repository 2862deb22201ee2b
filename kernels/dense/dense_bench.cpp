// Rates of one layer with its bias and activation. What the products alone take, `felbo bench gemm` and the
// shares of `felbo bench step` tell.
#include "kernels/dense/dense.h"

#include "benchmarks/op_bench.h"
#include "kernels/dense/dense_reference.h"
#include "kernels/dense/dense_work.h"

namespace felbo {
namespace {

/// T: how what products read is stored.
template <class Exec, class T = float>
struct Layer {
  Layer(const Exec& exec, const bench::Shape& shape, Activation activation, bool backward)
      : exec(exec),
        activation(activation),
        backward(backward),
        batch(shape[0]),
        in(shape[1]),
        out(shape[2]) {}

  void operator()() const {
    if (backward) {
      return dense_backward(exec, DenseGradArgsOf<T>{.x = x.matrix(batch, in),
                                                     .weight = weight.matrix(in, out),
                                                     .grad_y = y.matrix(batch, out),
                                                     .grad_weight = grad_weight.matrix(in, out),
                                                     .grad_bias = grad_bias.view(),
                                                     .below = activation,
                                                     .x_aux = aux_view(),
                                                     .grad_x = grad_x.matrix(batch, in)});
    }
    dense(exec, DenseArgsOf<T>{.x = x.matrix(batch, in),
                               .weight = weight.matrix(in, out),
                               .bias = bias.view(),
                               .activation = activation,
                               .y = y.matrix(batch, out),
                               .aux = aux_view()});
  }
  std::function<std::vector<double>()> reference() const {
    const int B = static_cast<int>(batch), I = static_cast<int>(in), O = static_cast<int>(out);
    const std::vector<double> x = bench::doubles(this->x.view()), w = bench::doubles(weight.view());
    if (backward) {
      return
          [=, up = bench::doubles(y.view())] { return reference::affine_gradient(x, w, up, B, I, O).weight; };
    }
    return [=, b = bench::doubles(bias.view()), activation = activation] {
      std::vector<double> y = reference::affine(x, w, b, B, I, O).value;
      for (double& value : y) value = reference::activation(activation, value);
      return y;
    };
  }
  std::vector<double> result() const {
    return backward ? bench::doubles(grad_weight.view()) : bench::doubles(y.view());
  }
  Buffer<Exec, T> values(std::int64_t size, float step) const {
    return bench::filled<T>(exec, size,
                            [=](std::int64_t i) { return step * static_cast<float>(i % 201 - 100); });
  }
  View<std::byte, 1> aux_view() const { return aux.size() > 0 ? aux.view() : View<std::byte, 1>(); }

  const Exec& exec;
  Activation activation;
  bool backward;
  std::int64_t batch, in, out;
  Buffer<Exec, T> x = values(batch * in, 0.01f), weight = values(in * out, 0.001f), bias{exec, out};
  Buffer<Exec, T> y = values(batch * out, 0.01f), grad_x{exec, backward ? batch*in : 0};
  Buffer<Exec, float> grad_weight{exec, backward ? in*out : 0}, grad_bias{exec, backward ? out : 0};
  Buffer<Exec, std::byte> aux{exec, dense_aux_bytes(exec, activation, batch, backward ? in : out, sizeof(T))};
};
template <class Exec>
using OfFloats = Layer<Exec>;
template <class Exec>
using OfBf16 = Layer<Exec, BFloat16>;

// The largest layer of the 784-500-20 model, and a wide one.
const std::vector<bench::Shape> kUsual{{128, 784, 500}, {512, 2000, 2000}};
std::function<Work(const bench::Shape&)> work_of_layer(bool backward, double bytes) {
  return [=](const bench::Shape& s) {
    return backward ? dense_backward_work(s[0], s[1], s[2], bytes) : dense_work(s[0], s[1], s[2], bytes);
  };
}

const bool kAdded = [] {
  const auto add = [](const std::string& name, Activation activation, bool backward) {
    bench::add_op<OfFloats>(name, {"B", "I", "O"}, kUsual, work_of_layer(backward, 4.0), activation,
                            backward);
    bench::add_gpu_op<OfBf16>(name + "_bf16", {"B", "I", "O"}, kUsual, work_of_layer(backward, 2.0),
                              activation, backward);
  };
  add("dense/forward_relu", Activation::kRelu, false);
  add("dense/forward_gelu", Activation::kGelu, false);
  add("dense/backward_relu", Activation::kRelu, true);
  return true;
}();

}  // namespace
}  // namespace felbo
