#include "kernels/adam/adam.h"

#include "benchmarks/op_bench.h"
#include "kernels/adam/adam_reference.h"
#include "kernels/adam/adam_work.h"

namespace felbo {
namespace {

template <class Exec>
struct StepProblem {
  StepProblem(const Exec& exec, const bench::Shape& shape, bool rounded)
      : exec(exec),
        parameter(bench::filled<float>(exec, shape[0], [](std::int64_t) { return 0.1f; })),
        gradient(bench::filled<float>(exec, shape[0],
                                      [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 17 - 8); })),
        m(exec, shape[0]),
        v(exec, shape[0]),
        bf16(exec, rounded ? shape[0] : 0) {}
  void operator()() const {
    AdamArgs args{parameter.view(), gradient.view(), m.view(), v.view(), adam_step({}, 1)};
    if (bf16.size() > 0) args.rounded = bf16.view();
    adam(exec, args);
  }
  std::function<std::vector<double>()> reference() const {
    return [theta = bench::doubles(parameter.view()), g = bench::doubles(gradient.view())] {
      return bench::each(theta.size(), [&](std::size_t i) {
        return reference::adam<double>({.theta = theta[i]}, g[i], 1e-3, 0.9, 0.999, 1e-8, 1).theta;
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(parameter.view()); }

  const Exec& exec;
  Buffer<Exec, float> parameter, gradient, m, v;
  Buffer<Exec, BFloat16> bf16;
};

// A layer in cache, the 784-500-20 model, and out of every cache.
const bool kAdded = [] {
  for (const bool rounded : {false, true}) {
    bench::add_op<StepProblem>(
        rounded ? "adam/step_bf16" : "adam/step", {"P"}, {{16384}, {815'824}, {10'000'000}},
        [rounded](const bench::Shape& shape) { return adam_work(shape[0], rounded); }, rounded);
  }
  return true;
}();

}  // namespace
}  // namespace felbo
