#include "host/report/png_writer.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include "host/run/atomic_file.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr std::uint8_t kGapGrey = 64;
constexpr std::int64_t kReadableTile = 56;  // pixels along a tile's longer side

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// An 8-bit grey picture, row-major.
struct Picture {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> pixels;
};

/// A side within the limit keeps every product of sizes far from overflow.
bool is_side(std::int64_t pixels) { return pixels >= 1 && pixels <= kMostTileSide; }

std::int64_t scale_of(std::int64_t asked, std::int64_t height, std::int64_t width) {
  return asked > 0 ? asked : ceil_div(kReadableTile, std::max(height, width));
}
std::int64_t scale_of(const ImageGrid& grid) { return scale_of(grid.scale, grid.height, grid.width); }

std::int64_t square_columns(std::int64_t tiles) {
  return static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(tiles))));
}

/// Pixels along `count` tiles of `side` pixels and the gaps between them; double, because nothing bounds it.
double length_of(std::int64_t count, std::int64_t side, std::int64_t scale) {
  return static_cast<double>(scale) * (static_cast<double>(count) * static_cast<double>(side + 1) - 1);
}

void check_grid(const ImageGrid& grid) {
  FELBO_CHECK(!grid.tiles.empty(), "a picture needs at least one image, got none");
  FELBO_CHECK(is_side(grid.height) && is_side(grid.width),
              "the images of a picture must be 1 x 1 to {1} x {1} pixels, not {0} x {2}", grid.height,
              kMostTileSide, grid.width);
  FELBO_CHECK(grid.columns >= 1, "a picture needs at least one column, not {}", grid.columns);
  FELBO_CHECK(grid.scale >= 0, "a picture is enlarged by a factor of 1 or more, not {}", grid.scale);
  const auto pixels = static_cast<std::size_t>(grid.height * grid.width);
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    FELBO_CHECK(grid.tiles[i].empty() || grid.tiles[i].size() == pixels,
                "image {} has {} values, {} x {} = {} were expected", i, grid.tiles[i].size(), grid.height,
                grid.width, pixels);
  }
}

Picture blank_picture(const ImageGrid& grid) {
  const auto tiles = static_cast<std::int64_t>(grid.tiles.size());
  const std::int64_t columns = std::min(grid.columns, tiles);
  const std::int64_t rows = ceil_div(tiles, columns);
  const double height = length_of(rows, grid.height, scale_of(grid));
  const double width = length_of(columns, grid.width, scale_of(grid));
  FELBO_CHECK(height * width <= static_cast<double>(kMostPixels),
              "a picture of {:.0f} x {:.0f} pixels is too large (at most {} pixels); take fewer images or a "
              ".npy file",
              height, width, kMostPixels);
  Picture picture{static_cast<std::int64_t>(height), static_cast<std::int64_t>(width), {}};
  picture.pixels.assign(static_cast<std::size_t>(picture.height * picture.width), kGapGrey);
  return picture;
}

std::uint8_t grey(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

void draw_tile(const ImageGrid& grid, std::int64_t tile, Picture& picture) {
  const std::span<const float> values = grid.tiles[static_cast<std::size_t>(tile)];
  if (values.empty()) return;
  const std::int64_t scale = scale_of(grid);
  const std::int64_t top = scale * (tile / grid.columns) * (grid.height + 1);
  const std::int64_t left = scale * (tile % grid.columns) * (grid.width + 1);
  for (std::int64_t y = 0; y < grid.height; ++y) {
    for (std::int64_t x = 0; x < grid.width; ++x) {
      const float value = values[static_cast<std::size_t>(y * grid.width + x)];
      FELBO_CHECK(!std::isnan(value), "image {} holds a NaN (pixel row {}, column {}): it cannot be drawn",
                  tile, y, x);
      for (std::int64_t i = 0; i < scale; ++i) {
        auto* line = &picture.pixels[static_cast<std::size_t>((top + y * scale + i) * picture.width + left)];
        std::fill_n(line + x * scale, scale, grey(value));
      }
    }
  }
}

std::vector<std::byte> encode_png(const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> encoded(size);
  if (png_image_write_to_memory(&image, encoded.data(), &size, 0, picture.pixels.data(), 0, nullptr) == 0) {
    throw std::runtime_error(fmt::format("libpng cannot encode a picture of {} x {} pixels: {}",
                                         picture.height, picture.width, image.message));
  }
  encoded.resize(size);
  return encoded;
}

void check_rows(View<const float, 2> images, std::int64_t height, std::int64_t width) {
  FELBO_CHECK(
      height <= kMostTileSide && width <= kMostTileSide,
      "images of {} x {} pixels are too large for a picture (at most {} along a side); take a .npy file",
      height, width, kMostTileSide);
  FELBO_CHECK(is_side(height) && is_side(width) && images.cols == height * width,
              "rows of {} values are no images of {} x {} pixels", images.cols, height, width);
  FELBO_CHECK(images.rows >= 1, "a picture needs at least one image, got none");
}

std::span<const float> row_of(View<const float, 2> images, std::int64_t i) {
  return {images.row(i), static_cast<std::size_t>(images.cols)};
}

}  // namespace

bool can_draw(std::int64_t height, std::int64_t width, std::int64_t tiles) {
  if (!is_side(height) || !is_side(width) || tiles < 1) return false;
  const std::int64_t columns = square_columns(tiles), scale = scale_of(0, height, width);
  return length_of(ceil_div(tiles, columns), height, scale) * length_of(columns, width, scale) <=
         static_cast<double>(kMostPixels);
}

ImageGrid make_grid(View<const float, 2> images, std::int64_t height, std::int64_t width,
                    std::int64_t columns) {
  check_rows(images, height, width);
  if (columns == 0) columns = square_columns(images.rows);
  ImageGrid grid{{}, height, width, columns};
  for (std::int64_t i = 0; i < images.rows; ++i) grid.tiles.push_back(row_of(images, i));
  return grid;
}

ImageGrid make_paired_grid(View<const float, 2> originals, View<const float, 2> reconstructions,
                           std::int64_t height, std::int64_t width, std::int64_t columns) {
  check_rows(originals, height, width);
  check_rows(reconstructions, height, width);
  FELBO_CHECK(originals.rows == reconstructions.rows, "{} originals and {} reconstructions do not pair",
              originals.rows, reconstructions.rows);
  return make_layered_grid({originals, reconstructions}, height, width, columns);
}

ImageGrid make_layered_grid(const std::vector<View<const float, 2>>& layers, std::int64_t height,
                            std::int64_t width, std::int64_t columns) {
  FELBO_CHECK(!layers.empty(), "a picture needs at least one image, got none");
  const std::int64_t rows = layers.front().rows;
  for (const View<const float, 2>& layer : layers) {
    check_rows(layer, height, width);
    FELBO_CHECK(layer.rows == rows, "layers of {} and {} images", rows, layer.rows);
  }
  if (columns == 0) columns = std::min<std::int64_t>(10, rows);
  FELBO_CHECK(columns >= 1, "a picture needs at least one column, not {}", columns);
  columns = std::min(columns, rows);
  ImageGrid grid{{}, height, width, columns};
  for (std::int64_t first = 0; first < rows; first += columns) {
    const std::int64_t last = std::min(first + columns, rows);
    for (const View<const float, 2>& layer : layers) {
      // What the layer before has left of its row stays blank.
      grid.tiles.resize(static_cast<std::size_t>(
          ceil_div(static_cast<std::int64_t>(grid.tiles.size()), columns) * columns));
      for (std::int64_t i = first; i < last; ++i) grid.tiles.push_back(row_of(layer, i));
    }
  }
  return grid;
}

void write_png_grid(const std::filesystem::path& path, const ImageGrid& grid) {
  check_grid(grid);
  Picture picture = blank_picture(grid);
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) draw_tile(grid, static_cast<std::int64_t>(i), picture);
  const std::vector<std::byte> encoded = encode_png(picture);
  AtomicFile file(path);
  file.write(std::span(encoded));
  file.commit();
}

}  // namespace felbo
