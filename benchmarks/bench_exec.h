// What the benchmarks of a run work on (`felbo bench --device --threads`), and how they are timed there.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <variant>
#include <vector>

#include "host/cli/device.h"
#include "host/exec/buffer.h"
#include "host/exec/replay.h"

namespace felbo::bench {

#if FELBO_WITH_CUDA
using AnyExec = std::variant<CpuExec, CudaExec>;
#else
using AnyExec = std::variant<CpuExec>;
#endif

/// The Exec of this run; set once, before any benchmark runs.
inline AnyExec& bench_exec() {
  static AnyExec exec{CpuExec(0)};
  return exec;
}

/// Calls f(exec) with the Exec of this run.
template <class F>
auto on_device(const F& f) {
  return std::visit(f, bench_exec());
}

/// Waits for what was enqueued.
inline void finish(const CpuExec&) {}
#if FELBO_WITH_CUDA
inline void finish(const CudaExec& exec) { exec.synchronize(); }
#endif

/// The timed loop of a benchmark: `op` again and again.
template <class Op>
void measure(benchmark::State& state, const CpuExec&, std::int64_t /*round*/, const Op& op) {
  for (auto _ : state) {
    op();
    benchmark::ClobberMemory();
  }
}

#if FELBO_WITH_CUDA
/// On a GPU 50 at a time or more, recorded into one graph: launching it and waiting for its end, some ten
/// microseconds, are then a small part of what is timed. `round`: calls of `op` after which it begins anew
/// with the same memory.
template <class Op>
void measure(benchmark::State& state, const CudaExec& exec, std::int64_t round, const Op& op) {
  const std::int64_t ops = (50 + round - 1) / round * round;
  Replay<CudaExec> replay;
  const auto batch = [&] {
    replay(exec, [&] {
      for (std::int64_t i = 0; i < ops; ++i) op();
    });
    exec.synchronize();
  };
  batch();  // plain
  batch();  // recorded
  while (state.KeepRunningBatch(ops)) batch();
}
#endif

/// A buffer whose element i is f(i).
template <class T, class Exec, class F>
Buffer<Exec, T> filled(const Exec& exec, std::int64_t size, const F& f) {
  std::vector<T> values(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) values[static_cast<std::size_t>(i)] = static_cast<T>(f(i));
  Buffer<Exec, T> buffer(exec, size);
  upload(exec, values, buffer.view());
  return buffer;
}

/// 0 ... size - 1 in a shuffled order, always the same.
template <class Exec>
Buffer<Exec, std::uint32_t> shuffled(const Exec& exec, std::int64_t size) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  Buffer<Exec, std::uint32_t> buffer(exec, size);
  upload(exec, order, buffer.view());
  return buffer;
}

}  // namespace felbo::bench
