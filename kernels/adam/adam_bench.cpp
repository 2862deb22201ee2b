#include "kernels/adam/adam.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

/// Bytes: parameter and both moments read and written, the gradient read: 28 a parameter. Operations: 3 for
/// m, 4 for v, 2 for their corrections, and sqrt, +, /, *, - for the step: 14.
template <class Exec>
void step_on(const Exec& exec, benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const auto parameter = bench::filled<float>(exec, count, [](std::int64_t) { return 0.1f; });
  const auto gradient = bench::filled<float>(
      exec, count, [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 17 - 8); });
  const Buffer<Exec, float> m(exec, count), v(exec, count);
  const AdamArgs args{parameter.view(), gradient.view(), m.view(), v.view(), adam_step({}, 1)};
  bench::measure(state, exec, [&] { adam(exec, args); });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * count * 28);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * count);
  bench::declare_flops(state, 14.0 * static_cast<double>(count));
}

void step(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { step_on(exec, state); });
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
