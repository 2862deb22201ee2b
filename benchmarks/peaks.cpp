#include "benchmarks/peaks.h"

#include <dnnl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "benchmarks/random_words.h"
#include "benchmarks/timer.h"
#include "kernels/dense/dense.h"

namespace felbo::bench {
namespace {

/// Of `data` rows of `blocks` blocks, in calls of which `calls` are timed together.
template <class Exec>
double word_rate_of(const Exec& exec, std::int64_t data, int blocks, int calls) {
  const Buffer<Exec, std::uint32_t> out(exec, data);
  const auto make = [&] { random_words(exec, {{1, 7, Purpose::kLatent}, blocks, out.view()}); };
  std::vector<double> seconds;
  make();
  for (int i = 0; i < 9; ++i) seconds.push_back(seconds_per_call(exec, make, calls));
  return 4.0 * blocks * static_cast<double>(data) / median(seconds);
}

}  // namespace

Bandwidth copy_bandwidth(const CpuExec& exec) {
  const std::int64_t n = std::int64_t{48} << 20;  // 192 MiB an array
  const Buffer<CpuExec, float> from(exec, n), to(exec, n);
  const auto loop = [&] {
    exec.parallel_for(n, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      const float* a = from.data();
      float* __restrict b = to.data();
      for (std::int64_t i = begin; i < end; ++i) b[i] = 3.0f * a[i];
    });
  };
  const auto library = [&] {
    exec.parallel_for(n, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  };
  const PairedTiming timing = time_in_pairs(exec, loop, library, 7, 0.0);
  return {4 * n, 8.0 * static_cast<double>(n) / std::min(timing.first, timing.second)};
}

ProductRate product_rate(const CpuExec& exec, Precision) {
  const std::int64_t n = 1536;
  const Buffer<CpuExec, float> a(exec, n * n), b(exec, n * n), c(exec, n * n);
  std::ranges::fill(a.host(), 0.5f);
  std::ranges::fill(b.host(), 0.25f);
  omp_set_num_threads(exec.threads());
  const auto product = [&] {
    dnnl_sgemm('N', 'N', n, n, n, 1.0f, a.data(), n, b.data(), n, 0.0f, c.data(), n);
  };
  std::vector<double> seconds;
  product();
  for (int i = 0; i < 9; ++i) seconds.push_back(seconds_per_call(exec, product, 1));
  return {n, 2.0 * static_cast<double>(n * n * n) / median(seconds), "oneDNN fp32"};
}

double word_rate(const CpuExec& exec) { return word_rate_of(exec, 4096, 1024, 1); }

#if FELBO_WITH_CUDA

double word_rate(const CudaExec& exec) { return word_rate_of(exec, 1 << 20, 256, 5); }

Bandwidth copy_bandwidth(const CudaExec& exec) {
  const std::int64_t bytes = std::int64_t{1} << 30;
  const Buffer<CudaExec, std::byte> from(exec, bytes), to(exec, bytes);
  const auto copy = [&] { exec.copy_on_device(to.data(), from.data(), bytes); };
  std::vector<double> seconds;
  copy();
  for (int i = 0; i < 9; ++i) seconds.push_back(seconds_per_call(exec, copy, 20));
  return {bytes, 2.0 * static_cast<double>(bytes) / median(seconds)};
}

namespace {

/// T: how the operands and the result are stored.
template <class T>
ProductRate product_rate_of(const CudaExec& exec) {
  const std::int64_t n = 8192;
  // Random numbers: a GPU multiplies zeros faster, drawing less power.
  const auto value = [](std::int64_t i) { return static_cast<float>(i * 2654435761 % 2001 - 1000) * 1e-3f; };
  const auto a = filled<T>(exec, n * n, value), b = filled<T>(exec, n * n, value);
  const Buffer<CudaExec, T> bias(exec, n), c(exec, n * n);
  const auto product = [&] {
    dense(exec, DenseArgsOf<T, T>{
                    .x = a.matrix(n, n), .weight = b.matrix(n, n), .bias = bias.view(), .y = c.matrix(n, n)});
  };
  std::vector<double> seconds;
  product();
  for (int i = 0; i < 9; ++i) seconds.push_back(seconds_per_call(exec, product, 5));
  return {n, 2.0 * static_cast<double>(n * n * n) / median(seconds),
          fmt::format("cuBLASLt {}", name_of(exec.precision()))};
}

}  // namespace

ProductRate product_rate(const CudaExec& exec, Precision precision) {
  const CudaExec in_precision = exec.with_precision(precision);
  if (precision == Precision::kBf16) return product_rate_of<BFloat16>(in_precision);
  return product_rate_of<float>(in_precision);
}

#endif

}  // namespace felbo::bench
