#include "kernels/log_counts/log_counts.h"

#include "benchmarks/op_bench.h"
#include "kernels/log_counts/log_counts_reference.h"
#include "kernels/log_counts/log_counts_work.h"

namespace felbo {
namespace {

template <class Exec, class T>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape) : exec(exec), size(shape[0] * shape[1]) {}
  void operator()() const { log_counts(exec, LogCountsArgsOf<T>{x.view(), y.view()}); }
  std::function<std::vector<double>()> reference() const {
    return [x = bench::doubles(x.view())] {
      return bench::each(x.size(), [&](std::size_t i) { return reference::log_count(x[i]); });
    };
  }
  std::vector<double> result() const { return bench::doubles(y.view()); }

  const Exec& exec;
  std::int64_t size;
  // Counts of all magnitudes, and zeros.
  Buffer<Exec, float> x = bench::filled<float>(
      exec, size, [](std::int64_t i) { return i % 3 == 0 ? 0 : std::int64_t{1} << i % 20; });
  Buffer<Exec, T> y{exec, size};
};
template <class Exec>
using ToFloat = Problem<Exec, float>;
template <class Exec>
using ToBf16 = Problem<Exec, BFloat16>;

// A training batch of the sparse-counts recipe, and out of every cache.
const std::vector<bench::Shape> kUsual{{128, 2000}, {40'960, 784}};
const bool kAdded =
    bench::add_op<ToFloat>("log_counts/forward", {"B", "X"}, kUsual,
                           [](const bench::Shape& s) { return log_counts_work(s[0] * s[1]); }) &&
    bench::add_gpu_op<ToBf16>("log_counts/forward_bf16", {"B", "X"}, kUsual,
                              [](const bench::Shape& s) { return log_counts_work(s[0] * s[1], 2.0); });

}  // namespace
}  // namespace felbo
