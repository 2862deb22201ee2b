// Rates of one layer with its bias and activation. What the products alone take, `felbo bench gemm` and the
// shares of `felbo bench step` tell.
#include "kernels/dense/dense.h"

#include "benchmarks/op_bench.h"
#include "kernels/dense/dense_work.h"

namespace felbo {
namespace {

template <class Exec>
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
      return dense_backward(exec, DenseGradArgs{.x = x.matrix(batch, in),
                                                .weight = weight.matrix(in, out),
                                                .grad_y = y.matrix(batch, out),
                                                .grad_weight = grad_weight.matrix(in, out),
                                                .grad_bias = bias.view(),
                                                .below = activation,
                                                .x_aux = aux_view(),
                                                .grad_x = grad_x.matrix(batch, in)});
    }
    dense(exec, DenseArgs{.x = x.matrix(batch, in),
                          .weight = weight.matrix(in, out),
                          .bias = bias.view(),
                          .activation = activation,
                          .y = y.matrix(batch, out),
                          .aux = aux_view()});
  }
  Buffer<Exec, float> values(std::int64_t size, float step) const {
    return bench::filled<float>(exec, size,
                                [=](std::int64_t i) { return step * static_cast<float>(i % 201 - 100); });
  }
  View<std::byte, 1> aux_view() const { return aux.size() > 0 ? aux.view() : View<std::byte, 1>(); }

  const Exec& exec;
  Activation activation;
  bool backward;
  std::int64_t batch, in, out;
  Buffer<Exec, float> x = values(batch * in, 0.01f), weight = values(in * out, 0.001f), bias{exec, out};
  Buffer<Exec, float> y = values(batch * out, 0.01f);
  Buffer<Exec, float> grad_x{exec, backward ? batch*in : 0}, grad_weight{exec, backward ? in*out : 0};
  Buffer<Exec, std::byte> aux{exec, dense_aux_bytes(exec, activation, batch, backward ? in : out)};
};

const bool kAdded = [] {
  const auto add = [](const char* name, Activation activation, bool backward) {
    // The largest layer of the 784-500-20 model, and a wide one.
    bench::add_op<Layer>(
        name, {"B", "I", "O"}, {{128, 784, 500}, {512, 2000, 2000}},
        [backward](const bench::Shape& s) {
          return backward ? dense_backward_work(s[0], s[1], s[2]) : dense_work(s[0], s[1], s[2]);
        },
        activation, backward);
  };
  add("dense/forward_relu", Activation::kRelu, false);
  add("dense/forward_gelu", Activation::kGelu, false);
  add("dense/backward_relu", Activation::kRelu, true);
  return true;
}();

}  // namespace
}  // namespace felbo
