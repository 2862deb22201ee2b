// Rates of standard normals. Bytes: a float written a normal; its arithmetic costs more than that.
#include "kernels/noise/noise.h"

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "host/exec/buffer.h"

namespace felbo {
namespace {

void normals(benchmark::State& state) {
  const std::int64_t rows = state.range(0), cols = state.range(1);
  const CpuExec& exec = bench::bench_exec();
  const Buffer<CpuExec, float> out(exec, rows * cols);
  const NormalFillArgs args{.stream = {1, 0, Purpose::kPrior}, .out = out.matrix(rows, cols)};
  for (auto _ : state) {
    normal_fill(exec, args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * rows * cols * 4);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * rows * cols);
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
