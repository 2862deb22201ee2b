#include "kernels/gather/gather.h"

#include <type_traits>
#include <vector>

#include "benchmarks/op_bench.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/gather/gather_work.h"

namespace felbo {
namespace {

/// Rows in a shuffled order, out of a data set as large as the batch.
template <class Exec, class T>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Binarize binarize, bool rounded)
      : exec(exec),
        binarize(binarize),
        batch(shape[0]),
        cols(shape[1]),
        data(bench::filled<T>(exec, batch * cols, [](std::int64_t k) { return k * 37 % 256; })),
        rows(bench::shuffled(exec, batch)),
        x(exec, batch * cols),
        bf16(exec, rounded ? batch * cols : 0) {}
  void operator()() const {
    GatherArgs<T> args{data.matrix(batch, cols),   rows.view(),          255.0f, binarize,
                       {1, 7, Purpose::kBinarize}, x.matrix(batch, cols)};
    if (bf16.size() > 0) args.rounded = bf16.matrix(batch, cols);
    gather(exec, args);
  }
  std::function<std::vector<double>()> reference() const {
    return [this, data = bench::doubles(data.view()), cols = static_cast<std::size_t>(cols)] {
      return bench::each(data.size(), [&](std::size_t i) {
        const std::uint32_t datum = rows.view()(static_cast<std::int64_t>(i / cols));
        return reference::gather_pixel(data[datum * cols + i % cols], 255.0f, binarize,
                                       {1, 7, Purpose::kBinarize}, datum,
                                       static_cast<std::uint32_t>(i % cols));
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(x.view()); }

  const Exec& exec;
  Binarize binarize;
  std::int64_t batch, cols;
  Buffer<Exec, T> data;
  Buffer<Exec, std::uint32_t> rows;
  Buffer<Exec, float> x;
  Buffer<Exec, BFloat16> bf16;
};
template <class Exec>
using Bytes = Problem<Exec, std::uint8_t>;
template <class Exec>
using Floats = Problem<Exec, float>;

template <template <class> class P>
void add(const char* name, Binarize binarize, std::int64_t data_bytes, bool rounded = false) {
  // A training batch of MNIST's shape, and one out of every cache.
  bench::add_op<P>(
      name, {"B", "X"}, {{128, 784}, {65536, 784}},
      [=](const bench::Shape& shape) {
        return gather_work(shape[0], shape[1], data_bytes, binarize == Binarize::kDynamic, rounded);
      },
      binarize, rounded);
}

const bool kAdded = [] {
  add<Bytes>("gather/bytes", Binarize::kNone, 1);
  add<Bytes>("gather/bytes_threshold", Binarize::kThreshold, 1);
  add<Bytes>("gather/bytes_dynamic", Binarize::kDynamic, 1);
  add<Bytes>("gather/bytes_bf16", Binarize::kNone, 1, true);
  add<Bytes>("gather/bytes_dynamic_bf16", Binarize::kDynamic, 1, true);
  add<Floats>("gather/floats", Binarize::kNone, 4);
  add<Floats>("gather/floats_bf16", Binarize::kNone, 4, true);
  add<Floats>("gather/floats_dynamic", Binarize::kDynamic, 4);
  return true;
}();

}  // namespace
}  // namespace felbo
