#include "host/data/glyphs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"

namespace felbo {
namespace {

struct Point {
  float x, y;
};
Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(float s, Point a) { return {s * a.x, s * a.y}; }

/// A point that the pen passes: x to the right, y down, in units of the digit's height.
struct Knot {
  Point at;
  bool corner = false;  // the pen may turn sharply here
};

/// One movement of the pen, a smooth curve through its knots.
struct Stroke {
  std::vector<Knot> knots;
  bool closed = false;  // the last knot leads back to the first
};

using Form = std::vector<Stroke>;  // one way to write a digit

constexpr bool kCorner = true;
constexpr bool kClosed = true;

/// The written forms of each digit.
const std::array<std::vector<Form>, 10>& forms_of_digits() {
  static const std::array<std::vector<Form>, 10> forms = {{
      // 0
      {{{{{{0, -.5f}},
          {{-.2f, -.36f}},
          {{-.29f, 0}},
          {{-.2f, .37f}},
          {{0, .5f}},
          {{.2f, .37f}},
          {{.29f, 0}},
          {{.2f, -.36f}}},
         kClosed}},
       {{{{{.1f, -.46f}},
          {{-.1f, -.47f}},
          {{-.25f, -.25f}},
          {{-.28f, .12f}},
          {{-.14f, .44f}},
          {{.08f, .48f}},
          {{.25f, .24f}},
          {{.28f, -.1f}},
          {{.18f, -.4f}},
          {{.0f, -.44f}}}}}},
      // 1
      {{{{{{0, -.5f}}, {{0, .5f}}}}},
       {{{{{-.17f, -.28f}}, {{.02f, -.5f}, kCorner}, {{0, .5f}}}}},
       {{{{{-.15f, -.31f}}, {{.02f, -.5f}, kCorner}, {{0, .5f}}}}, {{{{-.2f, .5f}}, {{.2f, .5f}}}}}},
      // 2
      {{{{{{-.25f, -.27f}},
          {{-.15f, -.44f}},
          {{.03f, -.5f}},
          {{.2f, -.41f}},
          {{.24f, -.23f}},
          {{.13f, .02f}},
          {{-.09f, .28f}},
          {{-.28f, .47f}, kCorner},
          {{.3f, .46f}}}}},
       {{{{{-.24f, -.3f}},
          {{-.12f, -.46f}},
          {{.06f, -.5f}},
          {{.21f, -.39f}},
          {{.22f, -.18f}},
          {{.09f, .14f}},
          {{-.09f, .39f}},
          {{-.22f, .46f}},
          {{-.28f, .37f}},
          {{-.18f, .28f}},
          {{.02f, .38f}},
          {{.17f, .46f}},
          {{.31f, .41f}}}}}},
      // 3
      {{{{{{-.23f, -.37f}},
          {{-.07f, -.49f}},
          {{.13f, -.46f}},
          {{.2f, -.29f}},
          {{.11f, -.11f}},
          {{-.07f, -.03f}, kCorner},
          {{.14f, .03f}},
          {{.25f, .21f}},
          {{.17f, .42f}},
          {{-.03f, .5f}},
          {{-.25f, .39f}}}}},
       {{{{{-.22f, -.48f}},
          {{.21f, -.48f}, kCorner},
          {{-.03f, -.1f}, kCorner},
          {{.17f, -.01f}},
          {{.25f, .2f}},
          {{.16f, .42f}},
          {{-.04f, .5f}},
          {{-.26f, .4f}}}}}},
      // 4
      {{{{{{-.2f, -.48f}}, {{-.27f, .06f}, kCorner}, {{.28f, .04f}}}}, {{{{.17f, -.42f}}, {{.13f, .5f}}}}},
       {{{{{.12f, .5f}}, {{.13f, -.5f}, kCorner}, {{-.3f, .17f}, kCorner}, {{.3f, .17f}}}}},
       {{{{{-.2f, -.46f}}, {{-.25f, -.12f}}, {{-.12f, .06f}}, {{.17f, -.04f}}}},
        {{{{.2f, -.48f}}, {{.15f, .5f}}}}}},
      // 5
      {{{{{{.24f, -.48f}},
          {{-.16f, -.48f}, kCorner},
          {{-.2f, -.07f}, kCorner},
          {{-.02f, -.15f}},
          {{.19f, -.06f}},
          {{.25f, .16f}},
          {{.15f, .4f}},
          {{-.05f, .5f}},
          {{-.26f, .41f}}}}},
       {{{{{-.16f, -.46f}},
          {{-.18f, -.05f}, kCorner},
          {{0, -.12f}},
          {{.2f, 0}},
          {{.22f, .26f}},
          {{.06f, .47f}},
          {{-.22f, .47f}}}},
        {{{{-.16f, -.46f}}, {{.26f, -.5f}}}}}},
      // 6
      {{{{{{.15f, -.5f}},
          {{-.06f, -.33f}},
          {{-.21f, -.03f}},
          {{-.23f, .26f}},
          {{-.11f, .46f}},
          {{.08f, .49f}},
          {{.22f, .34f}},
          {{.2f, .13f}},
          {{.05f, .04f}},
          {{-.12f, .11f}},
          {{-.22f, .29f}}}}},
       {{{{{.02f, -.5f}},
          {{-.15f, -.22f}},
          {{-.23f, .1f}},
          {{-.17f, .4f}},
          {{.02f, .5f}},
          {{.2f, .38f}},
          {{.21f, .16f}},
          {{.05f, .07f}},
          {{-.12f, .18f}},
          {{-.17f, .36f}}}}}},
      // 7
      {{{{{{-.27f, -.46f}}, {{.26f, -.48f}, kCorner}, {{.06f, -.06f}}, {{-.06f, .5f}}}}},
       {{{{{-.26f, -.47f}}, {{.26f, -.48f}, kCorner}, {{.05f, 0}}, {{-.08f, .5f}}}},
        {{{{-.14f, .03f}}, {{.22f, 0}}}}},
       {{{{{-.27f, -.33f}},
          {{-.25f, -.46f}, kCorner},
          {{.27f, -.47f}, kCorner},
          {{.12f, -.1f}},
          {{.02f, .5f}}}}}},
      // 8
      {{{{{{.02f, -.5f}},
          {{-.18f, -.4f}},
          {{-.17f, -.2f}},
          {{.01f, -.03f}},
          {{.2f, .15f}},
          {{.2f, .38f}},
          {{0, .5f}},
          {{-.21f, .38f}},
          {{-.2f, .16f}},
          {{0, -.03f}},
          {{.18f, -.2f}},
          {{.19f, -.4f}}},
         kClosed}},
       {{{{{.18f, -.36f}},
          {{.02f, -.5f}},
          {{-.16f, -.41f}},
          {{-.17f, -.22f}},
          {{0, -.04f}},
          {{.2f, .14f}},
          {{.22f, .36f}},
          {{.02f, .5f}},
          {{-.19f, .4f}},
          {{-.18f, .18f}},
          {{.02f, -.06f}},
          {{.2f, -.3f}}}}}},
      // 9
      {{{{{{.2f, -.32f}},
          {{.06f, -.48f}},
          {{-.13f, -.44f}},
          {{-.22f, -.25f}},
          {{-.13f, -.06f}},
          {{.06f, -.07f}},
          {{.2f, -.32f}, kCorner},
          {{.17f, .1f}},
          {{.12f, .5f}}}}},
       {{{{{.19f, -.3f}},
          {{.05f, -.5f}},
          {{-.15f, -.43f}},
          {{-.22f, -.23f}},
          {{-.12f, -.05f}},
          {{.06f, -.09f}},
          {{.19f, -.3f}, kCorner},
          {{.21f, .05f}},
          {{.15f, .34f}},
          {{-.01f, .5f}},
          {{-.2f, .43f}}}}}},
  }};
  return forms;
}

/// The uniforms of one picture, in the order in which they are asked for.
class Uniforms {
 public:
  Uniforms(std::uint64_t seed, std::uint32_t index) : stream_{seed, 0, Purpose::kData}, index_(index) {}

  /// In [0, 1).
  float next() {
    if (used_ % 4 == 0) words_ = stream_.words(index_, /*sample=*/0, used_ / 4);
    return uniform_from_word(words_[static_cast<int>(used_++ % 4)]);
  }
  /// In [low, high), uniform.
  float between(float low, float high) { return low + (high - low) * next(); }
  /// In (-1, 1), triangular: most often near 0.
  float around_zero() {
    const float a = next();
    return a + next() - 1.0f;
  }

 private:
  NoiseStream stream_;
  std::uint32_t index_;
  std::uint32_t used_ = 0;
  Words4 words_{};
};

/// A stroke as a chain of points, close enough for straight lines between them to look smooth.
using Chain = std::vector<Point>;

/// The derivative of the curve at a knot, leaving it (or reaching it) along `chord`, when the knots around it
/// are `across` apart: Catmull and Rom's half chord, or the chord itself where the curve has an end or a
/// corner.
Point tangent(bool sharp, Point chord, Point across) { return sharp ? chord : 0.5f * across; }

void append_span(Chain& chain, Point from, Point to, Point leave, Point reach) {
  constexpr int kSteps = 6;
  for (int i = 1; i <= kSteps; ++i) {
    const float t = static_cast<float>(i) / kSteps;
    const float u = 1.0f - t;
    // Hermite's cubic.
    chain.push_back((u * u * (1.0f + 2.0f * t)) * from + (u * u * t) * leave +
                    (t * t * (3.0f - 2.0f * t)) * to - (t * t * u) * reach);
  }
}

Chain flatten(const Stroke& stroke) {
  const std::vector<Knot>& knots = stroke.knots;
  const int n = static_cast<int>(knots.size());
  const auto at = [&](int i) { return knots[(i + n) % n].at; };
  const auto sharp = [&](int i) { return knots[i % n].corner || (!stroke.closed && (i == 0 || i == n - 1)); };
  Chain chain = {at(0)};
  for (int i = 0; i < (stroke.closed ? n : n - 1); ++i) {
    const Point chord = at(i + 1) - at(i);
    append_span(chain, at(i), at(i + 1), tangent(sharp(i), chord, at(i + 1) - at(i - 1)),
                tangent(sharp(i + 1), chord, at(i + 2) - at(i)));
  }
  return chain;
}

/// Every knot a little off its place, as no hand repeats itself.
Form wobble(Form form, Uniforms& random) {
  constexpr float kReach = 0.045f;
  for (Stroke& stroke : form) {
    for (Knot& knot : stroke.knots) {
      const float x = kReach * random.around_zero();
      knot.at = knot.at + Point{x, kReach * random.around_zero()};
    }
  }
  return form;
}

/// Slants and scales the chains to pixels and centres them on the picture, a little off.
void place(std::vector<Chain>& chains, Uniforms& random) {
  const float height = random.between(16.5f, 20.5f);
  const float width = height * (1.0f + 0.22f * random.around_zero());
  const float slant = 0.12f + 0.3f * random.around_zero();
  const float tilt = 0.12f * random.around_zero();
  Point low{std::numeric_limits<float>::max(), std::numeric_limits<float>::max()};
  Point high{-low.x, -low.y};
  for (Chain& chain : chains) {
    for (Point& p : chain) {
      p = {width * (p.x - slant * p.y), height * (p.y - tilt * p.x)};
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
  }
  constexpr float kCentre = (kGlyphSide - 1) / 2.0f;
  const float shift_x = 1.5f * random.around_zero();
  const float shift_y = 1.5f * random.around_zero();
  const Point shift{kCentre + shift_x - 0.5f * (low.x + high.x), kCentre + shift_y - 0.5f * (low.y + high.y)};
  for (Chain& chain : chains) {
    for (Point& p : chain) p = p + shift;
  }
}

/// Square of the distance from p to the line from a to b.
float squared_distance(Point p, Point a, Point b) {
  const Point ab = b - a;
  const Point ap = p - a;
  const float length = ab.x * ab.x + ab.y * ab.y;
  const float along = ap.x * ab.x + ap.y * ab.y;
  const float t = length > 0.0f ? std::clamp(along / length, 0.0f, 1.0f) : 0.0f;
  const Point d = ap - t * ab;
  return d.x * d.x + d.y * d.y;
}

using Distances = std::array<float, kGlyphSide * kGlyphSide>;

/// The pixels from `low` - reach to `high` + reach that lie on the picture: first and one past the last.
struct PixelRange {
  int begin, end;
};
PixelRange pixels_near(float low, float high, float reach) {
  const auto pixel = [](float v) {
    return static_cast<int>(std::clamp(v, 0.0f, static_cast<float>(kGlyphSide)));
  };
  return {pixel(low - reach), pixel(high + reach + 1.0f)};
}

void approach(Distances& nearest, Point a, Point b, float reach) {
  const PixelRange xs = pixels_near(std::min(a.x, b.x), std::max(a.x, b.x), reach);
  const PixelRange ys = pixels_near(std::min(a.y, b.y), std::max(a.y, b.y), reach);
  for (int y = ys.begin; y < ys.end; ++y) {
    for (int x = xs.begin; x < xs.end; ++x) {
      float& d = nearest[static_cast<std::size_t>(y * kGlyphSide + x)];
      d = std::min(d, squared_distance({static_cast<float>(x), static_cast<float>(y)}, a, b));
    }
  }
}

DataPart draw_part(std::uint64_t seed, std::int64_t first, std::int64_t rows) {
  DataPart part;
  part.rows = rows;
  part.cols = kGlyphSide * kGlyphSide;
  part.shape = {kGlyphSide, kGlyphSide};
  part.bytes.reserve(static_cast<std::size_t>(rows * part.cols));
  for (std::int64_t i = first; i < first + rows; ++i) {
    const auto picture = draw_glyph(seed, static_cast<std::uint32_t>(i));
    part.bytes.insert(part.bytes.end(), picture.begin(), picture.end());
  }
  return part;
}

}  // namespace

std::array<std::uint8_t, kGlyphSide * kGlyphSide> draw_glyph(std::uint64_t seed, std::uint32_t index) {
  Uniforms random(seed, index);
  const std::vector<Form>& forms = forms_of_digits()[index % 10];
  const auto chosen = static_cast<std::size_t>(random.next() * static_cast<float>(forms.size()));
  std::vector<Chain> chains;
  for (const Stroke& stroke : wobble(forms[chosen], random)) chains.push_back(flatten(stroke));
  place(chains, random);

  // Ink fades over a pixel and a half at the edge of the pen.
  constexpr float kEdge = 1.5f;
  const float reach = random.between(0.8f, 1.5f) + 0.5f * kEdge;
  Distances nearest;
  nearest.fill(reach * reach);
  for (const Chain& chain : chains) {
    for (std::size_t i = 1; i < chain.size(); ++i) approach(nearest, chain[i - 1], chain[i], reach);
  }
  std::array<std::uint8_t, kGlyphSide * kGlyphSide> picture;
  for (std::size_t i = 0; i < picture.size(); ++i) {
    const float ink = std::min((reach - std::sqrt(nearest[i])) / kEdge, 1.0f);
    picture[i] = static_cast<std::uint8_t>(255.0f * ink + 0.5f);
  }
  return picture;
}

DataSet glyph_data(std::uint64_t seed) {
  DataSet set;
  set.train = draw_part(seed, 0, kGlyphTrainRows);
  set.test = draw_part(seed, kGlyphTrainRows, kGlyphTestRows);
  return set;
}

}  // namespace felbo
