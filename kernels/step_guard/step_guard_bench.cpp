#include "kernels/step_guard/step_guard.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

/// Bytes: the gradient read, 4 a parameter. Operations: a square and a sum a parameter.
template <class Exec>
void guard_on(const Exec& exec, benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const auto gradient = bench::filled<float>(
      exec, count, [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 17 - 8); });
  const Buffer<Exec, double> terms(exec, 4), partial(exec, step_guard_scratch(count));
  const Buffer<Exec, std::int64_t> clamped(exec, 1);
  const Buffer<Exec, StepGuard> guard(exec, 1);
  const GuardStepArgs args{.gradient = gradient.view(),
                           .terms = terms.view(),
                           .clamped = clamped.view(),
                           .data = 128,
                           .partial = partial.view(),
                           .guard = guard.view()};
  bench::measure(state, exec, [&] { guard_step(exec, args); });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * count * 4);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * count);
  bench::declare_flops(state, 2.0 * static_cast<double>(count));
}

void guard(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { guard_on(exec, state); });
}

// A layer in cache, the 784-500-20 model, and out of every cache.
BENCHMARK(guard)
    ->Name("step_guard/guard")
    ->ArgName("P")
    ->Arg(16384)
    ->Arg(815'824)
    ->Arg(10'000'000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace felbo
