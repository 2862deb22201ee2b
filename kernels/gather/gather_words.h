// Runs of random words of one datum.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/common/noise_stream.h"
#include "kernels/common/philox_lanes.h"

namespace felbo::gather_words {

/// `fill` writes a multiple of this many blocks of four words.
inline constexpr int kBlocksAtOnce = 8;

#if defined(__AVX512F__)

/// Words of blocks first ... first + 8 * Groups - 1 of the datum.
template <int Groups>
inline void fill_groups(const NoiseStream& stream, std::uint32_t datum, std::uint32_t first,
                        std::uint32_t* out) {
  using philox_lanes::Lanes, philox_lanes::pair_low_halves;
  philox_lanes::Words<Groups> c;
#pragma GCC unroll 5
  for (int g = 0; g < Groups; ++g) {
    c.w0[g] = Lanes{0, 1, 2, 3, 4, 5, 6, 7} + (std::uint64_t{first} + 8u * static_cast<unsigned>(g));
    c.w1[g] = Lanes{} + stream.step.get();
    c.w2[g] = Lanes{} + datum;
    c.w3[g] = Lanes{} + stream.where(0);
  }
  philox_lanes::ten_rounds(c, stream.seed);
#pragma GCC unroll 5
  for (int g = 0; g < Groups; ++g) {
    const Lanes w01 = pair_low_halves(c.w0[g], c.w1[g]), w23 = pair_low_halves(c.w2[g], c.w3[g]);
    const Lanes low = __builtin_shufflevector(w01, w23, 0, 8, 1, 9, 2, 10, 3, 11);
    const Lanes high = __builtin_shufflevector(w01, w23, 4, 12, 5, 13, 6, 14, 7, 15);
    std::memcpy(out + 32 * g, &low, sizeof low);
    std::memcpy(out + 32 * g + 16, &high, sizeof high);
  }
}

/// out[4 * b + i] = stream.words(datum, 0, first + b)[i] for b in [0, blocks), and on to the next multiple of
/// kBlocksAtOnce blocks. The last 40 are made together: by themselves, a few would wait for each other.
inline void fill(const NoiseStream& stream, std::uint32_t datum, std::uint32_t first, int blocks,
                 std::uint32_t* out) {
  for (; blocks > 40; blocks -= 32, first += 32, out += 128) fill_groups<4>(stream, datum, first, out);
  switch ((blocks + 7) / 8) {
    case 1:
      return fill_groups<1>(stream, datum, first, out);
    case 2:
      return fill_groups<2>(stream, datum, first, out);
    case 3:
      return fill_groups<3>(stream, datum, first, out);
    case 4:
      return fill_groups<4>(stream, datum, first, out);
    case 5:
      return fill_groups<5>(stream, datum, first, out);
    default:
      return;
  }
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
