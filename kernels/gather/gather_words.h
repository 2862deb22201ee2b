// Runs of random words of one datum. Compilers widen each product of Philox by a full 64-bit multiplication;
// where AVX-512 is there, the 32 x 32 -> 64 bit product that it needs is asked for by name, which is
// over three times as fast.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/common/noise_stream.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace felbo::gather_words {

/// `fill` writes a multiple of this many blocks of four words.
inline constexpr int kBlocksAtOnce = 8;

#if defined(__AVX512F__)

/// A counter word of 8 blocks, in the low halves.
typedef std::uint64_t Lanes __attribute__((vector_size(64)));
typedef std::uint32_t HalfLanes __attribute__((vector_size(64)));

/// Low half of each lane times `factor`; the high halves of the counter words hold leftovers that it ignores.
inline Lanes multiply_low(Lanes a, std::uint32_t factor) {
  // All lanes wanted: the unmasked intrinsic is the same instruction, with a false warning in g++ 12.
  return reinterpret_cast<Lanes>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), _mm512_set1_epi64(factor)));
}

/// Each lane: the low half of `a`'s lane, then the low half of `b`'s.
inline Lanes low_halves(Lanes a, Lanes b) {
  return reinterpret_cast<Lanes>(__builtin_shufflevector(reinterpret_cast<HalfLanes>(a),
                                                         reinterpret_cast<HalfLanes>(b), 0, 16, 2, 18, 4, 20,
                                                         6, 22, 8, 24, 10, 26, 12, 28, 14, 30));
}

/// Words of blocks first ... first + 8 * Groups - 1 of the datum. Several groups hide the latency.
template <int Groups>
inline void fill_groups(const NoiseStream& stream, std::uint32_t datum, std::uint32_t first,
                        std::uint32_t* out) {
  Lanes c0[Groups], c1[Groups], c2[Groups], c3[Groups];
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g) {
    c0[g] = Lanes{0, 1, 2, 3, 4, 5, 6, 7} + (std::uint64_t{first} + 8u * static_cast<unsigned>(g));
    c1[g] = Lanes{} + stream.step.get();
    c2[g] = Lanes{} + datum;
    c3[g] = Lanes{} + (static_cast<std::uint64_t>(stream.purpose) << 26);
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(stream.seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(stream.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      const Lanes p0 = multiply_low(c0[g], 0xD2511F53u);
      const Lanes p1 = multiply_low(c2[g], 0xCD9E8D57u);
      c0[g] = (p1 >> 32) ^ c1[g] ^ key0;
      c1[g] = p1;
      c2[g] = (p0 >> 32) ^ c3[g] ^ key1;
      c3[g] = p0;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g) {
    const Lanes w01 = low_halves(c0[g], c1[g]), w23 = low_halves(c2[g], c3[g]);
    const Lanes low = __builtin_shufflevector(w01, w23, 0, 8, 1, 9, 2, 10, 3, 11);
    const Lanes high = __builtin_shufflevector(w01, w23, 4, 12, 5, 13, 6, 14, 7, 15);
    std::memcpy(out + 32 * g, &low, sizeof low);
    std::memcpy(out + 32 * g + 16, &high, sizeof high);
  }
}

/// out[4 * b + i] = stream.words(datum, 0, first + b)[i] for b in [0, blocks), and on to the next multiple of
/// kBlocksAtOnce blocks.
inline void fill(const NoiseStream& stream, std::uint32_t datum, std::uint32_t first, int blocks,
                 std::uint32_t* out) {
  int b = 0;
  for (; b + 32 <= blocks; b += 32)
    fill_groups<4>(stream, datum, first + static_cast<unsigned>(b), out + 4 * b);
  for (; b < blocks; b += 8) fill_groups<1>(stream, datum, first + static_cast<unsigned>(b), out + 4 * b);
}

#else

/// out[4 * b + i] = stream.words(datum, 0, first + b)[i] for b in [0, blocks), and on to the next multiple of
/// kBlocksAtOnce blocks.
inline void fill(const NoiseStream& stream, std::uint32_t datum, std::uint32_t first, int blocks,
                 std::uint32_t* __restrict out) {
  const int whole = (blocks + kBlocksAtOnce - 1) / kBlocksAtOnce * kBlocksAtOnce;
  for (int b = 0; b < whole; ++b) {
    const Words4 words = stream.words(datum, 0, first + static_cast<unsigned>(b));
    for (int i = 0; i < 4; ++i) out[4 * b + i] = words[i];
  }
}

#endif

}  // namespace felbo::gather_words
