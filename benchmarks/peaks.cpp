#include "benchmarks/peaks.h"

#include <dnnl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "benchmarks/random_words.h"
#include "benchmarks/timer.h"
#include "kernels/dense/dense.h"

namespace felbo::bench {
namespace {

constexpr int kTimings = 9;  // of which the median is a peak

// What measures a peak on an Exec: `seconds()` is one timing of a call that moves, computes or makes
// `amount()`.

template <class Exec>
class Copy;
template <class Exec, class T = float>
class Product;

template <class Exec>
class RandomWords {
 public:
  /// Of `data` rows of `blocks` blocks, in calls of which `calls` are timed together.
  RandomWords(const Exec& exec, std::int64_t data, int blocks, int calls)
      : exec_(exec), blocks_(blocks), calls_(calls), out_(exec, data) {
    make();
  }
  double amount() const { return 4.0 * blocks_ * static_cast<double>(out_.size()); }
  double seconds() const {
    return seconds_per_call(
        exec_, [&] { make(); }, calls_);
  }

 private:
  void make() const { random_words(exec_, {{1, 7, Purpose::kLatent}, blocks_, out_.view()}); }

  const Exec& exec_;
  int blocks_, calls_;
  Buffer<Exec, std::uint32_t> out_;
};
RandomWords<CpuExec> words_on(const CpuExec& exec) { return {exec, 4096, 1024, 1}; }

template <>
class Copy<CpuExec> {
 public:
  explicit Copy(const CpuExec& exec) : exec_(exec), from_(exec, kSize), to_(exec, kSize) {}
  std::int64_t array_bytes() const { return 4 * kSize; }
  double amount() const { return 2.0 * static_cast<double>(array_bytes()); }
  /// Of the faster of the two ways.
  double seconds() const {
    const auto loop = [&] { by_loop(); };
    const auto library = [&] { by_library(); };
    return std::min(seconds_per_call(exec_, loop, 1), seconds_per_call(exec_, library, 1));
  }
  void by_loop() const {
    exec_.parallel_for(kSize, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      const float* a = from_.data();
      float* __restrict b = to_.data();
      for (std::int64_t i = begin; i < end; ++i) b[i] = 3.0f * a[i];
    });
  }
  void by_library() const {
    exec_.parallel_for(kSize, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to_.data() + begin, from_.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  }

 private:
  static constexpr std::int64_t kSize = std::int64_t{48} << 20;  // 192 MiB an array
  const CpuExec& exec_;
  Buffer<CpuExec, float> from_, to_;
};

template <>
class Product<CpuExec> {
 public:
  explicit Product(const CpuExec& exec)
      : exec_(exec), a_(exec, kN * kN), b_(exec, kN * kN), c_(exec, kN * kN) {
    std::ranges::fill(a_.host(), 0.5f);
    std::ranges::fill(b_.host(), 0.25f);
    multiply();
  }
  std::int64_t size() const { return kN; }
  double amount() const { return 2.0 * static_cast<double>(kN * kN * kN); }
  double seconds() const {
    return seconds_per_call(
        exec_, [&] { multiply(); }, 1);
  }

 private:
  void multiply() const {
    omp_set_num_threads(exec_.threads());
    dnnl_sgemm('N', 'N', kN, kN, kN, 1.0f, a_.data(), kN, b_.data(), kN, 0.0f, c_.data(), kN);
  }

  static constexpr std::int64_t kN = 1536;
  const CpuExec& exec_;
  Buffer<CpuExec, float> a_, b_, c_;
};
Product<CpuExec> product_on(const CpuExec& exec) { return Product<CpuExec>(exec); }

#if FELBO_WITH_CUDA

RandomWords<CudaExec> words_on(const CudaExec& exec) { return {exec, 1 << 20, 256, 5}; }

template <>
class Copy<CudaExec> {
 public:
  explicit Copy(const CudaExec& exec) : exec_(exec), from_(exec, kBytes), to_(exec, kBytes) { copy(); }
  std::int64_t array_bytes() const { return kBytes; }
  double amount() const { return 2.0 * static_cast<double>(kBytes); }
  double seconds() const {
    return seconds_per_call(
        exec_, [&] { copy(); }, 20);
  }

 private:
  void copy() const { exec_.copy_on_device(to_.data(), from_.data(), kBytes); }

  static constexpr std::int64_t kBytes = std::int64_t{1} << 30;
  const CudaExec& exec_;
  Buffer<CudaExec, std::byte> from_, to_;
};

/// T: how the operands and the result are stored.
template <class T>
class Product<CudaExec, T> {
 public:
  Product(const CudaExec& exec, Precision precision)
      : exec_(exec.with_precision(precision)),
        a_(filled<T>(exec, kN * kN, value)),
        b_(filled<T>(exec, kN * kN, value)),
        bias_(exec, kN),
        c_(exec, kN * kN) {
    multiply();
  }
  std::int64_t size() const { return kN; }
  double amount() const { return 2.0 * static_cast<double>(kN * kN * kN); }
  double seconds() const {
    return seconds_per_call(
        exec_, [&] { multiply(); }, 5);
  }

 private:
  /// Random numbers: a GPU multiplies zeros faster, drawing less power.
  static float value(std::int64_t i) { return static_cast<float>(i * 2654435761 % 2001 - 1000) * 1e-3f; }
  void multiply() const {
    dense(exec_, DenseArgsOf<T, T>{.x = a_.matrix(kN, kN),
                                   .weight = b_.matrix(kN, kN),
                                   .bias = bias_.view(),
                                   .y = c_.matrix(kN, kN)});
  }

  static constexpr std::int64_t kN = 8192;
  CudaExec exec_;
  Buffer<CudaExec, T> a_, b_, bias_, c_;
};
Product<CudaExec> product_on(const CudaExec& exec) { return {exec, Precision::kFp32}; }

#endif

template <class Measured>
double peak(const Measured& measured) {
  std::vector<double> seconds;
  for (int i = 0; i < kTimings; ++i) seconds.push_back(measured.seconds());
  return measured.amount() / median(std::move(seconds));
}

/// The three, each made when it is first asked for.
template <class Exec>
class Meter {
 public:
  explicit Meter(const Exec& exec) : exec_(exec) {}
  double operator()(Roof roof) {
    switch (roof) {
      case Roof::kMemory:
        return now(copy_, [&] { return Copy<Exec>(exec_); });
      case Roof::kArithmetic:
        return now(product_, [&] { return product_on(exec_); });
      case Roof::kNoise:
        return now(words_, [&] { return words_on(exec_); });
    }
    return 0.0;
  }

 private:
  template <class Measured, class Make>
  static double now(std::unique_ptr<Measured>& measured, const Make& make) {
    if (!measured) measured.reset(new Measured(make()));
    return measured->amount() / measured->seconds();
  }

  const Exec& exec_;
  std::unique_ptr<Copy<Exec>> copy_;
  std::unique_ptr<Product<Exec>> product_;
  std::unique_ptr<RandomWords<Exec>> words_;
};

template <class Exec>
PeakMeter meter_on(const Exec& exec) {
  return [meter = std::make_shared<Meter<Exec>>(exec)](Roof roof) { return (*meter)(roof); };
}

}  // namespace

Bandwidth copy_bandwidth(const CpuExec& exec) {
  const Copy<CpuExec> copy(exec);
  const PairedTiming timing = time_in_pairs(
      exec, [&] { copy.by_loop(); }, [&] { copy.by_library(); }, 7, 0.0);
  return {copy.array_bytes(), copy.amount() / std::min(timing.first, timing.second)};
}

ProductRate product_rate(const CpuExec& exec, Precision) {
  const Product<CpuExec> product(exec);
  return {product.size(), peak(product), "oneDNN fp32"};
}

double word_rate(const CpuExec& exec) { return peak(words_on(exec)); }
PeakMeter peak_meter(const CpuExec& exec) { return meter_on(exec); }

#if FELBO_WITH_CUDA

Bandwidth copy_bandwidth(const CudaExec& exec) {
  const Copy<CudaExec> copy(exec);
  return {copy.array_bytes(), peak(copy)};
}

ProductRate product_rate(const CudaExec& exec, Precision precision) {
  const auto rate = [&](const auto& product) {
    return ProductRate{product.size(), peak(product), fmt::format("cuBLASLt {}", name_of(precision))};
  };
  if (precision == Precision::kBf16) return rate(Product<CudaExec, BFloat16>(exec, precision));
  return rate(Product<CudaExec>(exec, precision));
}

double word_rate(const CudaExec& exec) { return peak(words_on(exec)); }
PeakMeter peak_meter(const CudaExec& exec) { return meter_on(exec); }

#endif

}  // namespace felbo::bench
