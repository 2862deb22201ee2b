#include "kernels/gather/gather.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

/// Rows in a shuffled order, out of a data set as large as the batch. Bytes: a T read and a float written a
/// pixel, an index read a row. Operations: a division by the divisor a pixel; a draw is compared, not
/// computed with.
template <class T, class Exec>
void gather_on(const Exec& exec, benchmark::State& state, Binarize binarize) {
  const std::int64_t batch = state.range(0), cols = state.range(1);
  const auto data = bench::filled<T>(exec, batch * cols, [](std::int64_t k) { return k * 37 % 256; });
  std::vector<std::uint32_t> order(static_cast<std::size_t>(batch));
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  const Buffer<Exec, std::uint32_t> rows(exec, batch);
  upload(exec, order, rows.view());
  const Buffer<Exec, float> x(exec, batch * cols);
  const GatherArgs<T> args{data.matrix(batch, cols),   rows.view(),          255.0f, binarize,
                           {1, 7, Purpose::kBinarize}, x.matrix(batch, cols)};
  bench::measure(state, exec, [&] { gather(exec, args); });
  const auto bytes_a_batch = batch * (cols * static_cast<std::int64_t>(sizeof(T) + sizeof(float)) + 4);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * bytes_a_batch);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * batch * cols);
  bench::declare_flops(state, std::is_same_v<T, float> ? 0.0 : static_cast<double>(batch * cols));
}

template <class T, Binarize kBinarize>
void gather_rows(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { gather_on<T>(exec, state, kBinarize); });
}

/// A training batch of MNIST's shape, and one out of every cache.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "X"})
      ->Args({128, 784})
      ->Args({65536, 784})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(gather_rows<std::uint8_t, Binarize::kNone>)->Name("gather/bytes")->Apply(shapes);
BENCHMARK(gather_rows<std::uint8_t, Binarize::kThreshold>)->Name("gather/bytes_threshold")->Apply(shapes);
BENCHMARK(gather_rows<std::uint8_t, Binarize::kDynamic>)->Name("gather/bytes_dynamic")->Apply(shapes);
BENCHMARK(gather_rows<float, Binarize::kNone>)->Name("gather/floats")->Apply(shapes);
BENCHMARK(gather_rows<float, Binarize::kDynamic>)->Name("gather/floats_dynamic")->Apply(shapes);

}  // namespace
}  // namespace felbo
