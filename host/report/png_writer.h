// Pictures: grids of small grey images in one PNG file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "kernels/common/view.h"

namespace felbo {

/// Equally sized grey images, laid out row by row with a gap of one image pixel in dark grey between them.
struct ImageGrid {
  /// Each height * width values, row-major, in [0, 1]; an empty one is a blank.
  std::vector<std::span<const float>> tiles;
  std::int64_t height = 0;   // of a tile, in pixels
  std::int64_t width = 0;    // of a tile, in pixels
  std::int64_t columns = 0;  // tiles in a row
  /// Each pixel becomes scale x scale; 0 takes the smallest scale that makes a tile 56 pixels large.
  std::int64_t scale = 0;
};

/// The limits of a picture: pixels along a side of a tile, and pixels of the whole.
inline constexpr std::int64_t kMostTileSide = std::int64_t{1} << 14;
inline constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

/// Whether write_png_grid() has room for `tiles` images of height x width pixels in the grid that make_grid()
/// lays out if it is not told the number of columns. The grid of make_paired_grid() with as many tiles (twice
/// its pairs) fits too if `tiles` is 100.
bool can_draw(std::int64_t height, std::int64_t width, std::int64_t tiles);

/// The grid of all rows of `images`, (N, height * width), which must outlive it. `columns` = 0 makes the grid
/// about square. Throws std::invalid_argument if the sizes do not fit.
ImageGrid make_grid(View<const float, 2> images, std::int64_t height, std::int64_t width,
                    std::int64_t columns = 0);

/// The grid of `originals` and `reconstructions`, both (N, height * width): each row of `columns` originals
/// has the row of their reconstructions below it. `columns` = 0 takes 10, or N if that is fewer. The rows
/// must outlive the grid. Throws std::invalid_argument if the sizes do not fit.
ImageGrid make_paired_grid(View<const float, 2> originals, View<const float, 2> reconstructions,
                           std::int64_t height, std::int64_t width, std::int64_t columns = 0);

/// The grid of several layers (N, height * width) of the same N: each row of `columns` images of the first
/// layer has those of the others below it, in order. Otherwise as make_paired_grid().
ImageGrid make_layered_grid(const std::vector<View<const float, 2>>& layers, std::int64_t height,
                            std::int64_t width, std::int64_t columns = 0);

/// Writes the grid as an 8-bit grey PNG, enlarged without smoothing; 0 is black, 1 is white, values beyond
/// are clamped. By an AtomicFile: `path` holds its old content or the whole picture. Throws
/// std::invalid_argument if the grid is empty, its sizes do not fit, a tile's side is above kMostTileSide,
/// the picture would have more than kMostPixels pixels, or an image holds a NaN (named); and as AtomicFile
/// does.
void write_png_grid(const std::filesystem::path& path, const ImageGrid& grid);

}  // namespace felbo
