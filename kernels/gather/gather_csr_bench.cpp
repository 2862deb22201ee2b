// Rates of a minibatch made dense from sparse rows.
#include "kernels/gather/gather_csr.h"

#include <algorithm>
#include <vector>

#include "benchmarks/op_bench.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/gather/gather_work.h"

namespace felbo {
namespace {

/// One column in so many has an element.
constexpr std::int64_t kGap = 20;
std::int64_t elements_of(std::int64_t rows, std::int64_t cols) { return rows * ((cols + kGap - 1) / kGap); }

/// Rows in a shuffled order, out of a data set as large as the batch.
template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Binarize binarize, bool rounded)
      : exec(exec),
        binarize(binarize),
        batch(shape[0]),
        cols(shape[1]),
        a_row(elements_of(1, cols)),
        begin(bench::filled<std::int64_t>(exec, batch + 1, [&](std::int64_t i) { return i * a_row; })),
        column(bench::filled<std::uint32_t>(
            exec, batch * a_row,
            [&](std::int64_t e) { return std::min(e % a_row * kGap + e / a_row % kGap, cols - 1); })),
        value(bench::filled<float>(exec, batch * a_row,
                                   [](std::int64_t e) { return static_cast<float>(e * 37 % 101) / 101.0f; })),
        rows(bench::shuffled(exec, batch)),
        x(exec, batch * cols),
        bf16(exec, rounded ? batch * cols : 0) {}
  void operator()() const {
    GatherCsrArgs args{.begin = begin.view(),
                       .column = column.view(),
                       .value = value.view(),
                       .rows = rows.view(),
                       .binarize = binarize,
                       .noise = {1, 7, Purpose::kBinarize},
                       .x = x.matrix(batch, cols)};
    if (bf16.size() > 0) args.rounded = bf16.matrix(batch, cols);
    gather(exec, args);
  }
  std::function<std::vector<double>()> reference() const {
    return [this, value = bench::doubles(value.view())] {
      std::vector<double> dense(static_cast<std::size_t>(batch * cols));
      for (std::int64_t i = 0; i < batch; ++i) {
        const std::uint32_t datum = rows.view()(i);
        for (std::int64_t e = begin.view()(datum); e < begin.view()(datum + 1); ++e) {
          const std::uint32_t j = column.view()(e);
          dense[static_cast<std::size_t>(i * cols + j)] = reference::gather_pixel(
              value[static_cast<std::size_t>(e)], 1.0f, binarize, {1, 7, Purpose::kBinarize}, datum, j);
        }
      }
      return dense;
    };
  }
  std::vector<double> result() const { return bench::doubles(x.view()); }

  const Exec& exec;
  Binarize binarize;
  std::int64_t batch, cols, a_row;
  Buffer<Exec, std::int64_t> begin;
  Buffer<Exec, std::uint32_t> column;
  Buffer<Exec, float> value;
  Buffer<Exec, std::uint32_t> rows;
  Buffer<Exec, float> x;
  Buffer<Exec, BFloat16> bf16;
};

const bool kAdded = [] {
  const auto add = [](const char* name, Binarize binarize, bool rounded) {
    // A training batch of the sparse-counts recipe, and one out of every cache.
    bench::add_op<Problem>(
        name, {"B", "X"}, {{128, 2000}, {65536, 784}},
        [=](const bench::Shape& s) {
          return gather_csr_work(s[0], s[1], elements_of(s[0], s[1]), binarize == Binarize::kDynamic,
                                 rounded);
        },
        binarize, rounded);
  };
  add("gather/csr", Binarize::kNone, false);
  add("gather/csr_dynamic", Binarize::kDynamic, false);
  add("gather/csr_bf16", Binarize::kNone, true);
  return true;
}();

}  // namespace
}  // namespace felbo
