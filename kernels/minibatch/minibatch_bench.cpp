#include "kernels/minibatch/minibatch.h"

#include "benchmarks/op_bench.h"
#include "kernels/minibatch/minibatch_work.h"

namespace felbo {
namespace {

/// Always the first step of an epoch, whose plan has an end: the fill that begins it is timed with the op.
template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        order(bench::filled<std::uint32_t>(exec, shape[0], [](std::int64_t i) { return i; })),
        plan(exec, 1),
        now(exec, 1),
        position(exec, 1),
        rows(exec, shape[0]) {}
  void operator()() const {
    zero(exec, position.view());
    next_minibatch(exec, {.order = order.view(),
                          .plan = plan.view(),
                          .batch = rows.size(),
                          .position = position.view(),
                          .rows = rows.view(),
                          .now = now.view()});
  }

  const Exec& exec;
  Buffer<Exec, std::uint32_t> order;
  Buffer<Exec, StepPlan> plan, now;
  Buffer<Exec, std::int64_t> position;
  Buffer<Exec, std::uint32_t> rows;
};

// Batches of training.
const bool kAdded = bench::add_op<Problem>("minibatch/next", {"B"}, {{128}, {8192}},
                                           [](const bench::Shape& s) { return next_minibatch_work(s[0]); });

}  // namespace
}  // namespace felbo
