#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/bench_exec.h"
#include "kernels/gather/gather.h"

namespace felbo {
namespace {

/// Rows in a shuffled order, out of a data set as large as the batch. Bytes: a T read and a float written a
/// pixel, an index read a row.
template <class T>
void gather_batch(benchmark::State& state, Binarize binarize) {
  const std::int64_t batch = state.range(0), cols = state.range(1);
  std::vector<T> data(static_cast<std::size_t>(batch * cols));
  for (std::size_t k = 0; k < data.size(); ++k) data[k] = static_cast<T>(k * 37 % 256);
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(batch));
  std::iota(rows.begin(), rows.end(), 0u);
  std::shuffle(rows.begin(), rows.end(), std::mt19937(1));
  std::vector<float> x(static_cast<std::size_t>(batch * cols));
  const CpuExec& exec = bench::bench_exec();
  std::uint32_t step = 0;
  for (auto _ : state) {
    gather(exec, GatherArgs<T>{{data.data(), batch, cols},
                               {rows.data(), batch},
                               255.0f,
                               binarize,
                               {1, step++, Purpose::kBinarize},
                               {x.data(), batch, cols}});
    benchmark::ClobberMemory();
  }
  const auto bytes_a_batch = batch * (cols * static_cast<std::int64_t>(sizeof(T) + sizeof(float)) + 4);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * bytes_a_batch);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * batch * cols);
}

void bytes(benchmark::State& state) { gather_batch<std::uint8_t>(state, Binarize::kNone); }
void bytes_threshold(benchmark::State& state) { gather_batch<std::uint8_t>(state, Binarize::kThreshold); }
void bytes_dynamic(benchmark::State& state) { gather_batch<std::uint8_t>(state, Binarize::kDynamic); }
void floats(benchmark::State& state) { gather_batch<float>(state, Binarize::kNone); }
void floats_dynamic(benchmark::State& state) { gather_batch<float>(state, Binarize::kDynamic); }

/// A training batch of MNIST's shape, and one out of every cache.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "X"})
      ->Args({128, 784})
      ->Args({65536, 784})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(bytes)->Name("gather/bytes")->Apply(shapes);
BENCHMARK(bytes_threshold)->Name("gather/bytes_threshold")->Apply(shapes);
BENCHMARK(bytes_dynamic)->Name("gather/bytes_dynamic")->Apply(shapes);
BENCHMARK(floats)->Name("gather/floats")->Apply(shapes);
BENCHMARK(floats_dynamic)->Name("gather/floats_dynamic")->Apply(shapes);

}  // namespace
}  // namespace felbo
