#include "kernels/adam/adam.h"

#include "benchmarks/op_bench.h"
#include "kernels/adam/adam_work.h"

namespace felbo {
namespace {

template <class Exec>
struct StepProblem {
  StepProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        parameter(bench::filled<float>(exec, shape[0], [](std::int64_t) { return 0.1f; })),
        gradient(bench::filled<float>(exec, shape[0],
                                      [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 17 - 8); })),
        m(exec, shape[0]),
        v(exec, shape[0]) {}
  void operator()() const {
    adam(exec, {parameter.view(), gradient.view(), m.view(), v.view(), adam_step({}, 1)});
  }

  const Exec& exec;
  Buffer<Exec, float> parameter, gradient, m, v;
};

// A layer in cache, the 784-500-20 model, and out of every cache.
const bool kAdded = bench::add_op<StepProblem>("adam/step", {"P"}, {{16384}, {815'824}, {10'000'000}},
                                               [](const bench::Shape& shape) { return adam_work(shape[0]); });

}  // namespace
}  // namespace felbo
