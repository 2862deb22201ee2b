// Sums over the threads of a warp or a block, in an order that depends on the number of threads alone:
// neighbours 16 lanes apart first, then 8, 4, 2, 1; then the warps of a block in their order. Every thread
// gets the result, the same bits in each.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

namespace felbo {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// The larger; `a` where the two do not compare.
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

/// Over `kLanes` neighbouring lanes (a power of two up to 32). All lanes of the warp must call it.
template <int kLanes, class T, class Join>
__device__ T reduce_lanes(T value, Join join) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value = join(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  return value;
}

/// Over a block of kThreads threads (a multiple of 32). All of them must call it.
template <int kThreads, class T, class Join>
static __device__ T reduce_block(T value, Join join) {
  constexpr int kWarps = kThreads / 32;
  __shared__ T partial[kWarps];
  value = reduce_lanes<32>(value, join);
  __syncthreads();  // the last call may still be read
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();  // every warp has written
  value = partial[0];
  for (int w = 1; w < kWarps; ++w) value = join(value, partial[w]);
  return value;
}

/// kThreads threads that work on one row: part of a warp, a warp, or a block. Rows are dealt to blocks of
/// kBlock threads in order.
template <int kThreads>
struct RowGroup {
  static_assert(kThreads >= 1 && kThreads <= 1024 && (kThreads & (kThreads - 1)) == 0);
  static constexpr int kBlock = kThreads <= 32 ? 128 : kThreads;
  static constexpr int kRows = kBlock / kThreads;  // rows a block

  __device__ static std::int64_t row() { return std::int64_t{blockIdx.x} * kRows + threadIdx.x / kThreads; }
  /// Place of this thread in its group.
  __device__ static int thread() { return static_cast<int>(threadIdx.x) % kThreads; }
  /// All threads of the block must call it, those without a row too.
  template <class T, class Join>
  __device__ static T reduce(T value, Join join) {
    if constexpr (kThreads <= 32) {
      return reduce_lanes<kThreads>(value, join);
    } else {
      return reduce_block<kThreads>(value, join);
    }
  }
};

/// Calls f(integral constant: threads a row). Rows of up to `part_of_warp` columns are worth a quarter of a
/// warp, up to `warp` a warp, longer ones a block. That decides the order of the sums, so it depends on the
/// row alone.
template <class F>
void with_row_threads(std::int64_t cols, const F& f, std::int64_t part_of_warp = 64,
                      std::int64_t warp = 2048) {
  if (cols <= part_of_warp) return f(std::integral_constant<int, 8>());
  if (cols <= warp) return f(std::integral_constant<int, 32>());
  f(std::integral_constant<int, 256>());
}

}  // namespace felbo
