#include "host/report/ticks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

namespace felbo::report {
namespace {

using Numbers = std::vector<double>;
using Words = std::vector<std::string>;

void expect_near(const Numbers& got, const Numbers& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], 1e-12 * std::max(1.0, std::abs(want[i])));
}

TEST(LinearTicks, RoundNumbersInsideTheRange) {
  expect_near(linear_ticks({0.0, 1.0}, 6), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0});
  expect_near(linear_ticks({-218.0, -99.5}, 6), {-200.0, -180.0, -160.0, -140.0, -120.0, -100.0});
  expect_near(linear_ticks({0.00013, 0.00102}, 6), {0.0002, 0.0004, 0.0006, 0.0008, 0.001});
  expect_near(linear_ticks({-1.0, 1.0}, 3), {-1.0, 0.0, 1.0});
}

TEST(LinearTicks, AnyRange) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> exponent(-12.0, 12.0), unit(-1.0, 1.0);
  for (int i = 0; i < 2000; ++i) {
    const double scale = std::pow(10.0, exponent(generator)), lo = scale * unit(generator);
    const Range range{lo, lo + scale * (0.001 + std::abs(unit(generator)))};
    for (const int most : {2, 5, 8}) {
      const Numbers ticks = linear_ticks(range, most);
      EXPECT_LE(ticks.size(), static_cast<std::size_t>(most));
      const double slack = 1e-6 * (range.hi - range.lo);
      for (const double tick : ticks) {
        EXPECT_GE(tick, range.lo - slack);
        EXPECT_LE(tick, range.hi + slack);
      }
    }
    // Some of them, not an empty axis.
    EXPECT_GE(linear_ticks(range, 6).size(), 2u) << range.lo << " " << range.hi;
  }
}

TEST(LinearTicks, RefusesWhatIsNoRange) {
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_THROW(linear_ticks({1.0, 1.0}, 6), std::invalid_argument);
  EXPECT_THROW(linear_ticks({0.0, std::nan("")}, 6), std::invalid_argument);
  EXPECT_THROW(linear_ticks({0.0, infinite}, 6), std::invalid_argument);
  EXPECT_THROW(linear_ticks({0.0, 1.0}, 1), std::invalid_argument);
}

TEST(WholeTicks, AreWhole) {
  expect_near(whole_ticks({1.0, 5.0}, 8), {1.0, 2.0, 3.0, 4.0, 5.0});
  expect_near(whole_ticks({1.0, 3.0}, 8), {1.0, 2.0, 3.0});
  expect_near(whole_ticks({1.0, 3280.0}, 8), {500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0});
}

TEST(LogTicks, PowersOrTheirParts) {
  expect_near(log_ticks({0.5, 2000.0}, 6), {1.0, 10.0, 100.0, 1000.0});
  expect_near(log_ticks({0.9, 11.0}, 6), {1.0, 2.0, 5.0, 10.0});
  expect_near(log_ticks({3.0, 30.0}, 6), {5.0, 10.0, 20.0});
  EXPECT_LE(log_ticks({1e-12, 1e12}, 6).size(), 6u);
  EXPECT_THROW(log_ticks({0.0, 10.0}, 6), std::invalid_argument);
}

TEST(Labels, HaveThePlacesOfTheirDistance) {
  const std::string minus = "\xE2\x88\x92";
  EXPECT_EQ(tick_labels({0.0, 0.2, 0.4}), (Words{"0.0", "0.2", "0.4"}));
  EXPECT_EQ(tick_labels({-200.0, -180.0}), (Words{minus + "200", minus + "180"}));
  EXPECT_EQ(tick_labels({-0.05, 0.0, 0.05}), (Words{minus + "0.05", "0.00", "0.05"}));
  EXPECT_EQ(tick_labels({1e-7, 2e-7}), (Words{"1e" + minus + "7", "2e" + minus + "7"}));
  EXPECT_EQ(tick_labels({0.0, 5e6}), (Words{"0", "5e6"}));
  EXPECT_EQ(log_tick_labels({0.1, 1.0, 1000.0}), (Words{"0.1", "1", "1e3"}));
}

TEST(Extent, PassesOverWhatIsNotFinite) {
  Extent extent;
  for (const double v : {std::nan(""), 3.0, std::numeric_limits<double>::infinity(), -1.0}) extent.add(v);
  EXPECT_EQ(extent.lo, -1.0);
  EXPECT_EQ(extent.hi, 3.0);
  const Range padded = extent.padded(0.25);
  EXPECT_EQ(padded.lo, -2.0);
  EXPECT_EQ(padded.hi, 4.0);
}

TEST(Extent, AConstantGetsRoom) {
  for (const double v : {0.0, 1.0, -250.0, 1e-9, 1e9}) {
    Extent extent;
    extent.add(v);
    const Range range = extent.padded(0.05);
    EXPECT_LT(range.lo, v);
    EXPECT_GT(range.hi, v);
    EXPECT_FALSE(linear_ticks(range, 6).empty());
  }
  EXPECT_FALSE(linear_ticks(Extent().padded(0.05), 6).empty());
}

}  // namespace
}  // namespace felbo::report
