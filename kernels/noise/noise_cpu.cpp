#include <algorithm>

#include "kernels/common/normal.h"
#include "kernels/noise/noise.h"
#include "kernels/noise/noise_check.h"

namespace felbo {

void normal_tile(const NoiseStream& stream, const std::uint32_t* datum, const std::uint32_t* sample, int rows,
                 std::uint32_t first_block, std::int64_t n, float* out, std::int64_t stride) {
  // A full set of lanes, the unused ones repeating the last name, keeps the inner loop free of tails.
  std::uint32_t datum_of[kNormalTileRows], sample_of[kNormalTileRows];
  for (int r = 0; r < kNormalTileRows; ++r) {
    datum_of[r] = datum[std::min(r, rows - 1)];
    sample_of[r] = sample[std::min(r, rows - 1)];
  }
  for (std::int64_t begin = 0; begin < n; begin += 4) {
    const std::uint32_t block = first_block + static_cast<std::uint32_t>(begin / 4);
    float normals[4][kNormalTileRows];
    for (int r = 0; r < kNormalTileRows; ++r) {
      const Normals4 four = normals_from_words(stream.words(datum_of[r], sample_of[r], block));
      for (int i = 0; i < 4; ++i) normals[i][r] = four.n[i];
    }
    const std::int64_t count = std::min<std::int64_t>(4, n - begin);
    for (int r = 0; r < rows; ++r) {
      for (std::int64_t i = 0; i < count; ++i) out[r * stride + begin + i] = normals[i][r];
    }
  }
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
