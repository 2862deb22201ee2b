#include "host/evaluate/latent_path.h"

#include <gtest/gtest.h>

#include <cmath>

namespace felbo {
namespace {

using Code = std::vector<float>;

double length(const float* z, std::size_t dimensions) {
  double sum = 0;
  for (std::size_t d = 0; d < dimensions; ++d) sum += double{z[d]} * double{z[d]};
  return std::sqrt(sum);
}

TEST(Path, LinearIsTheStraightLine) {
  const Code z = path(PathKind::kLinear, Code{0, 2, -1}, Code{4, 2, 1}, 5);
  EXPECT_EQ(z, (Code{0, 2, -1, 1, 2, -0.5f, 2, 2, 0, 3, 2, 0.5f, 4, 2, 1}));
}

TEST(Path, SphericalTurnsByEqualAnglesAndKeepsTheLength) {
  // A quarter of a circle of radius 2, in thirds.
  const Code z = path(PathKind::kSpherical, Code{2, 0, 0}, Code{0, 0, 2}, 4);
  const double third = std::acos(-1.0) / 6;
  ASSERT_EQ(z.size(), 12u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(z[3 * i], 2 * std::cos(third * double(i)), 1e-6);
    EXPECT_EQ(z[3 * i + 1], 0);
    EXPECT_NEAR(z[3 * i + 2], 2 * std::sin(third * double(i)), 1e-6);
  }
}

TEST(Path, SphericalTakesTheLengthFromOneToTheOther) {
  const Code a{1, 2, -0.5f, 0.3f}, b{-2, 3, 1, 4};
  const Code z = path(PathKind::kSpherical, a, b, 9);
  for (std::size_t i = 0; i < 9; ++i) {
    const double t = double(i) / 8;
    EXPECT_NEAR(length(&z[4 * i], 4), (1 - t) * length(a.data(), 4) + t * length(b.data(), 4), 1e-5);
  }
}

TEST(Path, EndsAreTheCodesThemselves) {
  const Code a{0.1f, 0.7f}, b{-3.3f, 1e-3f};
  for (const PathKind kind : {PathKind::kLinear, PathKind::kSpherical}) {
    const Code z = path(kind, a, b, 7);
    EXPECT_EQ(Code(z.begin(), z.begin() + 2), a);
    EXPECT_EQ(Code(z.end() - 2, z.end()), b);
  }
}

TEST(Path, SphericalIsLinearWhereThereIsNoGreatCircle) {
  const Code a{1, -2, 3}, none{0, 0, 0}, opposite{-2, 4, -6}, same{2, -4, 6};
  for (const Code& b : {none, opposite, same, a}) {
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      EXPECT_EQ(path(PathKind::kSpherical, from, to, 6), path(PathKind::kLinear, from, to, 6));
    }
  }
}

TEST(Traversal, ChangesOneDimensionAlone) {
  EXPECT_EQ(traversal(Code{5, 6, 7}, 1, 3.0, 3), (Code{5, -3, 7, 5, 0, 7, 5, 3, 7}));
}

TEST(Path, RefusesWhatIsNoPath) {
  EXPECT_THROW(path(PathKind::kLinear, Code{1}, Code{2}, 1), std::invalid_argument);
  EXPECT_THROW(path(PathKind::kLinear, Code{1}, Code{2, 3}, 4), std::invalid_argument);
  EXPECT_THROW(path_from_name("curved"), std::invalid_argument);
  EXPECT_EQ(path_from_name("spherical"), PathKind::kSpherical);
  EXPECT_THROW(traversal(Code{1}, 1, 3, 4), std::invalid_argument);
  EXPECT_THROW(traversal(Code{1}, 0, 0, 4), std::invalid_argument);
  EXPECT_THROW(traversal(Code{1}, 0, 3, 1), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
