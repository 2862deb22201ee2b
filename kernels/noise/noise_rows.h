// The noise of rows of z, made a few columns at a time on the caller's thread.
#pragma once

#include <algorithm>

#include "kernels/common/view.h"
#include "kernels/noise/noise.h"

namespace felbo {

/// Columns of noise made at a time: 16 rows of them stay in the first-level cache.
inline constexpr std::int64_t kNoiseSpan = 256;

/// Calls f(row, first column, columns, eps) for all rows [begin, end) of z, S to a datum, and all columns in
/// pieces of kNoiseSpan; the pieces of a row come in order, and so do the rows of a datum.
template <class F>
void for_each_noise(const NoiseStream& stream, View<const std::uint32_t, 1> datum, std::uint32_t first_sample,
                    int samples, std::int64_t begin, std::int64_t end, std::int64_t cols, const F& f) {
  alignas(64) float eps[kNormalTileRows * kNoiseSpan];
  for (std::int64_t first = begin; first < end; first += kNormalTileRows) {
    const int rows = static_cast<int>(std::min<std::int64_t>(kNormalTileRows, end - first));
    std::uint32_t datum_of[kNormalTileRows], sample_of[kNormalTileRows];
    for (int r = 0; r < rows; ++r) {
      datum_of[r] = datum((first + r) / samples);
      sample_of[r] = first_sample + static_cast<std::uint32_t>((first + r) % samples);
    }
    for (std::int64_t col = 0; col < cols; col += kNoiseSpan) {
      const std::int64_t n = std::min(kNoiseSpan, cols - col);
      normal_tile(stream, datum_of, sample_of, rows, static_cast<std::uint32_t>(col / 4), n, eps, kNoiseSpan);
      for (int r = 0; r < rows; ++r) f(first + r, col, n, eps + r * kNoiseSpan);
    }
  }
}

}  // namespace felbo
