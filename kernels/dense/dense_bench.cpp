// Rates of one layer with its bias and activation, in operations of its products: 2 B I O forward; backward
// the same for the weights' gradient, and again for the input's. What the products alone take, `felbo bench
// gemm` and the shares of `felbo bench step` tell.
#include "kernels/dense/dense.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

template <class Exec>
struct Layer {
  Layer(const Exec& exec, const benchmark::State& state)
      : exec(exec), batch(state.range(0)), in(state.range(1)), out(state.range(2)) {}
  Buffer<Exec, float> values(std::int64_t size, float step) const {
    return bench::filled<float>(exec, size,
                                [=](std::int64_t i) { return step * static_cast<float>(i % 201 - 100); });
  }
  /// Operations of the products alone. Bytes: each matrix read or written once, as if the rest stayed in
  /// cache.
  void report(benchmark::State& state, int products) const {
    bench::declare_flops(state, 2.0 * products * static_cast<double>(batch * in * out));
    const std::int64_t floats = products * (batch * in + in * out) + batch * out + out;
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * 4 * floats);
  }

  const Exec& exec;
  std::int64_t batch, in, out;
  Buffer<Exec, float> x = values(batch * in, 0.01f), weight = values(in * out, 0.001f), bias{exec, out};
  Buffer<Exec, float> y = values(batch * out, 0.01f), grad_x{exec, batch*in}, grad_weight{exec, in*out};
};

template <class Exec>
Buffer<Exec, std::byte> aux_of(const Exec& exec, Activation activation, std::int64_t rows,
                               std::int64_t cols) {
  return {exec, dense_aux_bytes(exec, activation, rows, cols)};
}
template <class Exec>
View<std::byte, 1> view_of(const Buffer<Exec, std::byte>& aux) {
  return aux.size() > 0 ? aux.view() : View<std::byte, 1>();
}

template <class Exec>
void forward(const Exec& exec, benchmark::State& state, Activation activation) {
  const Layer<Exec> layer(exec, state);
  const Buffer<Exec, std::byte> aux = aux_of(exec, activation, layer.batch, layer.out);
  const DenseArgs args{.x = layer.x.matrix(layer.batch, layer.in),
                       .weight = layer.weight.matrix(layer.in, layer.out),
                       .bias = layer.bias.view(),
                       .activation = activation,
                       .y = layer.y.matrix(layer.batch, layer.out),
                       .aux = view_of(aux)};
  bench::measure(state, exec, [&] { dense(exec, args); });
  layer.report(state, 1);
}

template <class Exec>
void backward_on(const Exec& exec, benchmark::State& state) {
  const Layer<Exec> layer(exec, state);
  const Buffer<Exec, std::byte> aux = aux_of(exec, Activation::kRelu, layer.batch, layer.in);
  const DenseGradArgs args{.x = layer.x.matrix(layer.batch, layer.in),
                           .weight = layer.weight.matrix(layer.in, layer.out),
                           .grad_y = layer.y.matrix(layer.batch, layer.out),
                           .grad_weight = layer.grad_weight.matrix(layer.in, layer.out),
                           .grad_bias = layer.bias.view(),
                           .below = Activation::kRelu,
                           .x_aux = view_of(aux),
                           .grad_x = layer.grad_x.matrix(layer.batch, layer.in)};
  bench::measure(state, exec, [&] { dense_backward(exec, args); });
  layer.report(state, 2);
}

void relu(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward(exec, state, Activation::kRelu); });
}
void gelu(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward(exec, state, Activation::kGelu); });
}
void backward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { backward_on(exec, state); });
}

/// The largest layer of the 784-500-20 model, and a wide one.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "I", "O"})
      ->Args({128, 784, 500})
      ->Args({512, 2000, 2000})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(relu)->Name("dense/forward_relu")->Apply(shapes);
BENCHMARK(gelu)->Name("dense/forward_gelu")->Apply(shapes);
BENCHMARK(backward)->Name("dense/backward_relu")->Apply(shapes);

}  // namespace
}  // namespace felbo
