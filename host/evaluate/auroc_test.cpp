#include "host/evaluate/auroc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using Scores = std::vector<double>;
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Normals, rounded to a grid so that there are ties.
Scores scores(std::int64_t count, double mean, double grid, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  test::fill_normal({values.data(), 1, count}, seed);
  Scores out;
  for (const float v : values) out.push_back(std::round((double{v} + mean) / grid) * grid);
  return out;
}

TEST(Auroc, IsTheShareOfPairsInOrder) {
  for (const double grid : {1e-9, 0.5, 2.0}) {
    const Scores a = scores(57, 0.7, grid, 1), b = scores(83, 0, grid, 2);
    double pairs = 0;
    for (const double x : a)
      for (const double y : b) pairs += x > y ? 1 : (x == y ? 0.5 : 0);
    EXPECT_NEAR(auroc(a, b).area, pairs / (57 * 83), 1e-13);
    EXPECT_NEAR(auroc(b, a).area, 1 - pairs / (57 * 83), 1e-13);
    EXPECT_NEAR(auroc(a, b).standard_error, auroc(b, a).standard_error, 1e-13);
  }
}

TEST(Auroc, OfEqualSetsIsAHalfAndOfApartOnesOne) {
  const Scores a{1, 2, 2, 3};
  EXPECT_EQ(auroc(a, a).area, 0.5);
  EXPECT_EQ(auroc(Scores{5, 6}, a).area, 1);
  EXPECT_EQ(auroc(Scores{0, -kInf}, a).area, 0);
  EXPECT_EQ(auroc(Scores{-kInf, kInf}, Scores{-kInf, -kInf}).area, 0.75);
  EXPECT_EQ(auroc(Scores{5, 6}, a).standard_error, 0);
  EXPECT_TRUE(std::isnan(auroc(Scores{5}, a).standard_error));
}

/// Normals a distance apart: Phi(d / sqrt 2). The spread of the estimates over repetitions is what each says
/// of itself: of 300, its own relative error is 4 %, and 20 % are five of them.
TEST(Auroc, StandardErrorIsThatOfRepetitions) {
  const double exact = 0.5 * std::erfc(-0.8 / 2);
  double mean = 0, square = 0, claimed = 0;
  constexpr int kTimes = 300;
  for (int i = 0; i < kTimes; ++i) {
    const Auroc got =
        auroc(scores(60, 0.8, 1e-9, std::uint64_t(2 * i)), scores(40, 0, 1e-9, std::uint64_t(2 * i + 1)));
    mean += got.area / kTimes;
    square += std::pow(got.area - exact, 2) / kTimes;
    claimed += got.standard_error / kTimes;
  }
  EXPECT_NEAR(mean, exact, 5 * std::sqrt(square / kTimes));
  EXPECT_NEAR(claimed / std::sqrt(square), 1, 0.2);
}

TEST(Auroc, RefusesNoScoresAndNan) {
  const auto message = [](const Scores& a, const Scores& b) -> std::string {
    try {
      auroc(a, b);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message({}, {1}), "the first set has no scores");
  EXPECT_EQ(message({1}, {}), "the second set has no scores");
  EXPECT_EQ(message({1}, {1, std::nan("")}), "the score of datum 1 of the second set is not a number");
}

}  // namespace
}  // namespace felbo
