#include "host/train/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace felbo {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// The message of the std::invalid_argument that parse() throws; empty, and a failure, if it throws none.
std::string parse_error(const std::string& text, double base_lr = 1e-3, std::optional<int> epochs = {},
                        double warmup_epochs = 0) {
  try {
    LrSchedule::parse(text, base_lr, epochs, warmup_epochs);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "'" << text << "' was accepted";
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(LrScheduleTest, ConstantKeepsTheBaseRateAndRuns20EpochsUnlessAsked) {
  const LrSchedule schedule = LrSchedule::parse("constant", 2e-3, std::nullopt, 0);
  EXPECT_EQ(schedule.epochs(), 20);
  EXPECT_TRUE(schedule.uses_base_rate());
  for (const std::int64_t step : {0, 1, 467, 468, 9379, 1'000'000}) EXPECT_EQ(schedule.rate(step, 469), 2e-3);
  EXPECT_EQ(LrSchedule::parse("constant", 2e-3, 7, 0).epochs(), 7);
}

TEST(LrScheduleTest, CosineFallsFromTheBaseRateToZero) {
  const LrSchedule schedule = LrSchedule::parse("cosine", 4e-3, 6, 0);
  EXPECT_EQ(schedule.epochs(), 6);
  EXPECT_EQ(schedule.rate(0, 10), 4e-3);
  // Rounding of pi and of cos: some eps of the base rate.
  const double tolerance = 8 * std::numeric_limits<double>::epsilon() * 4e-3;
  EXPECT_NEAR(schedule.rate(20, 10), 3e-3, tolerance);  // a third: (1 + 1/2) / 2
  EXPECT_NEAR(schedule.rate(30, 10), 2e-3, tolerance);  // half
  EXPECT_NEAR(schedule.rate(40, 10), 1e-3, tolerance);
  EXPECT_GT(schedule.rate(59, 10), 0);
  EXPECT_LT(schedule.rate(59, 10), 4e-6);
  EXPECT_EQ(schedule.rate(60, 10), 0);
  EXPECT_EQ(schedule.rate(61, 10), 0);
}

TEST(LrScheduleTest, PaperStagesHave3280EpochsAndChangeExactlyAtTheirEnds) {
  const LrSchedule schedule = LrSchedule::parse("stages:8", 1e-3, std::nullopt, 0);
  EXPECT_EQ(schedule.epochs(), 3280);
  EXPECT_TRUE(schedule.uses_base_rate());
  // The stages' lengths and rates, from the paper: 1e-3 * 10^(-i/7) to 7 digits.
  const int epochs[] = {1, 3, 9, 27, 81, 243, 729, 2187};
  const double rates[] = {1e-3,        7.196857e-4, 5.179475e-4, 3.727594e-4,
                          2.682696e-4, 1.930698e-4, 1.389495e-4, 1e-4};
  const std::int64_t steps_per_epoch = 3000;
  std::int64_t first = 0;
  for (int i = 0; i < 8; ++i) {
    const std::int64_t last = first + epochs[i] * steps_per_epoch - 1;
    EXPECT_NEAR(schedule.rate(first, steps_per_epoch), rates[i], 1e-6 * rates[i]) << "stage " << i;
    EXPECT_NEAR(schedule.rate(last, steps_per_epoch), rates[i], 1e-6 * rates[i]) << "stage " << i;
    first = last + 1;
  }
  EXPECT_EQ(first, 3280 * steps_per_epoch);
  EXPECT_NEAR(schedule.rate(first, steps_per_epoch), 1e-4, 1e-10);  // past the end: as at the end
}

TEST(LrScheduleTest, FewerPaperStagesAreThePapersFirst) {
  const int sums[] = {1, 4, 13, 40, 121, 364, 1093, 3280};
  const LrSchedule whole = LrSchedule::parse("stages:8", 5e-4, std::nullopt, 0);
  for (int n = 1; n <= 8; ++n) {
    const LrSchedule part = LrSchedule::parse("stages:" + std::to_string(n), 5e-4, sums[n - 1], 0);
    EXPECT_EQ(part.epochs(), sums[n - 1]);
    EXPECT_EQ(part.rate(sums[n - 1] - 1, 1), whole.rate(sums[n - 1] - 1, 1));
  }
}

TEST(LrScheduleTest, ExplicitStagesUseTheirOwnRates) {
  const LrSchedule schedule = LrSchedule::parse("stages:10@1e-3,5@0.0001,1@3", 7.0, std::nullopt, 0);
  EXPECT_EQ(schedule.epochs(), 16);
  EXPECT_FALSE(schedule.uses_base_rate());
  EXPECT_EQ(schedule.rate(0, 4), 1e-3);
  EXPECT_EQ(schedule.rate(39, 4), 1e-3);
  EXPECT_EQ(schedule.rate(40, 4), 1e-4);
  EXPECT_EQ(schedule.rate(59, 4), 1e-4);
  EXPECT_EQ(schedule.rate(60, 4), 3.0);
  EXPECT_EQ(LrSchedule::parse("stages:10@1e-3", 1, 10, 0).epochs(), 10);
}

TEST(LrScheduleTest, WarmUpRisesLinearlyThenEnds) {
  const LrSchedule schedule = LrSchedule::parse("constant", 1.0, 4, 0.5);
  for (int step = 0; step < 5; ++step) EXPECT_EQ(schedule.rate(step, 10), (step + 1) / 5.0);
  EXPECT_EQ(schedule.rate(5, 10), 1.0);
  EXPECT_EQ(schedule.rate(39, 10), 1.0);
}

TEST(LrScheduleTest, WarmUpIsRoundedToWholeSteps) {
  const LrSchedule schedule = LrSchedule::parse("constant", 1.0, 4, 0.07);
  ASSERT_GT(0.07 * 100, 7.0);  // by rounding: not a reason for an eighth step
  EXPECT_EQ(schedule.rate(0, 100), 1.0 / 7);
  EXPECT_EQ(schedule.rate(6, 100), 1.0);
}

TEST(LrScheduleTest, WarmUpOfPartOfAStepChangesNothing) {
  const LrSchedule schedule = LrSchedule::parse("constant", 1.0, 4, 0.01);
  for (const std::int64_t step : {0, 1, 2}) EXPECT_EQ(schedule.rate(step, 10), 1.0);
}

TEST(LrScheduleTest, WarmUpMultipliesTheOtherSchedules) {
  const LrSchedule plain = LrSchedule::parse("cosine", 1.0, 4, 0);
  const LrSchedule warmed = LrSchedule::parse("cosine", 1.0, 4, 2);
  for (std::int64_t step = 0; step < 40; ++step) {
    const double factor = step < 20 ? static_cast<double>(step + 1) / 20 : 1.0;
    EXPECT_DOUBLE_EQ(warmed.rate(step, 10), plain.rate(step, 10) * factor) << step;
  }
  EXPECT_EQ(LrSchedule::parse("stages:2@1,2@0.5", 1, {}, 3).rate(0, 10), 1.0 / 30);
}

TEST(LrScheduleTest, UnknownTextIsRefusedWithTheAcceptedForms) {
  for (const char* text : {"", "Constant", "constant ", "linear", "cosine:3", "stages", "stages 3"}) {
    const std::string message = parse_error(text);
    EXPECT_TRUE(contains(message, "is unknown")) << message;
    EXPECT_TRUE(contains(message, "constant, cosine, stages:N")) << message;
  }
  for (const char* text :
       {"stages:", "stages:x", "stages:3@", "stages:@1", "stages:3@1e-3,", "stages:3@1e-3,4",
        "stages:3@1e-3;4@1", "stages: 3", "stages:1.5", "stages:3@1e-3x", "stages:3.5@1",
        "stages:99999999999", "stages:3@1e999", "stages:+3@1"}) {
    const std::string message = parse_error(text);
    EXPECT_TRUE(contains(message, "is not EPOCHS@RATE")) << message;
    EXPECT_TRUE(contains(message, "stages:EPOCHS@RATE,EPOCHS@RATE")) << message;
  }
}

TEST(LrScheduleTest, ImpossibleNumbersAreRefused) {
  for (const char* text : {"stages:0", "stages:9", "stages:-1"}) {
    EXPECT_TRUE(contains(parse_error(text), "the IWAE paper has 8 stages")) << text;
  }
  EXPECT_TRUE(contains(parse_error("stages:0@1e-3"), "'0@1e-3': a stage has 1 to 1000000 epochs"));
  EXPECT_TRUE(contains(parse_error("stages:2@1,-1@1e-3"), "'-1@1e-3': a stage has 1 to"));
  EXPECT_TRUE(contains(parse_error("stages:1000001@1"), "a stage has 1 to"));
  for (const char* rate : {"0", "-1", "nan", "inf"}) {
    EXPECT_TRUE(contains(parse_error(std::string("stages:3@") + rate), "a rate is positive and finite"))
        << rate;
  }
  EXPECT_TRUE(contains(parse_error("stages:600000@1,600000@1"), "sum to 1200000 epochs"));
  for (const double lr : {0.0, -1e-3, kNan, kInf}) {
    EXPECT_TRUE(contains(parse_error("constant", lr), "the learning rate must be positive and finite")) << lr;
  }
  for (const int epochs : {0, -3, 1'000'001}) {
    EXPECT_TRUE(contains(parse_error("constant", 1e-3, epochs), "expected 1 to 1000000")) << epochs;
  }
  for (const double warmup : {-0.5, kNan, kInf, 21.0}) {
    EXPECT_TRUE(contains(parse_error("constant", 1e-3, 20, warmup), "not possible in a run of 20")) << warmup;
  }
}

TEST(LrScheduleTest, EpochsThatContradictTheStagesAreRefused) {
  EXPECT_TRUE(contains(parse_error("stages:8", 1e-3, 20),
                       "stages:8 runs 3280 epochs, but --epochs 20 was given; "
                       "leave --epochs out or give --epochs 3280"));
  EXPECT_TRUE(contains(parse_error("stages:4@1,5@2", 1e-3, 8), "runs 9 epochs, but --epochs 8"));
}

TEST(LrScheduleTest, StepsOutsideTheRunsDomainAreRefused) {
  const LrSchedule schedule = LrSchedule::parse("constant", 1e-3, 2, 0);
  EXPECT_THROW(schedule.rate(-1, 10), std::invalid_argument);
  EXPECT_THROW(schedule.rate(0, 0), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
