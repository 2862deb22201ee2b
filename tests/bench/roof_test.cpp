#include "benchmarks/roof.h"

#include <gtest/gtest.h>

namespace felbo::bench {
namespace {

constexpr double kBytes = 2e9, kOperations = 3e9, kWords = 5e9;  // a second
const Peaks kPeaks{kBytes, kOperations, kWords, ""};

TEST(Roof, IsWhatTakesLongest) {
  // Seconds by each: the bytes', the operations' and the words'.
  const auto work = [](double memory, double arithmetic, double noise) {
    return Work{.bytes = memory * kBytes, .operations = arithmetic * kOperations, .words = noise * kWords};
  };
  EXPECT_EQ(roof_of(work(3, 2, 1), kPeaks), Roof::kMemory);
  EXPECT_EQ(roof_of(work(2, 3, 1), kPeaks), Roof::kArithmetic);
  EXPECT_EQ(roof_of(work(1, 2, 3), kPeaks), Roof::kNoise);
  EXPECT_EQ(roof_of(work(2, 1, 3), kPeaks), Roof::kNoise);
  EXPECT_EQ(roof_of(work(1, 0, 0), kPeaks), Roof::kMemory);
  EXPECT_EQ(roof_of(work(0, 0, 0), kPeaks), Roof::kMemory);
  for (const Work& each : {work(7, 2, 1), work(2, 7, 1), work(1, 2, 7)})
    EXPECT_DOUBLE_EQ(least_seconds(each, kPeaks), 7.0);
}

TEST(Roof, HasANameAndAnAmount) {
  const Work work{.bytes = 1, .operations = 2, .words = 3};
  EXPECT_EQ(amount_under(Roof::kMemory, work), 1);
  EXPECT_EQ(amount_under(Roof::kArithmetic, work), 2);
  EXPECT_EQ(amount_under(Roof::kNoise, work), 3);
  EXPECT_EQ(name_of(Roof::kMemory), "memory");
  EXPECT_EQ(name_of(Roof::kArithmetic), "arithmetic");
  EXPECT_EQ(name_of(Roof::kNoise), "noise");
}

}  // namespace
}  // namespace felbo::bench
