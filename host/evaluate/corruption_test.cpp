#include "host/evaluate/corruption.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using Kind = Corruption::Kind;
constexpr std::int64_t R = 200, X = 500;
constexpr double kCells = double(R * X);

std::vector<float> greys() {
  std::vector<float> x(R * X);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.25f + float(i % 7) / 14;
  return x;
}
std::vector<float> corrupted(const Corruption& corruption, const std::vector<float>& x, bool unit_interval,
                             std::uint64_t seed = 3) {
  return corrupt(corruption, {x.data(), R, X}, unit_interval, seed);
}

// Bounds are 5 standard errors.
TEST(Corrupt, GaussianHasItsDeviationAndIsIndependent) {
  const std::vector<float> x = greys(), noisy = corrupted({Kind::kGaussian, 0.3}, x, false);
  double mean = 0, square = 0, fourth = 0, next = 0, below = 0, before = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = (double{noisy[i]} - double{x[i]}) / 0.3;
    mean += e / kCells, square += e * e / kCells, fourth += std::pow(e, 4) / kCells;
    next += e * before;
    if (i >= X) below += e * (double{noisy[i - X]} - double{x[i - X]}) / 0.3;
    before = e;
  }
  EXPECT_NEAR(mean, 0, 5 / std::sqrt(kCells));
  EXPECT_NEAR(square, 1, 5 * std::sqrt(2 / kCells));
  EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96 / kCells));
  EXPECT_NEAR(next, 0, 5 * std::sqrt(kCells));
  EXPECT_NEAR(below, 0, 5 * std::sqrt(kCells));
}

TEST(Corrupt, GaussianOfTheUnitIntervalStaysInIt) {
  const std::vector<float> x = greys(), noisy = corrupted({Kind::kGaussian, 2.0}, x, true);
  EXPECT_EQ(std::ranges::min(noisy), 0.0f);
  EXPECT_EQ(std::ranges::max(noisy), 1.0f);
}

TEST(Corrupt, MaskAndSaltPepperReplaceTheirShare) {
  const std::vector<float> x = greys();
  for (const double p : {0.1, 0.6}) {
    for (const Kind kind : {Kind::kMask, Kind::kSaltPepper}) {
      const std::vector<float> noisy = corrupted({kind, p}, x, true);
      double zeros = 0, ones = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        zeros += noisy[i] == 0, ones += noisy[i] == 1;
        ASSERT_TRUE(noisy[i] == 0 || noisy[i] == 1 || noisy[i] == x[i]);
      }
      const double error = 5 * std::sqrt(p * (1 - p) / kCells);
      EXPECT_NEAR((zeros + ones) / kCells, p, error);
      EXPECT_NEAR(ones / kCells, kind == Kind::kMask ? 0 : p / 2, error);
    }
  }
  const std::vector<float> all = corrupted({Kind::kMask, 1.0}, x, true);
  EXPECT_EQ(std::ranges::max(all), 0.0f);
}

TEST(Corrupt, IsAFunctionOfSeedRowAndColumn) {
  const std::vector<float> x = greys(), all = corrupted({Kind::kGaussian, 0.3}, x, false);
  const std::vector<float> few = corrupt({Kind::kGaussian, 0.3}, {x.data(), 3, X - 1, X}, false, 3);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(std::equal(few.begin() + i * (X - 1), few.begin() + (i + 1) * (X - 1), all.begin() + i * X));
  }
  EXPECT_NE(all, corrupted({Kind::kGaussian, 0.3}, x, false, 4));
}

TEST(Corrupt, NamesAreReadInFull) {
  EXPECT_EQ(corruption_from_name("gaussian:0.25").kind, Kind::kGaussian);
  EXPECT_EQ(corruption_from_name("gaussian:0.25").amount, 0.25);
  EXPECT_EQ(corruption_from_name("salt-pepper:1").kind, Kind::kSaltPepper);
  EXPECT_EQ(corruption_from_name("mask:5e-1").amount, 0.5);
  for (const char* bad :
       {"", "gaussian", "gaussian:", "gaussian:x", "gaussian:1x", "gaussian:0", "gaussian:-1", "gaussian:nan",
        "gaussian:inf", "mask:1.5", "salt-pepper:-0.1", "snow:0.1", ":1"}) {
    EXPECT_THROW(corruption_from_name(bad), std::invalid_argument) << bad;
  }
}

TEST(Psnr, IsDecibelsOfThePeakAgainstTheError) {
  EXPECT_NEAR(psnr(0.01, 1), 20, 1e-12);
  EXPECT_NEAR(psnr(0.01, 10), 40, 1e-12);
  EXPECT_EQ(psnr(0, 1), INFINITY);
  const std::vector<float> a{0, 1, 2, 3}, b{0, 0, 4, 3};
  EXPECT_EQ(mean_squared_errors({a.data(), 2, 2}, {b.data(), 2, 2}), (std::vector<double>{0.5, 2}));
  EXPECT_THROW(mean_squared_errors({a.data(), 2, 2}, {b.data(), 1, 2}), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
