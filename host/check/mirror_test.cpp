#include "host/check/mirror.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/check/distant_exec.h"

namespace felbo::checks {
namespace {

/// Writes where an op would: through the Exec, at an offset from the first element.
void write(const DistantExec& exec, View<float, 2> at, std::int64_t offset, float value) {
  upload(exec, std::vector<float>{value}, View<float, 1>{at.data + offset, 1});
}

TEST(Mirror, StartsPoisonedInTheExecsMemoryToo) {
  const DistantExec exec;
  Mirror<DistantExec, float> floats(exec, 2, 3, {2, 1});
  Mirror<DistantExec, std::int32_t> integers(exec, 1, 2);
  Parity parity;
  floats.host()(1, 2) = 0.0f;
  floats.receive(parity, "x");
  integers.receive(parity, "n");
  EXPECT_TRUE(std::isnan(floats.host()(1, 2)));
  EXPECT_EQ(integers.host()(0, 1), -1);
  EXPECT_EQ(parity.failed(), 0);
}

TEST(Mirror, SeesAWriteOutside) {
  const DistantExec exec;
  for (const std::int64_t at : {-1, 3, 4, 8, 10}) {  // before, in the gap of a strided row, and after
    Mirror<DistantExec, float> mirror(exec, 2, 3, {2, 1});
    write(exec, mirror.matrix(), at, 0.0f);
    Parity parity;
    mirror.receive(parity, "x");
    EXPECT_EQ(parity.first_failure(), "x: wrote outside, at offset " + std::to_string(at));
  }
}

TEST(Mirror, JudgesWhatStandsInTheExecsMemory) {
  const DistantExec exec;
  Mirror<DistantExec, float> mirror = normals(exec, 2, 3, {2, 1}, 7);
  const std::vector<double> want = mirror.doubles();
  write(exec, mirror.matrix(), 6, 9.0f);
  Parity parity;
  mirror.judge(parity, "x", want, 1e-9);
  EXPECT_EQ(parity.compared(), 6);
  EXPECT_EQ(parity.failed(), 1);
  EXPECT_TRUE(parity.first_failure().starts_with("x(1, 1): got 9, want ")) << parity.first_failure();
}

TEST(Mirror, BitsOfZerosDiffer) {
  const DistantExec exec;
  auto mirror = row_of<float>(exec, {0.0f, -0.0f});
  Parity same, bits;
  mirror.judge(same, "x", {0.0, 0.0}, 0.0);
  mirror.judge_bits(bits, "x", {0.0f, 0.0f});
  EXPECT_TRUE(same.ok());
  EXPECT_EQ(bits.failed(), 1);
}

TEST(Mirror, OtherShapesAreFailures) {
  const DistantExec exec;
  auto mirror = row_of<float>(exec, {1.0f, 2.0f});
  Parity values, bits;
  mirror.judge(values, "x", {1.0}, 0.0);
  mirror.judge_bits(bits, "x", {1.0f});
  EXPECT_EQ(values.first_failure(), "x: shapes differ");
  EXPECT_EQ(bits.first_failure(), "x: shapes differ");
}

}  // namespace
}  // namespace felbo::checks
