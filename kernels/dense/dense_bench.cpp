// Rates of one layer with its bias and activation, in operations of its products: 2 B I O forward; backward
// the same for the weights' gradient, and again for the input's. What the products alone take, `felbo bench
// gemm` and the shares of `felbo bench step` tell.
#include "kernels/dense/dense.h"

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "host/exec/buffer.h"

namespace felbo {
namespace {

struct Layer {
  explicit Layer(const benchmark::State& state)
      : batch(state.range(0)), in(state.range(1)), out(state.range(2)) {
    fill(x, 0.01f);
    fill(weight, 0.001f);
    fill(y, 0.01f);
  }
  static void fill(const Buffer<CpuExec, float>& buffer, float step) {
    for (std::int64_t i = 0; i < buffer.size(); ++i)
      buffer.data()[i] = step * static_cast<float>(i % 201 - 100);
  }
  void report(benchmark::State& state, int products) const {
    state.counters["flops"] = benchmark::Counter(2.0 * products * static_cast<double>(batch * in * out),
                                                 benchmark::Counter::kIsIterationInvariantRate);
  }

  std::int64_t batch, in, out;
  CpuExec exec = bench::bench_exec();
  Buffer<CpuExec, float> x{exec, batch*in}, weight{exec, in*out}, bias{exec, out}, y{exec, batch*out};
  Buffer<CpuExec, float> grad_x{exec, batch*in}, grad_weight{exec, in*out};
};

void forward(benchmark::State& state, Activation activation) {
  const Layer layer(state);
  const Buffer<CpuExec, std::byte> aux(layer.exec,
                                       dense_aux_bytes(layer.exec, activation, layer.batch, layer.out));
  const DenseArgs args{.x = layer.x.matrix(layer.batch, layer.in),
                 .weight = layer.weight.matrix(layer.in, layer.out),
                 .bias = layer.bias.view(),
                 .activation = activation,
                 .y = layer.y.matrix(layer.batch, layer.out),
                 .aux = aux.size() > 0 ? aux.view() : View<std::byte, 1>()};
  for (auto _ : state) {
    dense(layer.exec, args);
    benchmark::ClobberMemory();
  }
  layer.report(state, 1);
}

void relu(benchmark::State& state) { forward(state, Activation::kRelu); }
void gelu(benchmark::State& state) { forward(state, Activation::kGelu); }

void backward(benchmark::State& state) {
  const Layer layer(state);
  const DenseGradArgs args{.x = layer.x.matrix(layer.batch, layer.in),
                           .weight = layer.weight.matrix(layer.in, layer.out),
                           .grad_y = layer.y.matrix(layer.batch, layer.out),
                           .grad_weight = layer.grad_weight.matrix(layer.in, layer.out),
                           .grad_bias = layer.bias.view(),
                           .below = Activation::kRelu,
                           .grad_x = layer.grad_x.matrix(layer.batch, layer.in)};
  for (auto _ : state) {
    dense_backward(layer.exec, args);
    benchmark::ClobberMemory();
  }
  layer.report(state, 2);
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
