// A pass over a row of log p(x|z) by a group of threads, for every family and every op that needs it: it
// reads each element of x and of the decoder's output once, adds up log p and writes the gradient.
#pragma once

#include <cstring>

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/likelihood/row.h"

namespace felbo {

/// Where one row lies, and whether its runs can be moved at once. A run is what 16 bytes hold of the
/// decoder's output, stored as T.
template <class Data, int kOutputs, class T>
struct RowPointers {
  static constexpr int kRun = kRunOf<T>;
  XRow<Data> x;
  const T* output;  // blocks of n columns, one an output
  T* grad;          // laid out likewise: where its gradient goes, over it or apart from it
  std::int64_t n;
  bool x_aligned;
  bool output_aligned[kOutputs], grad_aligned[kOutputs];

  __device__ bool all_aligned() const {
    bool all = x_aligned;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) all = all && output_aligned[k] && grad_aligned[k];
    return all;
  }
};

// A run of x: typed data become floats when they are loaded. What is of any storage is kept as it is stored
// until it is needed, so that other loads need not wait for it.

template <class Data, int kRun>
struct XRun {
  float element[kRun];
};
template <int kRun>
struct XRun<AnyStorage, kRun> {
  std::uint32_t word[kRun];  // of which narrow elements fill the first ones
};

/// p[0] ... p[min(count, N) - 1] and zeros, N elements, packed as they lie in memory. `vector` promises
/// aligned<N>(p).
template <class T, int N>
__device__ inline void load_words(const T* p, std::int64_t count, bool vector, std::uint32_t (&word)[N]) {
  constexpr int kPack = kPackOf<T, N>;
#pragma unroll
  for (int first = 0; first < N; first += kPack) {
    Pack<T, kPack> pack{};
    if (vector && count >= N) {
      pack = *reinterpret_cast<const Pack<T, kPack>*>(p + first);
    } else {
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (first + i < count) pack.v[i] = p[first + i];
      }
    }
    std::memcpy(word + first * static_cast<int>(sizeof(T)) / 4, &pack, sizeof(pack));
  }
}

template <class Data, int kRun>
__device__ void load_x(const XRow<Data>& x, std::int64_t col, std::int64_t left, bool vector,
                       XRun<Data, kRun>& run) {
  load_run(x.data + col, left, vector, run.element);
}
template <int kRun>
__device__ void load_x(const XRow<AnyStorage>& x, std::int64_t col, std::int64_t left, bool vector,
                       XRun<AnyStorage, kRun>& run) {
  if (x.storage == XStorage::kFloat) {
    load_words(x.as<float>().data + col, left, vector, run.word);
  } else if (x.storage == XStorage::kByte) {
    load_words(x.as<std::uint8_t>().data + col, left, vector, run.word);
  } else {
    load_words(x.as<BFloat16>().data + col, left, vector, run.word);
  }
}

/// x of a run.
template <class Data, int kRun>
__device__ void x_of_run(const XRow<Data>& x, const XRun<Data, kRun>& run, float (&out)[kRun]) {
#pragma unroll
  for (int i = 0; i < kRun; ++i) out[i] = x.scale(run.element[i]);
}
template <int kRun>
__device__ void x_of_run(const XRow<AnyStorage>& x, const XRun<AnyStorage, kRun>& run, float (&out)[kRun]) {
  if (x.storage == XStorage::kFloat) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) out[i] = math::from_bits(static_cast<std::int32_t>(run.word[i]));
  } else if (x.storage == XStorage::kByte) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const std::uint32_t byte = run.word[i / 4] >> 8 * (i % 4) & 0xffu;
      out[i] = x.intensity(static_cast<float>(byte));
    }
  } else {
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const std::uint32_t bits = i % 2 == 0 ? run.word[i / 2] << 16 : run.word[i / 2] & 0xffff0000u;
      out[i] = math::from_bits(static_cast<std::int32_t>(bits));
    }
  }
}

/// Whether runs of kRun elements of x can be moved at once.
template <int kRun, class Data>
__device__ bool x_aligned(const XRow<Data>& x) {
  if constexpr (std::is_same_v<Data, AnyStorage>) {
    if (x.storage == XStorage::kFloat) return aligned<kRun>(x.template as<float>().data);
    return x.storage == XStorage::kByte ? aligned<kRun>(x.template as<std::uint8_t>().data)
                                        : aligned<kRun>(x.template as<BFloat16>().data);
  } else {
    return aligned<kRun>(x.data);
  }
}

/// Without kGradient `grad` is not looked at.
template <bool kGradient, int kOutputs, class Data, class T>
__device__ RowPointers<Data, kOutputs, T> row_pointers(const XRow<Data>& x, const T* output, T* grad,
                                                       std::int64_t n) {
  constexpr int kRun = kRunOf<T>;
  RowPointers<Data, kOutputs, T> row{x, output, grad, n, x_aligned<kRun>(x), {}, {}};
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    row.output_aligned[k] = aligned<kRun>(output + k * n);
    row.grad_aligned[k] = !kGradient || aligned<kRun>(grad + k * n);
  }
  return row;
}

/// A run of dimensions of a row, in registers.
template <class Data, int kOutputs, int kRun>
struct RowRun {
  XRun<Data, kRun> x;
  float output[kOutputs][kRun];
};

/// kWhole promises that the run is whole and the row aligned.
template <bool kWhole, class Data, int kOutputs, class T>
__device__ RowRun<Data, kOutputs, kRunOf<T>> load_row_run(const RowPointers<Data, kOutputs, T>& row,
                                                          std::int64_t run) {
  constexpr int kRun = kRunOf<T>;
  const std::int64_t col = kRun * run, left = kWhole ? kRun : row.n - col;
  RowRun<Data, kOutputs, kRun> values;
  load_x(row.x, col, left, kWhole || row.x_aligned, values.x);
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    load_run(row.output + k * row.n + col, left, kWhole || row.output_aligned[k], values.output[k]);
  }
  return values;
}

/// Whether elements are light enough for two runs at a time; a family says otherwise by a kLoadsAhead of its
/// own.
template <class Family>
__device__ constexpr bool loads_ahead() {
  if constexpr (requires { Family::kLoadsAhead; }) return Family::kLoadsAhead;
  return true;
}

/// Adds a run to the totals and writes its gradient. Its sum goes on in double, so a row of any length is as
/// exact as a short one.
template <bool kGradient, bool kWhole, class Family, class Data, class T>
__device__ void add_row_run(const Family& family, const RowPointers<Data, Family::kOutputs, T>& row,
                            std::int64_t run, RowRun<Data, Family::kOutputs, kRunOf<T>> values,
                            float grad_scale, RowTotals& totals) {
  constexpr int kOutputs = Family::kOutputs, kRun = kRunOf<T>;
  const std::int64_t col = kRun * run, left = kWhole ? kRun : row.n - col;
  float x[kRun];
  x_of_run(row.x, values.x, x);
  float log_p = 0.0f, excess = 0.0f, own = 0.0f;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i >= left) continue;
    float in[kOutputs];
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) in[k] = values.output[k][i];
    const auto terms = family(x[i], in, col + i);
    log_p += terms.log_p;
    if constexpr (Family::kExcess) excess = math::join_excess(excess, terms.excess);
    if constexpr (Family::kClamps) totals.clamped += terms.clamped;
    if constexpr (Family::kOwn == OwnParameters::kOne) own += terms.own;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) values.output[k][i] = grad_scale * terms.grad[k];
  }
  if constexpr (Family::kExcess) log_p -= math::log1p(excess);
  totals.log_p += static_cast<double>(log_p);
  totals.own += static_cast<double>(own);
  if constexpr (kGradient) {
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
      store_run(row.grad + k * row.n + col, left, kWhole || row.grad_aligned[k], values.output[k]);
    }
  }
}

/// Runs `first`, first + kThreads, ... below `end` of a row: all that one thread adds to it, in this order
/// whether or not they can be moved at once.
template <bool kGradient, int kThreads, class Family, class Data, class T>
__device__ RowTotals pass_over_runs(const Family& family, const RowPointers<Data, Family::kOutputs, T>& row,
                                    std::int64_t first, std::int64_t end, float grad_scale) {
  RowTotals totals;
  std::int64_t run = first;
  if (row.all_aligned()) {
    const std::int64_t whole = row.n / row.kRun < end ? row.n / row.kRun : end;
    if constexpr (Family::kOutputs * kRunOf<T> <= 8 && loads_ahead<Family>()) {
      // Two runs at a time, so that the loads of the second are under way when the first is worked on. More
      // outputs than these are enough loads by themselves, and two runs of them too many registers.
      for (; run + kThreads < whole; run += 2 * kThreads) {
        const auto a = load_row_run<true>(row, run), b = load_row_run<true>(row, run + kThreads);
        add_row_run<kGradient, true>(family, row, run, a, grad_scale, totals);
        add_row_run<kGradient, true>(family, row, run + kThreads, b, grad_scale, totals);
      }
    } else {
      for (; run < whole; run += kThreads) {
        add_row_run<kGradient, true>(family, row, run, load_row_run<true>(row, run), grad_scale, totals);
      }
    }
  }
  for (; run < end; run += kThreads) {
    add_row_run<kGradient, false>(family, row, run, load_row_run<false>(row, run), grad_scale, totals);
  }
  return totals;
}

/// The same totals in every thread of the group. All threads of the block must call it.
template <class Group, class Family>
__device__ RowTotals reduce_totals(RowTotals totals) {
  totals.log_p = Group::reduce(totals.log_p, Sum());
  if constexpr (Family::kOwn == OwnParameters::kOne) totals.own = Group::reduce(totals.own, Sum());
  if constexpr (Family::kClamps) totals.clamped = Group::reduce(totals.clamped, Sum());
  return totals;
}

/// Threads that a multiprocessor should hold at once: enough loads under way to fill the memory's bandwidth,
/// and 80 registers a thread, so that no kernel spills.
inline constexpr int kResidentThreads = 768;
/// Of rows of `Family`: heavy elements need up to 128 registers a thread.
template <class Family>
inline constexpr int kResidentThreadsOf = loads_ahead<Family>() ? kResidentThreads : 512;

}  // namespace felbo
