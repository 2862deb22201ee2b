// Rates of log p(x|z) with its gradient. Bytes are those that one pass must move in float: x read, the
// decoder's output read and its gradient written, so 4 (1 + 2 outputs) an element of x (the gradient of own
// parameters and a number a row are left out). Without the gradient 4 (1 + outputs).
#include <benchmark/benchmark.h>

#include "benchmarks/bench_exec.h"

#include <string>

#include "host/exec/buffer.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {
namespace {

void bench_likelihood(benchmark::State& state, const std::string& name, const std::string& variance,
                      bool want_gradient) {
  const CpuExec& exec = bench::bench_exec();
  const std::int64_t rows = state.range(0), cols = state.range(1);
  const Likelihood which = likelihood_from_names(name, variance, {});
  const std::int64_t own_size = which.own_parameters(cols);
  Buffer<CpuExec, float> x(exec, rows * cols), output(exec, rows * cols * which.outputs()),
      log_px(exec, rows);
  Buffer<CpuExec, float> own(exec, own_size), grad_own(exec, own_size);
  Buffer<CpuExec, float> scratch(exec, likelihood_scratch(which, rows, cols));
  Buffer<CpuExec, std::int32_t> clamped(exec, rows);
  // Values of all magnitudes on both sides of 0; x a Bernoulli's zeros and ones.
  for (std::int64_t i = 0; i < output.size(); ++i)
    output.data()[i] = 0.01f * static_cast<float>(i % 1999 - 999);
  for (std::int64_t i = 0; i < x.size(); ++i) x.data()[i] = i % 7 < 2 ? 1.0f : 0.0f;
  LikelihoodArgs args;
  args.x = x.matrix(rows, cols);
  args.output = output.matrix(rows, cols * which.outputs());
  args.own = own.view();
  args.want_gradient = want_gradient;
  args.log_px_given_z = log_px.view();
  args.grad_own = grad_own.view();
  args.scratch = scratch.view();
  args.clamped = clamped.view();
  for (auto _ : state) {
    likelihood(exec, which, args);
    benchmark::ClobberMemory();
  }
  const std::int64_t numbers = 1 + (want_gradient ? 2 : 1) * which.outputs();
  state.SetBytesProcessed(state.iterations() * 4 * numbers * rows * cols);
}

const bool kRegistered = [] {
  const auto add = [](const std::string& label, const std::string& name, const std::string& variance,
                      bool gradient) {
    const auto run = [=](benchmark::State& state) { bench_likelihood(state, name, variance, gradient); };
    // A usual batch, in cache; and one of 257 MB of traffic or more, out of it.
    benchmark::RegisterBenchmark(("likelihood/" + label).c_str(), run)
        ->ArgNames({"B", "X"})
        ->Args({128, 784})
        ->Args({40960, 784})
        ->UseRealTime();
  };
  add("bernoulli", "bernoulli", "unit", true);
  add("bernoulli_evaluate", "bernoulli", "unit", false);
  add("gaussian_unit", "gaussian", "unit", true);
  add("gaussian_learned", "gaussian", "learned", true);
  add("gaussian_per_dimension", "gaussian", "per-dimension", true);
  add("gaussian_per_element", "gaussian", "per-element", true);
  return true;
}();

}  // namespace
}  // namespace felbo
