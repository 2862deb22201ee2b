// What cuBLASLt's epilogues do not do, or not well enough: bias and activation after a product, the
// derivative of the activation below, column sums. One thread eight elements of a row.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/dense/activation.h"
#include "kernels/dense/dense.h"

namespace felbo {

/// Elements from one row of gelu's aux to the next, and bits from one row of relu's: the multiples that
/// cuBLASLt asks for, so that its epilogues and these kernels read each other's.
__host__ __device__ inline std::int64_t pre_stride(std::int64_t cols) { return (cols + 7) / 8 * 8; }
__host__ __device__ inline std::int64_t mask_stride(std::int64_t cols) { return (cols + 127) / 128 * 128; }

inline constexpr int kOctet = 8;  // elements a thread: a byte of relu's mask
inline constexpr int kOctetBlock = 256;

/// Which elements of a matrix a thread works on: from column `col` of row `row`, `left` to the end of the
/// row.
struct Octet {
  std::int64_t row, col, left;
};
__host__ __device__ inline std::int64_t octets(std::int64_t rows, std::int64_t cols) {
  return rows * ((cols + kOctet - 1) / kOctet);
}
__device__ inline Octet octet_of_thread(std::int64_t cols) {
  const std::int64_t per_row = octets(1, cols);
  const std::int64_t item = std::int64_t{blockIdx.x} * kOctetBlock + threadIdx.x;
  const std::int64_t col = item % per_row * kOctet;
  return {item / per_row, col, cols - col};
}

/// `row` is a whole row of any matrix of that shape.
template <class T>
__device__ void load_octet(const T* row, const Octet& at, float (&out)[kOctet]) {
  load_run(row + at.col, at.left, aligned<kOctet>(row), out);
}
template <class T>
__device__ void store_octet(T* row, const Octet& at, const float (&in)[kOctet]) {
  store_run(row + at.col, at.left, aligned<kOctet>(row), in);
}

/// Where relu's bits of an octet lie: element i at bit i. The order is cuBLASLt's.
template <class Byte>
__device__ inline Byte& mask_of_octet(View<Byte, 1> aux, const Octet& at, std::int64_t cols) {
  return aux.data[(at.row * mask_stride(cols) + at.col) / 8];
}
/// One row of gelu's values before the activation, stored as T.
template <class T>
__device__ T* pre_row(View<std::byte, 1> aux, std::int64_t row, std::int64_t cols) {
  return reinterpret_cast<T*>(aux.data) + row * pre_stride(cols);
}
template <class T>
__device__ const T* pre_row(View<const std::byte, 1> aux, std::int64_t row, std::int64_t cols) {
  return reinterpret_cast<const T*>(aux.data) + row * pre_stride(cols);
}

/// y = act(y + bias) in place, and aux where it is not empty. An empty bias has been added before.
template <Activation A, class T>
__global__ void __launch_bounds__(kOctetBlock)
    dense_activate(View<T, 2> y, View<const T, 1> bias, View<std::byte, 1> aux) {
  const Octet at = octet_of_thread(y.cols);
  if (at.row >= y.rows) return;
  float values[kOctet];
  load_octet(y.row(at.row), at, values);
  if (!bias.empty()) {
    float added[kOctet];
    load_octet(bias.data, at, added);
#pragma unroll
    for (int i = 0; i < kOctet; ++i) values[i] += added[i];
  }
  if constexpr (A == Activation::kRelu) {
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < kOctet; ++i) bits |= (values[i] < 0.0f ? 0u : 1u) << i;
    if (!aux.empty()) mask_of_octet(aux, at, y.cols) = static_cast<std::byte>(bits);
  }
  if constexpr (A == Activation::kGelu) {
    if (!aux.empty()) store_octet(pre_row<T>(aux, at.row, y.cols), at, values);
  }
#pragma unroll
  for (int i = 0; i < kOctet; ++i) values[i] = activation::apply<A>(values[i]);
  store_octet(y.row(at.row), at, values);
}

/// grad_x *= act'(x) in place. relu reads its bits, gelu the values before it, the others x.
template <Activation Below, class T>
__global__ void __launch_bounds__(kOctetBlock)
    dense_derive(View<const T, 2> x, View<const std::byte, 1> x_aux, View<T, 2> grad_x) {
  const Octet at = octet_of_thread(grad_x.cols);
  if (at.row >= grad_x.rows) return;
  float grad[kOctet], from[kOctet];
  load_octet(grad_x.row(at.row), at, grad);
  if constexpr (Below == Activation::kRelu) {
    const unsigned bits = static_cast<unsigned>(mask_of_octet(x_aux, at, grad_x.cols));
#pragma unroll
    for (int i = 0; i < kOctet; ++i) {
      if ((bits >> i & 1u) == 0) grad[i] = 0.0f;
    }
  } else {
    load_octet(Below == Activation::kGelu ? pre_row<T>(x_aux, at.row, grad_x.cols) : x.row(at.row), at, from);
#pragma unroll
    for (int i = 0; i < kOctet; ++i) grad[i] *= activation::derivative<Below>(from[i], from[i]);
  }
  store_octet(grad_x.row(at.row), at, grad);
}

inline constexpr int kSumCols = 32;
inline constexpr int kSumLanes = 32;  // threads a column

/// grad_bias = the sum of each column of grad_y: thread l of a column adds rows l, l + 32, ... in double,
/// then the 32 sums are added in order. A block for kSumCols columns.
template <class T>
__global__ void __launch_bounds__(kSumCols* kSumLanes)
    dense_sum_columns(View<const T, 2> grad_y, View<float, 1> grad_bias) {
  __shared__ double part[kSumLanes][kSumCols];
  const int lane = static_cast<int>(threadIdx.x) / kSumCols, place = static_cast<int>(threadIdx.x) % kSumCols;
  const std::int64_t col = std::int64_t{blockIdx.x} * kSumCols + place;
  double sum = 0.0;
  if (col < grad_y.cols) {
    for (std::int64_t b = lane; b < grad_y.rows; b += kSumLanes) sum += static_cast<float>(grad_y(b, col));
  }
  part[lane][place] = sum;
  __syncthreads();
  if (lane > 0 || col >= grad_y.cols) return;
  for (int l = 1; l < kSumLanes; ++l) sum += part[l][place];
  grad_bias(col) = static_cast<float>(sum);
}

}  // namespace felbo
