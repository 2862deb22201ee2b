#include "host/train/beta_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>

namespace felbo {
namespace {

TEST(BetaSchedule, ConstantIsBeta) {
  const BetaSchedule schedule = BetaSchedule::parse("constant", 0.3);
  for (const std::int64_t step : {0, 1, 1000}) EXPECT_EQ(schedule.beta(step, 10), 0.3);
  EXPECT_FALSE(schedule.is_one());
  EXPECT_TRUE(BetaSchedule::parse("constant", 1.0).is_one());
}

TEST(BetaSchedule, LinearRisesOnce) {
  const BetaSchedule schedule = BetaSchedule::parse("linear:2", 4.0);
  EXPECT_EQ(schedule.beta(0, 10), 0.0);
  EXPECT_DOUBLE_EQ(schedule.beta(5, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule.beta(15, 10), 3.0);
  for (const std::int64_t step : {20, 21, 1000}) EXPECT_EQ(schedule.beta(step, 10), 4.0);
  EXPECT_FALSE(BetaSchedule::parse("linear:2", 1.0).is_one());
  EXPECT_DOUBLE_EQ(BetaSchedule::parse("linear:0.5", 1.0).beta(1, 10), 0.2);
}

TEST(BetaSchedule, CyclicStartsAgain) {
  const BetaSchedule schedule = BetaSchedule::parse("cyclic:4@0.25", 2.0);
  for (const std::int64_t cycle : {0, 1, 7}) {
    const std::int64_t first = cycle * 40;
    EXPECT_EQ(schedule.beta(first, 10), 0.0);
    EXPECT_DOUBLE_EQ(schedule.beta(first + 5, 10), 1.0);
    EXPECT_EQ(schedule.beta(first + 10, 10), 2.0);
    EXPECT_EQ(schedule.beta(first + 39, 10), 2.0);
  }
  EXPECT_DOUBLE_EQ(BetaSchedule::parse("cyclic:4", 1.0).beta(10, 10), 0.5);  // over half of the cycle
}

TEST(BetaSchedule, RefusesWhatIsNoSchedule) {
  for (const char* text : {"", "sometimes", "linear", "linear:", "linear:0", "linear:-1", "linear:nan",
                           "linear:inf", "linear:2e6", "linear:2 ", "cyclic:3@", "cyclic:3@0", "cyclic:3@1.5",
                           "cyclic:@0.5", "cyclic:3@x", "Constant"}) {
    try {
      BetaSchedule::parse(text, 1.0);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("--beta-schedule"), std::string::npos) << error.what();
    }
  }
  for (const double beta : {-1.0, 2e6, std::nan("")})
    EXPECT_THROW(BetaSchedule::parse("constant", beta), std::invalid_argument);
  EXPECT_THROW(BetaSchedule::parse("constant", 1.0).beta(-1, 10), std::invalid_argument);
  EXPECT_THROW(BetaSchedule::parse("constant", 1.0).beta(0, 0), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
