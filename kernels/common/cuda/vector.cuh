// Four elements at a time. Element 4 q + i of a row belongs to the same thread whether or not the row is
// aligned, so alignment never changes the order of a sum.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace felbo {

/// Elements that a thread moves at once: 16 bytes of floats.
inline constexpr int kQuad = 4;

/// N elements that are moved by one instruction.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

__host__ __device__ inline std::int64_t quads(std::int64_t n) { return (n + kQuad - 1) / kQuad; }

/// Whether whole quads at `p`, and at multiples of kQuad elements from it, can be moved at once.
template <class T>
__device__ inline bool aligned(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(Pack<T, kQuad>) == 0;
}

/// Elements p[0] ... p[min(count, 4) - 1] as floats, the rest of `out` zero. `vector` promises aligned(p).
template <class T>
__device__ inline void load_quad(const T* p, std::int64_t count, bool vector, float (&out)[kQuad]) {
  if (vector && count >= kQuad) {
    const Pack<T, kQuad> pack = *reinterpret_cast<const Pack<T, kQuad>*>(p);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) out[i] = static_cast<float>(pack.v[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kQuad; ++i) out[i] = i < count ? static_cast<float>(p[i]) : 0.0f;
  }
}

/// p[0] ... p[min(count, 4) - 1] = in.
template <class T>
__device__ inline void store_quad(T* p, std::int64_t count, bool vector, const float (&in)[kQuad]) {
  if (vector && count >= kQuad) {
    Pack<T, kQuad> pack;
#pragma unroll
    for (int i = 0; i < kQuad; ++i) pack.v[i] = static_cast<T>(in[i]);
    *reinterpret_cast<Pack<T, kQuad>*>(p) = pack;
  } else {
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      if (i < count) p[i] = static_cast<T>(in[i]);
    }
  }
}

}  // namespace felbo
