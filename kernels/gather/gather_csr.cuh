// A block a row: zeros first, then the elements over them.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/gather/gather_csr_check.h"

namespace felbo {

inline constexpr int kCsrBlock = 256;

template <class T>
__device__ void clear_row(T* row, std::int64_t cols) {
  constexpr int kRun = kRunOf<T>;
  constexpr float kZeros[kRun] = {};
  const bool vector = aligned<kRun>(row);
  for (std::int64_t col = kRun * std::int64_t{threadIdx.x}; col < cols; col += kRun * kCsrBlock)
    store_run(row + col, cols - col, vector, kZeros);
}

template <bool kRounded>
__global__ void __launch_bounds__(kCsrBlock) gather_csr_rows(GatherCsrArgs args) {
  const std::int64_t i = blockIdx.x;
  const std::uint32_t datum = args.rows(i);
  clear_row(args.x.row(i), args.x.cols);
  if constexpr (kRounded) clear_row(args.rounded.row(i), args.x.cols);
  __syncthreads();  // the row is clear
  const std::int64_t source = source_row(args.place.get(), i, datum);
  const std::int64_t end = args.begin(source + 1);
  for (std::int64_t e = args.begin(source) + threadIdx.x; e < end; e += kCsrBlock) {
    const std::uint32_t column = args.column(e);
    const float v = sparse_element(args, datum, column, args.value(e));
    args.x(i, column) = v;
    if constexpr (kRounded) args.rounded(i, column) = static_cast<BFloat16>(v);
  }
}

}  // namespace felbo
