#include "kernels/counts/counts.h"

#include "benchmarks/op_bench.h"
#include "kernels/counts/counts_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Counts {
  Counts(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        counts(bench::filled<std::int32_t>(exec, shape[0], [](std::int64_t i) { return i % 3; })),
        total(exec, 1) {}
  void operator()() const { add_counts(exec, {counts.view(), total.view()}); }

  const Exec& exec;
  Buffer<Exec, std::int32_t> counts;
  Buffer<Exec, std::int64_t> total;
};
template <class Exec>
struct NonFinite {
  NonFinite(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        values(bench::filled<float>(exec, shape[0], [](std::int64_t i) { return i % 199 - 99; })),
        total(exec, 1) {}
  void operator()() const { add_non_finite(exec, {values.view(), total.view()}); }

  const Exec& exec;
  Buffer<Exec, float> values;
  Buffer<Exec, std::int64_t> total;
};

// The rows of a batch; the parameters of the 784-500-20 model, and out of every cache.
const bool kAdded = bench::add_op<Counts>("counts/add", {"B"}, {{128}, {6400}},
                                          [](const bench::Shape& s) { return add_counts_work(s[0]); }) &&
                    bench::add_op<NonFinite>("counts/non_finite", {"P"}, {{815'824}, {33'554'432}},
                                             [](const bench::Shape& s) { return add_non_finite_work(s[0]); });

}  // namespace
}  // namespace felbo
