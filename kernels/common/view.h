// Non-owning views of row-major arrays. Rows may be strided (a view of some columns of a wider array);
// the elements of a row are contiguous. A view is a plain value: kernels take it by copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

// FELBO_HD_INLINE: for what stands in an inner loop, which a call would keep from being vectorised.
#if defined(__CUDACC__)
#define FELBO_HD __host__ __device__
#define FELBO_HD_INLINE __host__ __device__ __forceinline__
#else
#define FELBO_HD
#define FELBO_HD_INLINE inline __attribute__((always_inline))
#endif

namespace felbo {

template <class T, int Rank>
struct View;

/// A contiguous vector of `size` elements.
template <class T>
struct View<T, 1> {
  T* data = nullptr;
  std::int64_t size = 0;

  FELBO_HD T& operator()(std::int64_t i) const { return data[i]; }
  FELBO_HD bool empty() const { return data == nullptr; }
  FELBO_HD T* begin() const { return data; }
  FELBO_HD T* end() const { return data + size; }
  /// A view that may write converts to one that only reads.
  template <class U = T>
  requires(std::is_same_v<U, T> && !std::is_const_v<U>) FELBO_HD operator View<const U, 1>() const {
    return {data, size};
  }
  /// Elements [begin, begin + count).
  FELBO_HD View slice(std::int64_t begin, std::int64_t count) const { return {data + begin, count}; }
};

/// A row-major matrix; `stride` is the number of elements from one row to the next, at least `cols`.
template <class T>
struct View<T, 2> {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  View() = default;
  FELBO_HD View(T* data, std::int64_t rows, std::int64_t cols) : View(data, rows, cols, cols) {}
  FELBO_HD View(T* data, std::int64_t rows, std::int64_t cols, std::int64_t stride)
      : data(data), rows(rows), cols(cols), stride(stride) {}

  FELBO_HD T* row(std::int64_t i) const { return data + i * stride; }
  FELBO_HD T& operator()(std::int64_t i, std::int64_t j) const { return data[i * stride + j]; }
  FELBO_HD bool empty() const { return data == nullptr; }
  template <class U = T>
  requires(std::is_same_v<U, T> && !std::is_const_v<U>) FELBO_HD operator View<const U, 2>() const {
    return {data, rows, cols, stride};
  }
  /// Rows [begin, begin + count), all columns.
  FELBO_HD View row_slice(std::int64_t begin, std::int64_t count) const {
    return {row(begin), count, cols, stride};
  }
  /// Columns [begin, begin + count) of every row.
  FELBO_HD View col_slice(std::int64_t begin, std::int64_t count) const {
    return {data + begin, rows, count, stride};
  }
};

}  // namespace felbo
