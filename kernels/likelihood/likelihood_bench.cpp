// Rates of log p(x|z) with its gradient. Bytes are those that one pass must move in float: x read, the
// decoder's output read and its gradient written, so 4 (1 + 2 outputs) an element of x (the gradient of own
// parameters and a number a row are left out). Without the gradient 4 (1 + outputs).
#include "kernels/likelihood/likelihood.h"

#include <algorithm>
#include <string>

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

/// Operations of an element, where they are counted; 0 where they are not. Bernoulli: x l, |l|'s exp, 1 +,
/// log, two differences, the row's sum; for the gradient a division, a difference and a product with the
/// scale. Gaussian of unit variance: the difference, its square, the row's sum (constants are added once a
/// row), its scaled gradient.
double operations(const Likelihood& which, bool gradient) {
  if (which.family == LikelihoodFamily::kBernoulli) return gradient ? 10.0 : 7.0;
  const bool unit = which.family == LikelihoodFamily::kGaussian && which.variance == VarianceKind::kUnit;
  return unit ? (gradient ? 4.0 : 3.0) : 0.0;
}

template <class Exec>
void bench_likelihood(const Exec& exec, benchmark::State& state, const std::string& name,
                      const std::string& variance, bool want_gradient, int categories) {
  const std::int64_t rows = state.range(0), cols = state.range(1);
  const Likelihood which = likelihood_from_names(name, variance, {}, 5.0f, categories);
  const std::int64_t own_size = which.own_parameters(cols);
  // Values of all magnitudes on both sides of 0; x zeros and ones, which every family takes.
  const auto output = bench::filled<float>(exec, rows * cols * which.outputs(), [](std::int64_t i) {
    return 0.01f * static_cast<float>(i % 1999 - 999);
  });
  const auto x =
      bench::filled<float>(exec, rows * cols, [](std::int64_t i) { return i % 7 < 2 ? 1.0f : 0.0f; });
  const Buffer<Exec, float> log_px(exec, rows), own(exec, own_size), grad_own(exec, own_size);
  const Buffer<Exec, float> scratch(exec, likelihood_scratch(which, rows, cols));
  const Buffer<Exec, std::int32_t> clamped(exec, rows);
  LikelihoodArgs args;
  args.x = x.matrix(rows, cols);
  args.output = output.matrix(rows, cols * which.outputs());
  args.own = own.view();
  args.want_gradient = want_gradient;
  args.log_px_given_z = log_px.view();
  args.grad_own = grad_own.view();
  args.scratch = scratch.view();
  args.clamped = clamped.view();
  bench::measure(state, exec, [&] { likelihood(exec, which, args); });
  const std::int64_t numbers = 1 + (want_gradient ? 2 : 1) * which.outputs();
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * 4 * numbers * rows * cols);
  const double flops = operations(which, want_gradient) * static_cast<double>(rows * cols);
  if (flops > 0.0) bench::declare_flops(state, flops);
}

const bool kRegistered = [] {
  const auto add = [](const std::string& label, const std::string& name, const std::string& variance,
                      bool gradient) {
    const auto run = [=](benchmark::State& state) {
      bench::on_device(
          [&](const auto& exec) { bench_likelihood(exec, state, name, variance, gradient, 256); });
    };
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
  add("continuous_bernoulli", "continuous-bernoulli", "unit", true);
  add("poisson", "poisson", "unit", true);
  add("multinomial", "multinomial", "unit", true);
  // Of 200704 and 1568 logits a row.
  for (const int categories : {2, 256}) {
    for (const bool gradient : {true, false}) {
      const auto run = [=](benchmark::State& state) {
        bench::on_device([&](const auto& exec) {
          bench_likelihood(exec, state, "categorical", "unit", gradient, categories);
        });
      };
      const std::string label = "likelihood/categorical_" + std::to_string(categories);
      benchmark::RegisterBenchmark((label + (gradient ? "" : "_evaluate")).c_str(), run)
          ->ArgNames({"B", "X"})
          ->Args({128, 784})
          ->UseRealTime();
    }
  }
  for (const char* name : {"laplace", "student-t", "discretized-logistic", "negative-binomial",
                           "zero-inflated-negative-binomial"}) {
    std::string label = name;
    std::ranges::replace(label, '-', '_');
    add(label + "_learned", name, "learned", true);
    add(label + "_per_element", name, "per-element", true);
  }
  return true;
}();

}  // namespace
}  // namespace felbo
