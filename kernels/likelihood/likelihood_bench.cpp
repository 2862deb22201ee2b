// Rates of log p(x|z) with its gradient.
#include "kernels/likelihood/likelihood.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "benchmarks/op_bench.h"
#include "kernels/likelihood/likelihood_work.h"

namespace felbo {
namespace {

template <class Exec, class Data>
struct ProblemOf {
  ProblemOf(const Exec& exec, const bench::Shape& shape, const Likelihood& which, bool want_gradient)
      : exec(exec), which(which), want_gradient(want_gradient), rows(shape[0]), cols(shape[1]) {}

  void operator()() const {
    LikelihoodArgs args;
    if constexpr (std::is_same_v<Data, std::uint8_t>) {
      args.x = XView(x.matrix(rows, cols), 255.0f);
    } else {
      args.x = x.matrix(rows, cols);
    }
    args.output = output.matrix(rows, cols * which.outputs());
    args.own = own.view();
    args.want_gradient = want_gradient;
    args.log_px_given_z = log_px.view();
    args.grad_own = grad_own.view();
    args.scratch = scratch.view();
    args.clamped = clamped.view();
    likelihood(exec, which, args);
  }

  const Exec& exec;
  Likelihood which;
  bool want_gradient;
  std::int64_t rows, cols, own_size = which.own_parameters(cols);
  // Values of all magnitudes on both sides of 0; x zeros and ones, which every family takes.
  Buffer<Exec, float> output = bench::filled<float>(exec, rows* cols* which.outputs(), [](std::int64_t i) {
    return 0.01f * static_cast<float>(i % 1999 - 999);
  });
  Buffer<Exec, Data> x = bench::filled<Data>(exec, rows* cols, [](std::int64_t i) {
    constexpr float kOne = std::is_same_v<Data, std::uint8_t> ? 255.0f : 1.0f;
    return static_cast<Data>(i % 7 < 2 ? kOne : 0.0f);
  });
  Buffer<Exec, float> log_px{exec, rows}, own{exec, own_size}, grad_own{exec, own_size};
  Buffer<Exec, float> scratch{exec, likelihood_scratch(which, rows, cols)};
  Buffer<Exec, std::int32_t> clamped{exec, rows};
};
template <class Exec>
using OfFloats = ProblemOf<Exec, float>;
template <class Exec>
using OfBytes = ProblemOf<Exec, std::uint8_t>;
template <class Exec>
using OfBFloat16 = ProblemOf<Exec, BFloat16>;

template <template <class> class P = OfFloats>
void add(const std::string& label, const std::string& name, const std::string& variance, bool gradient,
         int categories, std::vector<bench::Shape> usual, std::int64_t data_bytes = 4) {
  const Likelihood which = likelihood_from_names(name, variance, {}, 5.0f, categories);
  bench::add_op<P>(
      "likelihood/" + label, {"B", "X"}, std::move(usual),
      [=](const bench::Shape& s) { return likelihood_work(which, s[0], s[1], gradient, data_bytes); }, which,
      gradient);
}
/// A usual batch; and one of 257 MB of traffic or more.
void add(const std::string& label, const std::string& name, const std::string& variance, bool gradient) {
  add(label, name, variance, gradient, 256, {{128, 784}, {40960, 784}});
}
/// The same of x stored as bytes and as bfloat16.
void add_stored(const std::string& label, const std::string& name, const std::string& variance) {
  const std::vector<bench::Shape> usual{{128, 784}, {40960, 784}};
  add<OfBytes>(label + "_bytes", name, variance, true, 256, usual, 1);
  add<OfBFloat16>(label + "_bf16_data", name, variance, true, 256, usual, 2);
}

const bool kAdded = [] {
  add("bernoulli", "bernoulli", "unit", true);
  add("bernoulli_evaluate", "bernoulli", "unit", false);
  add("gaussian_unit", "gaussian", "unit", true);
  add("gaussian_learned", "gaussian", "learned", true);
  add("gaussian_per_dimension", "gaussian", "per-dimension", true);
  add("gaussian_per_element", "gaussian", "per-element", true);
  add_stored("bernoulli", "bernoulli", "unit");
  add_stored("gaussian_unit", "gaussian", "unit");
  add_stored("poisson", "poisson", "unit");
  add("continuous_bernoulli", "continuous-bernoulli", "unit", true);
  add("poisson", "poisson", "unit", true);
  add("multinomial", "multinomial", "unit", true);
  // Of 1568 and 200704 logits a row.
  for (const int categories : {2, 256}) {
    const std::string label = "categorical_" + std::to_string(categories);
    add(label, "categorical", "unit", true, categories, {{128, 784}});
    add(label + "_evaluate", "categorical", "unit", false, categories, {{128, 784}});
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
