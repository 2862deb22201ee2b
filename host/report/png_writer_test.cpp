#include "host/report/png_writer.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <limits>
#include <string>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;
using Tile = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Pixels {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> values;
};

Pixels read_png(const std::filesystem::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << image.message;
  EXPECT_EQ(image.format, static_cast<png_uint_32>(PNG_FORMAT_GRAY));
  Pixels pixels{image.height, image.width, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.values.data(), 0, nullptr), 0) << image.message;
  return pixels;
}

View<const float, 2> view(const std::vector<float>& values, std::int64_t cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols};
}

std::string refusal(const TempFolder& folder, const ImageGrid& grid) {
  return message_of<std::invalid_argument>([&] { write_png_grid(folder / "a.png", grid); });
}

TEST(PngWriterTest, DrawsEveryPixelWhereItBelongs) {
  const TempFolder folder;
  const Tile a = {0.0f, 1.0f, 0.2f}, b = {0.4f, 0.6f, 0.8f}, c = {1.0f, 1.0f, 0.0f};
  write_png_grid(folder / "a.png", {{a, b, c}, 1, 3, 2, 2});
  const Pixels got = read_png(folder / "a.png");
  // Two columns of 1 x 3 pixels, doubled: a and b, a gap, then c and a blank. 64 is the gap's grey.
  const std::vector<std::uint8_t> top = {0, 0, 255, 255, 51, 51, 64, 64, 102, 102, 153, 153, 204, 204};
  const std::vector<std::uint8_t> bottom = {255, 255, 255, 255, 0, 0, 64, 64, 64, 64, 64, 64, 64, 64};
  std::vector<std::uint8_t> expected;
  const std::vector<std::uint8_t> gap(14, 64);
  for (const auto* line : {&top, &top, &gap, &gap, &bottom, &bottom}) {
    expected.insert(expected.end(), line->begin(), line->end());
  }
  EXPECT_EQ(got.height, 6);
  EXPECT_EQ(got.width, 14);
  EXPECT_EQ(got.values, expected);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.png"});
}

TEST(PngWriterTest, ValuesAreRoundedAndClamped) {
  const TempFolder folder;
  const Tile tile = {-0.1f, -kInf, 1.1f, kInf, 0.5f, 127.4f / 255, 127.6f / 255, -0.0f};
  write_png_grid(folder / "a.png", {{tile}, 2, 4, 1, 1});
  EXPECT_EQ(read_png(folder / "a.png").values, (std::vector<std::uint8_t>{0, 0, 255, 255, 128, 127, 128, 0}));
}

TEST(PngWriterTest, SmallImagesAreEnlargedToAReadableSize) {
  const TempFolder folder;
  struct Case {
    std::int64_t height, width, scale;
  };
  for (const Case& c : {Case{28, 28, 2}, {28, 20, 2}, {8, 8, 7}, {1, 57, 1}, {64, 64, 1}, {27, 27, 3}}) {
    const Tile tile(static_cast<std::size_t>(c.height * c.width), 1.0f);
    write_png_grid(folder / "a.png", make_grid(view(tile, c.height * c.width), c.height, c.width));
    const Pixels got = read_png(folder / "a.png");
    EXPECT_EQ(got.height, c.height * c.scale);
    EXPECT_EQ(got.width, c.width * c.scale);
  }
}

TEST(PngWriterTest, AGridIsAboutSquareUnlessAsked) {
  const std::vector<float> values(10 * 4);
  EXPECT_EQ(make_grid(view(values, 4), 2, 2).columns, 4);
  EXPECT_EQ(make_grid(view(values, 4), 2, 2, 7).columns, 7);
  const ImageGrid grid = make_grid({values.data() + 1, 3, 2, 5}, 1, 2);  // rows with a stride
  ASSERT_EQ(grid.tiles.size(), 3u);
  EXPECT_EQ(grid.tiles[2].data(), values.data() + 11);
  EXPECT_EQ(grid.tiles[2].size(), 2u);
}

TEST(PngWriterTest, PairsStandOneAboveTheOther) {
  std::vector<float> originals(5), copies(5);
  const ImageGrid grid = make_paired_grid(view(originals, 1), view(copies, 1), 1, 1, 3);
  const float *o = originals.data(), *c = copies.data();
  const std::vector<const float*> expected = {o,     o + 1, o + 2,   c,     c + 1, c + 2,
                                              o + 3, o + 4, nullptr, c + 3, c + 4};
  ASSERT_EQ(grid.tiles.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(grid.tiles[i].data(), expected[i]) << i;
  EXPECT_EQ(grid.columns, 3);
  EXPECT_EQ(make_paired_grid(view(originals, 1), view(copies, 1), 1, 1).columns, 5);
  EXPECT_EQ(make_paired_grid(view(originals, 1), view(copies, 1), 1, 1, 1'000'000'000).tiles.size(), 10u);
}

TEST(LayeredGrid, PutsEachRowOfALayerBelowThatOfTheOneBefore) {
  const std::vector<float> a{0.0f, 0.1f, 0.2f}, b{0.3f, 0.4f, 0.5f}, c{0.6f, 0.7f, 0.8f};
  const ImageGrid grid = make_layered_grid({view(a, 1), view(b, 1), view(c, 1)}, 1, 1, 2);
  std::vector<float> tiles;
  for (const auto& tile : grid.tiles) tiles.push_back(tile.empty() ? -1.0f : tile[0]);
  EXPECT_EQ(tiles, (std::vector<float>{0.0f, 0.1f, 0.3f, 0.4f, 0.6f, 0.7f, 0.2f, -1, 0.5f, -1, 0.8f}));
  EXPECT_THROW(make_layered_grid({}, 1, 1), std::invalid_argument);
  EXPECT_THROW(make_layered_grid({view(a, 1), {b.data(), 2, 1}}, 1, 1), std::invalid_argument);
}

TEST(PngWriterTest, ANanIsNamedAndTheOldPictureStays) {
  const TempFolder folder;
  write_bytes(folder / "a.png", "old");
  const Tile good(6), bad = {0, 0, 0, 0, 0, kNan};
  EXPECT_TRUE(
      has(refusal(folder, {{good, bad, good}, 2, 3, 2, 1}), "image 1 holds a NaN (pixel row 1, column 2)"));
  EXPECT_EQ(read_bytes(folder / "a.png"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.png"});
}

TEST(PngWriterTest, SizesThatDoNotFitAreRefused) {
  const TempFolder folder;
  const Tile tile(6), other(5);
  EXPECT_TRUE(has(refusal(folder, {{}, 2, 3, 1, 1}), "at least one image"));
  EXPECT_TRUE(
      has(refusal(folder, {{tile, other}, 2, 3, 1, 1}), "image 1 has 5 values, 2 x 3 = 6 were expected"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 0, 6, 1, 1}), "must be 1 x 1 to"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 2, -3, 1, 1}), "must be 1 x 1 to"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 2, 3, 0, 1}), "at least one column, not 0"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 2, 3, 1, -1}), "by a factor of 1 or more, not -1"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 2, 3, 1, std::int64_t{1} << 62}), "is too large"));
  EXPECT_TRUE(has(refusal(folder, {{tile}, 2, 3, 1, 10'000}), "20000 x 30000 pixels is too large"));
  EXPECT_TRUE(folder.names().empty());
  // Any number of columns is one row at most.
  write_png_grid(folder / "a.png", {{tile, tile}, 2, 3, std::numeric_limits<std::int64_t>::max(), 1});
  EXPECT_EQ(read_png(folder / "a.png").width, 7);
}

/// A grid of blanks, as make_grid() would lay it out: its size is all that is asked about.
ImageGrid blanks(std::int64_t height, std::int64_t width, std::int64_t tiles) {
  const auto columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(tiles))));
  return {std::vector<std::span<const float>>(static_cast<std::size_t>(tiles)), height, width, columns};
}

TEST(PngWriterTest, WhatCanBeDrawnIsKnownBefore) {
  const TempFolder folder;
  struct Size {
    std::int64_t height, width, tiles;
  };
  // 10 x 10 tiles of 1637 and 9 gaps are 16379 pixels long; 16384^2 = 2^28.
  for (const Size s : {Size{28, 28, 100}, {1637, 1637, 100}, {16384, 1, 1}, {1, 16384, 100}, {1, 1, 21316}})
    EXPECT_TRUE(can_draw(s.height, s.width, s.tiles)) << s.height << " " << s.width << " " << s.tiles;
  write_png_grid(folder / "a.png", blanks(16384, 1, 1));
  for (const Size s : {Size{1638, 1638, 100},
                       {1640, 1640, 100},
                       {1, 20000, 100},
                       {16385, 1, 1},
                       {0, 3, 1},
                       {3, -1, 1},
                       {16384, 16384, 2},
                       {1, 1, 147 * 147}}) {
    EXPECT_FALSE(can_draw(s.height, s.width, s.tiles)) << s.height << " " << s.width << " " << s.tiles;
    EXPECT_THROW(write_png_grid(folder / "b.png", blanks(s.height, s.width, s.tiles)), std::invalid_argument);
  }
  EXPECT_FALSE(can_draw(3, 3, 0));
  EXPECT_FALSE(can_draw(std::numeric_limits<std::int64_t>::max(), 1, 1));
}

TEST(PngWriterTest, RowsThatAreNoImagesAreRefused) {
  const std::vector<float> six(6), twelve(12);
  const auto message = [](const std::function<void()>& action) {
    return message_of<std::invalid_argument>(action);
  };
  EXPECT_TRUE(
      has(message([&] { make_grid(view(six, 6), 2, 4); }), "rows of 6 values are no images of 2 x 4 pixels"));
  EXPECT_TRUE(has(message([&] { make_grid(view(six, 6), 0, 0); }), "no images of 0 x 0 pixels"));
  const std::vector<float> wide(20000);
  EXPECT_TRUE(has(message([&] { make_grid(view(wide, 20000), 1, 20000); }),
                  "images of 1 x 20000 pixels are too large for a picture (at most 16384 along a side)"));
  EXPECT_TRUE(has(message([&] { make_grid({six.data(), 0, 6}, 2, 3); }), "at least one image"));
  EXPECT_TRUE(has(message([&] { make_paired_grid(view(six, 6), view(twelve, 6), 2, 3); }),
                  "1 originals and 2 reconstructions do not pair"));
  EXPECT_TRUE(has(message([&] { make_paired_grid(view(six, 6), view(six, 3), 2, 3); }), "rows of 3 values"));
  EXPECT_TRUE(
      has(message([&] { make_paired_grid(view(six, 6), view(six, 6), 2, 3, -1); }), "at least one column"));
}

}  // namespace
}  // namespace felbo
