#include <algorithm>
#include <cstring>

#include "kernels/common/normal.h"
#include "kernels/common/philox_lanes.h"
#include "kernels/noise/noise.h"
#include "kernels/noise/noise_check.h"

namespace felbo {

namespace {

constexpr int kRows = kNormalTileRows;

/// Names of a full set of rows.
struct Names {
  std::uint32_t datum[kRows], sample[kRows];
};

#if defined(__AVX512F__)

static_assert(kRows == 16);

inline philox_lanes::Lanes widen(const std::uint32_t* words) {
  typedef std::uint32_t Eight __attribute__((vector_size(32)));
  Eight eight;
  std::memcpy(&eight, words, sizeof eight);
  return __builtin_convertvector(eight, philox_lanes::Lanes);
}

/// words[4 * b + i][r] is word i of block `first + b` of row r.
template <int Blocks>
inline void make_words(const NoiseStream& stream, const Names& names, std::uint32_t first,
                       std::uint32_t (&words)[4 * Blocks][kRows]) {
  using philox_lanes::Lanes, philox_lanes::low_halves;
  philox_lanes::Words<2 * Blocks> c;
#pragma GCC unroll 4
  for (int g = 0; g < 2 * Blocks; ++g) {
    c.w0[g] = Lanes{} + (first + static_cast<std::uint32_t>(g / 2));
    c.w1[g] = Lanes{} + stream.step.get();
    c.w2[g] = widen(names.datum + g % 2 * 8);
    c.w3[g] = widen(names.sample + g % 2 * 8) | stream.where(0);
  }
  philox_lanes::ten_rounds(c, stream.seed);
#pragma GCC unroll 2
  for (int b = 0; b < Blocks; ++b) {
    const philox_lanes::HalfLanes four[4] = {
        low_halves(c.w0[2 * b], c.w0[2 * b + 1]), low_halves(c.w1[2 * b], c.w1[2 * b + 1]),
        low_halves(c.w2[2 * b], c.w2[2 * b + 1]), low_halves(c.w3[2 * b], c.w3[2 * b + 1])};
    std::memcpy(words[4 * b], four, sizeof four);
  }
}

#else

template <int Blocks>
inline void make_words(const NoiseStream& stream, const Names& names, std::uint32_t first,
                       std::uint32_t (&words)[4 * Blocks][kRows]) {
  for (int b = 0; b < Blocks; ++b) {
    for (int r = 0; r < kRows; ++r) {
      const Words4 four =
          stream.words(names.datum[r], names.sample[r], first + static_cast<std::uint32_t>(b));
      for (int i = 0; i < 4; ++i) words[4 * b + i][r] = four[i];
    }
  }
}

#endif

/// out[r * stride + i] = columns[i][r] for a full set of rows and four columns, by 4 x 4 squares.
inline void store_four(const float (*columns)[kRows], float* out, std::int64_t stride) {
  typedef float Four __attribute__((vector_size(16)));
  for (int r = 0; r < kRows; r += 4) {
    Four c[4], row[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&c[i], columns[i] + r, sizeof c[i]);
    const Four low01 = __builtin_shufflevector(c[0], c[1], 0, 4, 1, 5),
               high01 = __builtin_shufflevector(c[0], c[1], 2, 6, 3, 7);
    const Four low23 = __builtin_shufflevector(c[2], c[3], 0, 4, 1, 5),
               high23 = __builtin_shufflevector(c[2], c[3], 2, 6, 3, 7);
    row[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    row[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    row[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    row[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    for (int k = 0; k < 4; ++k) std::memcpy(out + (r + k) * stride, &row[k], sizeof row[k]);
  }
}

/// Elements [0, n), at most 4 * Blocks, of `rows` rows, from block `first` on.
template <int Blocks>
inline void make_blocks(const NoiseStream& stream, const Names& names, int rows, std::uint32_t first,
                        std::int64_t n, float* out, std::int64_t stride) {
  alignas(64) std::uint32_t words[4 * Blocks][kRows];
  alignas(64) float normals[4 * Blocks][kRows];
  make_words<Blocks>(stream, names, first, words);
  for (int i = 0; i < 4 * Blocks; i += 2) {
    for (int r = 0; r < kRows; ++r) {
      const NormalPair pair = normals_from_words(words[i][r], words[i + 1][r]);
      normals[i][r] = pair.first;
      normals[i + 1][r] = pair.second;
    }
  }
  for (std::int64_t i = 0; i < n; i += 4) {
    if (rows == kRows && i + 4 <= n) {
      store_four(normals + i, out + i, stride);
    } else {
      for (int r = 0; r < rows; ++r) {
        for (std::int64_t k = i; k < std::min(i + 4, n); ++k) out[r * stride + k] = normals[k][r];
      }
    }
  }
}

}  // namespace

void normal_tile(const NoiseStream& stream, const std::uint32_t* datum, const std::uint32_t* sample, int rows,
                 std::uint32_t first_block, std::int64_t n, float* out, std::int64_t stride) {
  // A full set of lanes, the unused ones repeating the last name, keeps the inner loop free of tails.
  Names names;
  for (int r = 0; r < kRows; ++r) {
    names.datum[r] = datum[std::min(r, rows - 1)];
    names.sample[r] = sample[std::min(r, rows - 1)];
  }
  const auto block = [&](std::int64_t begin) { return first_block + static_cast<std::uint32_t>(begin / 4); };
  std::int64_t begin = 0;
  for (; begin + 4 < n; begin += 8) {
    make_blocks<2>(stream, names, rows, block(begin), std::min<std::int64_t>(8, n - begin), out + begin,
                   stride);
  }
  if (begin < n) make_blocks<1>(stream, names, rows, block(begin), n - begin, out + begin, stride);
}

void normal_fill(const CpuExec& exec, const NormalFillArgs& args) {
  const View<float, 2> out = args.out;
  const NoiseStream stream = args.stream.now();
  check(args);
  const std::int64_t tiles = (out.rows + kNormalTileRows - 1) / kNormalTileRows;
  exec.parallel_for(tiles, 1 + 256 / (out.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t first = tile * kNormalTileRows;
      const int rows = static_cast<int>(std::min<std::int64_t>(kNormalTileRows, out.rows - first));
      std::uint32_t datum[kNormalTileRows], sample[kNormalTileRows];
      for (int r = 0; r < rows; ++r) {
        datum[r] = args.first_datum + static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(r);
        sample[r] = args.sample;
      }
      normal_tile(stream, datum, sample, rows, 0, out.cols, out.row(first), out.stride);
    }
  });
}

}  // namespace felbo
