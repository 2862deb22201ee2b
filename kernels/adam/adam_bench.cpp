#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "kernels/adam/adam.h"

namespace felbo {
namespace {

/// Bytes: parameter and both moments read and written, the gradient read: 28 a parameter.
void step(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  std::vector<float> parameter(count, 0.1f), gradient(count), m(count), v(count);
  for (std::int64_t i = 0; i < count; ++i) gradient[i] = 1e-3f * static_cast<float>(i % 17 - 8);
  const CpuExec& exec = bench::bench_exec();
  const AdamArgs args{{parameter.data(), count},
                      {gradient.data(), count},
                      {m.data(), count},
                      {v.data(), count},
                      adam_step({}, 1)};
  for (auto _ : state) {
    adam(exec, args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * count * 28);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * count);
}

// A layer in cache, the 784-500-20 model, and out of every cache.
BENCHMARK(step)
    ->Name("adam/step")
    ->ArgName("P")
    ->Arg(16384)
    ->Arg(815'824)
    ->Arg(10'000'000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace felbo
