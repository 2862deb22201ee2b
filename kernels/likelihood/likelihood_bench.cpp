// Rates of log p(x|z) with its gradient.
#include "kernels/likelihood/likelihood.h"

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>

#include "benchmarks/op_bench.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/likelihood/likelihood_work.h"

namespace felbo {
namespace {

template <class Exec, class Data>
struct ProblemOf {
  static constexpr bool kBytes = std::is_same_v<Data, std::uint8_t>;

  ProblemOf(const Exec& exec, const bench::Shape& shape, const Likelihood& which, bool want_gradient)
      : exec(exec), which(which), want_gradient(want_gradient), rows(shape[0]), cols(shape[1]) {}

  void operator()() const { call(output); }
  /// T: how the decoder's output is stored.
  template <class T>
  void call(const Buffer<Exec, T>& output) const {
    LikelihoodArgsOf<T> args;
    if constexpr (kBytes) {
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
  std::function<std::vector<double>()> reference() const {
    const reference::LikelihoodInput<double> in{.data = rows,
                                                .dimensions = cols,
                                                .x = x_in_double(),
                                                .output = bench::doubles(output.view()),
                                                .own = bench::doubles(own.view())};
    return [which = which, in] { return reference::likelihood(which, in).log_px_given_z; };
  }
  std::vector<double> result() const { return bench::doubles(log_px.view()); }
  std::vector<double> x_in_double() const {
    std::vector<double> values = bench::doubles(x.view());
    for (double& value : values) value /= kBytes ? 255.0 : 1.0;
    return values;
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
    return static_cast<Data>(i % 7 < 2 ? (kBytes ? 255.0f : 1.0f) : 0.0f);
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

/// The same with a decoder whose output is stored in bfloat16.
template <class Exec>
struct Bf16Output : OfFloats<Exec> {
  using OfFloats<Exec>::OfFloats;
  void operator()() const { this->call(rounded); }

  Buffer<Exec, BFloat16> rounded =
      bench::filled<BFloat16>(this->exec, this->rows* this->cols* this->which.outputs(),
                              [](std::int64_t i) { return 0.01f * static_cast<float>(i % 1999 - 999); });
};

/// E[x|z] under a Bernoulli, for pictures.
template <class Exec>
struct Mean {
  Mean(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        rows(shape[0]),
        cols(shape[1]),
        output(bench::filled<float>(
            exec, rows * cols, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 1999 - 999); })),
        mean(exec, rows * cols) {}
  void operator()() const { likelihood_mean(exec, {}, output.matrix(rows, cols), mean.matrix(rows, cols)); }
  std::function<std::vector<double>()> reference() const {
    return [rows = rows, cols = cols, output = bench::doubles(output.view())] {
      return reference::likelihood_mean<double>({}, rows, cols, output);
    };
  }
  std::vector<double> result() const { return bench::doubles(mean.view()); }

  const Exec& exec;
  std::int64_t rows, cols;
  Buffer<Exec, float> output, mean;
};

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
  const std::vector<std::array<const char*, 3>> in_bf16{{"bernoulli", "bernoulli", "unit"},
                                                        {"gaussian_unit", "gaussian", "unit"},
                                                        {"gaussian_per_element", "gaussian", "per-element"}};
  for (const auto& [label, name, variance] : in_bf16) {
    const Likelihood which = likelihood_from_names(name, variance, {});
    bench::add_gpu_op<Bf16Output>(
        std::string("likelihood/") + label + "_bf16", {"B", "X"}, {{128, 784}, {40960, 784}},
        [which](const bench::Shape& s) { return likelihood_bf16_work(which, s[0], s[1]); }, which, true);
  }
  bench::add_op<Mean>("likelihood/bernoulli_mean", {"B", "X"}, {{128, 784}, {40960, 784}},
                      [](const bench::Shape& s) { return bernoulli_mean_work(s[0], s[1]); });
  return true;
}();

}  // namespace
}  // namespace felbo
