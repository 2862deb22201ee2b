// Small kernels, right ones and ones with a planted bug, for the tests of the emulator.
#pragma once

#include <cuda_runtime.h>

namespace felbo::emulator {

enum class Bug {
  kNone,
  kMissingBarrier,
  kDivergentBarrier,
  kEarlyExit,
  kWrongMask,
  kLaneOutsideMask,
  kSharedOverrun
};

inline constexpr unsigned kFullMask = 0xffffffffu;
inline constexpr int kBlock = 128;

/// out[block] = sum of the block's kBlock values.
template <Bug kBug>
__global__ void sum_block(const float* values, float* out) {
  __shared__ float partial[kBlock / 32];
  const unsigned thread = threadIdx.x;
  float sum = values[blockIdx.x * kBlock + thread];
  if (kBug == Bug::kEarlyExit && thread >= 96) return;
  for (int offset = 16; offset > 0; offset /= 2) {
    const unsigned mask = kBug == Bug::kWrongMask && thread % 32 == 7 ? 0x7fffffffu : kFullMask;
    sum += __shfl_xor_sync(kBug == Bug::kLaneOutsideMask ? 0x0000ffffu << (thread % 32 & 16u) : mask, sum,
                           offset);
  }
  if (thread % 32 == 0) partial[kBug == Bug::kSharedOverrun ? thread / 32 + 1 : thread / 32] = sum;
  if (kBug == Bug::kDivergentBarrier) {
    if (thread < 40) __syncthreads();
  } else if (kBug != Bug::kMissingBarrier) {
    __syncthreads();
  }
  if (thread == 0) {
    float total = 0.0f;
    for (int w = 0; w < kBlock / 32; ++w) total += partial[w];
    out[blockIdx.x] = total;
  }
}

/// Each warp turns its 32 values around through shared memory.
template <Bug kBug>
__global__ void reverse_warps(const int* values, int* out) {
  __shared__ int held[kBlock];
  const unsigned thread = threadIdx.x, lane = thread % 32;
  held[thread] = values[thread];
  if (kBug != Bug::kMissingBarrier) __syncwarp();
  out[thread] = held[thread - lane + 31 - lane];
}

/// A running sum that needs both barriers of every step: log2(kBlock) steps over one array.
template <Bug kBug>
__global__ void scan_block(const int* values, int* out) {
  __shared__ int held[kBlock];
  const int thread = static_cast<int>(threadIdx.x);
  held[thread] = values[thread];
  __syncthreads();
  for (int step = 1; step < kBlock; step *= 2) {
    const int before = thread >= step ? held[thread - step] : 0;
    if (kBug != Bug::kMissingBarrier) __syncthreads();
    held[thread] += before;
    __syncthreads();
  }
  out[thread] = held[thread];
}

/// A value that is moved by one instruction of 16 bytes.
struct alignas(16) Sixteen {
  float v[4];
};
/// Thread i sums values[4 i] ... values[4 i + 3], all of them read at once.
__global__ inline void sum_sixteens(const float* values, float* out) {
  const Sixteen four = *reinterpret_cast<const Sixteen*>(values + 4 * threadIdx.x);
  out[threadIdx.x] = four.v[0] + four.v[1] + four.v[2] + four.v[3];
}

}  // namespace felbo::emulator
