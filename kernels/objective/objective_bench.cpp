#include <limits>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "kernels/objective/objective.h"

namespace felbo {
namespace {

std::vector<float> log_probabilities(std::int64_t size, float around) {
  std::vector<float> values(size);
  for (std::int64_t i = 0; i < size; ++i) values[i] = around + 0.25f * static_cast<float>(i * 7919 % 101);
  return values;
}

/// Bytes: a float read a sample; the KL read and the result written a datum.
void elbo_batch(benchmark::State& state) {
  const std::int64_t batch = state.range(0), samples = state.range(1);
  const auto log_px = log_probabilities(batch * samples, -110.0f), kl = log_probabilities(batch, 25.0f);
  std::vector<float> out(batch);
  double totals[3] = {};
  const CpuExec& exec = bench::bench_exec();
  for (auto _ : state) {
    elbo(exec, {{log_px.data(), batch * samples},
                {kl.data(), batch},
                static_cast<int>(samples),
                {out.data(), batch},
                {totals, 3}});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * (batch * samples * 4 + batch * 8));
}

/// Bytes: three floats read a sample; two doubles read and written a datum.
void log_mean_exp(benchmark::State& state) {
  const std::int64_t batch = state.range(0), samples = state.range(1), size = batch * samples;
  const auto log_px = log_probabilities(size, -110.0f), log_pz = log_probabilities(size, -30.0f);
  const auto log_qz = log_probabilities(size, -10.0f);
  std::vector<double> max(batch, -std::numeric_limits<double>::infinity()), sum(batch);
  const CpuExec& exec = bench::bench_exec();
  for (auto _ : state) {
    log_mean_exp_update(exec, {{log_px.data(), size},
                               {log_pz.data(), size},
                               {log_qz.data(), size},
                               static_cast<int>(samples),
                               {max.data(), batch},
                               {sum.data(), batch}});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * (size * 12 + batch * 32));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * size);
}

BENCHMARK(elbo_batch)
    ->Name("objective/elbo")
    ->ArgNames({"B", "S"})
    ->Args({128, 1})
    ->Args({128, 50})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(log_mean_exp)
    ->Name("objective/log_mean_exp")
    ->ArgNames({"B", "S"})
    ->Args({128, 1})
    ->Args({128, 100})
    ->Args({4096, 6144})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace felbo
