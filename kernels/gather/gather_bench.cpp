#include "kernels/gather/gather.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "benchmarks/op_bench.h"
#include "kernels/gather/gather_work.h"

namespace felbo {
namespace {

/// Rows in a shuffled order, out of a data set as large as the batch.
template <class Exec, class T>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Binarize binarize)
      : exec(exec),
        binarize(binarize),
        batch(shape[0]),
        cols(shape[1]),
        data(bench::filled<T>(exec, batch * cols, [](std::int64_t k) { return k * 37 % 256; })),
        rows(exec, batch),
        x(exec, batch * cols) {
    std::vector<std::uint32_t> order(static_cast<std::size_t>(batch));
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    upload(exec, order, rows.view());
  }
  void operator()() const {
    gather(exec, GatherArgs<T>{data.matrix(batch, cols),
                               rows.view(),
                               255.0f,
                               binarize,
                               {1, 7, Purpose::kBinarize},
                               x.matrix(batch, cols)});
  }

  const Exec& exec;
  Binarize binarize;
  std::int64_t batch, cols;
  Buffer<Exec, T> data;
  Buffer<Exec, std::uint32_t> rows;
  Buffer<Exec, float> x;
};
template <class Exec>
using Bytes = Problem<Exec, std::uint8_t>;
template <class Exec>
using Floats = Problem<Exec, float>;

template <template <class> class P>
void add(const char* name, Binarize binarize, std::int64_t data_bytes) {
  // A training batch of MNIST's shape, and one out of every cache.
  bench::add_op<P>(
      name, {"B", "X"}, {{128, 784}, {65536, 784}},
      [=](const bench::Shape& shape) { return gather_work(shape[0], shape[1], data_bytes); }, binarize);
}

const bool kAdded = [] {
  add<Bytes>("gather/bytes", Binarize::kNone, 1);
  add<Bytes>("gather/bytes_threshold", Binarize::kThreshold, 1);
  add<Bytes>("gather/bytes_dynamic", Binarize::kDynamic, 1);
  add<Floats>("gather/floats", Binarize::kNone, 4);
  add<Floats>("gather/floats_dynamic", Binarize::kDynamic, 4);
  return true;
}();

}  // namespace
}  // namespace felbo
