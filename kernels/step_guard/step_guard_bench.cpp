#include "kernels/step_guard/step_guard.h"

#include "benchmarks/op_bench.h"
#include "kernels/step_guard/step_guard_reference.h"
#include "kernels/step_guard/step_guard_work.h"

namespace felbo {
namespace {

template <class Exec>
struct GuardProblem {
  GuardProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        gradient(bench::filled<float>(exec, shape[0],
                                      [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 17 - 8); })),
        terms(exec, 4),
        partial(exec, step_guard_scratch(shape[0])),
        clamped(exec, 1),
        guard(exec, 1) {}
  void operator()() const {
    guard_step(exec, {.gradient = gradient.view(),
                      .terms = terms.view(),
                      .clamped = clamped.view(),
                      .data = 128,
                      .partial = partial.view(),
                      .guard = guard.view()});
  }
  std::function<std::vector<double>()> reference() const {
    return [gradient = bench::doubles(gradient.view())] {
      return std::vector<double>{reference::gradient_norm(gradient)};
    };
  }
  std::vector<double> result() const { return {guard.view()(0).norm}; }

  const Exec& exec;
  Buffer<Exec, float> gradient;
  Buffer<Exec, double> terms, partial;
  Buffer<Exec, std::int64_t> clamped;
  Buffer<Exec, StepGuard> guard;
};

// A layer in cache, the 784-500-20 model, and out of every cache.
const bool kAdded =
    bench::add_op<GuardProblem>("step_guard/guard", {"P"}, {{16384}, {815'824}, {10'000'000}},
                                [](const bench::Shape& shape) { return step_guard_work(shape[0]); });

}  // namespace
}  // namespace felbo
