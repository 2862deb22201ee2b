#include "kernels/round/round.h"

#include "benchmarks/op_bench.h"
#include "kernels/round/round_reference.h"
#include "kernels/round/round_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        from(bench::filled<float>(exec, shape[0],
                                  [](std::int64_t i) { return 1e-3f * static_cast<float>(i % 1999 - 999); })),
        to(exec, shape[0]) {}
  void operator()() const { round_to_bfloat16(exec, {from.view(), to.view()}); }
  std::function<std::vector<double>()> reference() const {
    return [from = bench::doubles(from.view())] {
      return bench::each(from.size(), [&](std::size_t i) { return reference::to_bfloat16(from[i]); });
    };
  }
  std::vector<double> result() const { return bench::doubles(to.view()); }

  const Exec& exec;
  Buffer<Exec, float> from;
  Buffer<Exec, BFloat16> to;
};

// A layer in cache, the 784-500-20 model, and out of every cache.
const bool kAdded = bench::add_op<Problem>("round/to_bf16", {"P"}, {{16'384}, {815'824}, {33'554'432}},
                                           [](const bench::Shape& s) { return round_work(s[0]); });

}  // namespace
}  // namespace felbo
