// Several elements at a time: four, or as many as 16 bytes hold. Element N q + i of a row belongs to the same
// thread whether or not the row is aligned, so alignment never changes the order of a sum.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace felbo {

/// Elements that a thread moves at once: 16 bytes of floats.
inline constexpr int kQuad = 4;
/// Elements of T in 16 bytes, the most that one instruction moves: 4 floats, 8 of bfloat16.
template <class T>
inline constexpr int kRunOf = 16 / static_cast<int>(sizeof(T));

/// N elements that are moved by one instruction.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
/// Of N elements in a row, those that one instruction moves.
template <class T, int N>
inline constexpr int kPackOf = N < kRunOf<T> ? N : kRunOf<T>;

__host__ __device__ inline std::int64_t quads(std::int64_t n) { return (n + kQuad - 1) / kQuad; }
template <class T>
__host__ __device__ constexpr std::int64_t runs(std::int64_t n) {
  return (n + kRunOf<T> - 1) / kRunOf<T>;
}

/// Whether N elements at `p`, and at multiples of N elements from it, can be moved in whole packs.
template <int N = kQuad, class T>
__device__ inline bool aligned(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(Pack<T, kPackOf<T, N>>) == 0;
}

/// Elements p[0] ... p[min(count, N) - 1] as floats, the rest of `out` zero. `vector` promises aligned<N>(p).
template <class T, int N>
__device__ inline void load_run(const T* p, std::int64_t count, bool vector, float (&out)[N]) {
  if (vector && count >= N) {
    constexpr int kPack = kPackOf<T, N>;
#pragma unroll
    for (int first = 0; first < N; first += kPack) {
      const auto pack = *reinterpret_cast<const Pack<T, kPack>*>(p + first);
#pragma unroll
      for (int i = 0; i < kPack; ++i) out[first + i] = static_cast<float>(pack.v[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = i < count ? static_cast<float>(p[i]) : 0.0f;
  }
}
template <class T>
__device__ inline void load_quad(const T* p, std::int64_t count, bool vector, float (&out)[kQuad]) {
  load_run(p, count, vector, out);
}

/// p[0] ... p[min(count, N) - 1] = in.
template <class T, int N>
__device__ inline void store_run(T* p, std::int64_t count, bool vector, const float (&in)[N]) {
  if (vector && count >= N) {
    constexpr int kPack = kPackOf<T, N>;
#pragma unroll
    for (int first = 0; first < N; first += kPack) {
      Pack<T, kPack> pack;
#pragma unroll
      for (int i = 0; i < kPack; ++i) pack.v[i] = static_cast<T>(in[first + i]);
      *reinterpret_cast<Pack<T, kPack>*>(p + first) = pack;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i < count) p[i] = static_cast<T>(in[i]);
    }
  }
}
template <class T>
__device__ inline void store_quad(T* p, std::int64_t count, bool vector, const float (&in)[kQuad]) {
  store_run(p, count, vector, in);
}

}  // namespace felbo
