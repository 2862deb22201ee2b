// builtin:glyphs: grey pictures of the ten digits, drawn here, so that the main job runs with nothing to
// download.
#pragma once

#include <array>
#include <cstdint>

#include "host/data/dataset.h"

namespace felbo {

inline constexpr std::int64_t kGlyphSide = 28;
inline constexpr std::int64_t kGlyphTrainRows = 20000;
inline constexpr std::int64_t kGlyphTestRows = 4000;

/// One 28 x 28 picture, row-major, ink 255 on paper 0: the digit `index` % 10 in one of its written forms,
/// with random slant, scale, shift, pen width and wobble. A function of (seed, index) in IEEE + - * / sqrt
/// alone, so the same bytes on every machine.
std::array<std::uint8_t, kGlyphSide * kGlyphSide> draw_glyph(std::uint64_t seed, std::uint32_t index);

/// The whole set: train holds pictures 0 ... 19,999 of `seed`, test 20,000 ... 23,999.
DataSet glyph_data(std::uint64_t seed);

}  // namespace felbo
