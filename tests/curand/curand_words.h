// cuRAND's device generator beside felbo's words, for host and device: n words of both for one stream.
#pragma once

#include <curand_kernel.h>

#include <cstdint>

#include "kernels/common/noise_stream.h"

// cuRAND's functions are for the device where a CUDA compiler reads them, and plain functions elsewhere.
#if defined(__CUDACC__)
#define FELBO_CURAND_INLINE __device__ inline
#else
#define FELBO_CURAND_INLINE inline
#endif

namespace felbo::test {

/// What curand_init takes.
struct CurandName {
  std::uint64_t seed, subsequence, offset;
};

/// Word `index` of the stream that begins at `name`, by felbo's Philox: the layout that philox.h promises.
FELBO_HD inline std::uint32_t felbo_word(const CurandName& name, std::uint64_t index) {
  const std::uint64_t at = name.offset + index, block = at / 4;
  const Words4 words = philox4x32_10(
      {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
        static_cast<std::uint32_t>(name.subsequence), static_cast<std::uint32_t>(name.subsequence >> 32)}},
      static_cast<std::uint32_t>(name.seed), static_cast<std::uint32_t>(name.seed >> 32));
  return words[static_cast<int>(at % 4)];
}

/// The name of an element of a NoiseStream in cuRAND's words (docs/notation.md, "Layout"); its step is below
/// 2^30.
FELBO_HD inline CurandName curand_name(const NoiseStream& stream, std::uint32_t datum, std::uint32_t sample,
                                       std::uint32_t element) {
  const std::uint64_t where = std::uint64_t{static_cast<std::uint32_t>(stream.purpose)} * 67108864u + sample;
  return {stream.seed, where * 4294967296u + datum,
          std::uint64_t{stream.step.get()} * 17179869184u + element};
}

/// How many of `count` words from `name` on differ between felbo and cuRAND.
FELBO_CURAND_INLINE std::int64_t differing_words(const CurandName& name, std::int64_t count) {
  curandStatePhilox4_32_10_t state;
  curand_init(name.seed, name.subsequence, name.offset, &state);
  std::int64_t differing = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    differing += curand(&state) != felbo_word(name, static_cast<std::uint64_t>(i));
  }
  return differing;
}

/// How many of the words of elements [0, 4 * blocks) of one name differ.
FELBO_CURAND_INLINE std::int64_t differing_noise(const NoiseStream& stream, std::uint32_t datum,
                                                 std::uint32_t sample, std::uint32_t blocks) {
  const CurandName name = curand_name(stream, datum, sample, 0);
  curandStatePhilox4_32_10_t state;
  curand_init(name.seed, name.subsequence, name.offset, &state);
  std::int64_t differing = 0;
  for (std::uint32_t block = 0; block < blocks; ++block) {
    const Words4 words = stream.words(datum, sample, block);
    for (int i = 0; i < 4; ++i) differing += curand(&state) != words[i];
  }
  return differing;
}

}  // namespace felbo::test
