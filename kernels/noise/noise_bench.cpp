// Rates of standard normals. Bytes: a float written a normal; its arithmetic costs more than that.
#include "kernels/noise/noise.h"

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"
#include "host/exec/buffer.h"

namespace felbo {
namespace {

/// Bytes: a float written a normal. Operations, by Box and Muller, of two normals: 2 products that make the
/// uniform numbers, log, *, sqrt, the angle's product, sine, cosine and 2 products: 10.
template <class Exec>
void normals_on(const Exec& exec, benchmark::State& state) {
  const std::int64_t rows = state.range(0), cols = state.range(1);
  const Buffer<Exec, float> out(exec, rows * cols);
  const NormalFillArgs args{.stream = {1, 0, Purpose::kPrior}, .out = out.matrix(rows, cols)};
  bench::measure(state, exec, [&] { normal_fill(exec, args); });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * rows * cols * 4);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * rows * cols);
  bench::declare_flops(state, 5.0 * static_cast<double>(rows * cols));
}

void normals(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { normals_on(exec, state); });
}

// The latent rows of a batch, long rows in cache, and out of every cache.
BENCHMARK(normals)
    ->Name("noise/normal_fill")
    ->ArgNames({"B", "D"})
    ->Args({128, 20})
    ->Args({128, 784})
    ->Args({1'048'576, 32})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace felbo
