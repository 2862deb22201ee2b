// Rates of standard normals, whose arithmetic costs more than what they move.
#include "kernels/noise/noise.h"

#include "benchmarks/op_bench.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/noise/noise_work.h"

namespace felbo {
namespace {

template <class Exec>
struct NormalsProblem {
  NormalsProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec), rows(shape[0]), cols(shape[1]), out(exec, rows * cols) {}
  void operator()() const {
    normal_fill(exec, {.stream = {1, 0, Purpose::kPrior}, .out = out.matrix(rows, cols)});
  }
  std::function<std::vector<double>()> reference() const {
    return [cols = static_cast<std::size_t>(cols), size = static_cast<std::size_t>(rows * cols)] {
      return bench::each(size, [&](std::size_t i) {
        return reference::normal(1, 0, static_cast<std::uint32_t>(Purpose::kPrior),
                                 static_cast<std::uint32_t>(i / cols), 0,
                                 static_cast<std::uint32_t>(i % cols));
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(out.view()); }

  const Exec& exec;
  std::int64_t rows, cols;
  Buffer<Exec, float> out;
};

// The latent rows of a batch, long rows in cache, and out of every cache.
const bool kAdded = bench::add_op<NormalsProblem>(
    "noise/normal_fill", {"B", "Z"}, {{128, 20}, {128, 784}, {1'048'576, 32}},
    [](const bench::Shape& shape) { return normal_fill_work(shape[0], shape[1]); });

}  // namespace
}  // namespace felbo
