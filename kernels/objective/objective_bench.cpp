#include "kernels/objective/objective.h"

#include <limits>

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

template <class Exec>
Buffer<Exec, float> log_probabilities(const Exec& exec, std::int64_t size, float around) {
  return bench::filled<float>(
      exec, size, [=](std::int64_t i) { return around + 0.25f * static_cast<float>(i * 7919 % 101); });
}

/// Bytes: a float read a sample; the KL read and the result written a datum. Operations: a sum a sample; a
/// division, a difference and 3 sums of totals a datum.
template <class Exec>
void elbo_on(const Exec& exec, benchmark::State& state) {
  const std::int64_t batch = state.range(0), samples = state.range(1);
  const auto log_px = log_probabilities(exec, batch * samples, -110.0f),
             kl = log_probabilities(exec, batch, 25.0f);
  const Buffer<Exec, float> out(exec, batch);
  const Buffer<Exec, double> totals(exec, 3);
  bench::measure(state, exec, [&] {
    elbo(exec, {log_px.view(), kl.view(), static_cast<int>(samples), out.view(), totals.view()});
  });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * (batch * samples * 4 + batch * 8));
  bench::declare_flops(state, static_cast<double>(batch * samples + 5 * batch));
}

/// Bytes: three floats read a sample; two doubles read and written a datum. Operations a sample: 2 make log
/// w, then -, exp and +.
template <class Exec>
void log_mean_exp_on(const Exec& exec, benchmark::State& state) {
  const std::int64_t batch = state.range(0), samples = state.range(1), size = batch * samples;
  const auto log_px = log_probabilities(exec, size, -110.0f), log_pz = log_probabilities(exec, size, -30.0f);
  const auto log_qz = log_probabilities(exec, size, -10.0f);
  const auto max = bench::filled<double>(
      exec, batch, [](std::int64_t) { return -std::numeric_limits<double>::infinity(); });
  const Buffer<Exec, double> sum(exec, batch);
  bench::measure(state, exec, [&] {
    log_mean_exp_update(exec, {log_px.view(), log_pz.view(), log_qz.view(), static_cast<int>(samples),
                               max.view(), sum.view()});
  });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * (size * 12 + batch * 32));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * size);
  bench::declare_flops(state, 5.0 * static_cast<double>(size));
}

void elbo_batch(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { elbo_on(exec, state); });
}
void log_mean_exp(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { log_mean_exp_on(exec, state); });
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
