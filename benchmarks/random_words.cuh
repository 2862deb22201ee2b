// One thread a datum.
#pragma once

#include <cuda_runtime.h>

#include "benchmarks/random_words.h"

namespace felbo::bench {

inline constexpr int kRandomWordsBlock = 256;

__global__ void __launch_bounds__(kRandomWordsBlock) random_words_rows(RandomWordsArgs a) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kRandomWordsBlock + threadIdx.x;
  if (n >= a.out.size) return;
  const NoiseStream stream = a.stream.now();
  std::uint32_t all = 0;
#pragma unroll 4
  for (int block = 0; block < a.blocks; ++block) {
    const Words4 words = stream.words(static_cast<std::uint32_t>(n), 0, static_cast<std::uint32_t>(block));
    all ^= words[0] ^ words[1] ^ words[2] ^ words[3];
  }
  a.out(n) = all;
}

}  // namespace felbo::bench
