#include "host/exec/energy.h"

#include <gtest/gtest.h>

namespace felbo {
namespace {

// tests/harness/fake_nvml.cpp: one device, of this name, that takes a millijoule at each question.
constexpr const char* kDevice = "0000:3B:00.0";

TEST(EnergyCounter, CountsInJoules) {
  const EnergyCounter counter(kDevice, FELBO_FAKE_NVML);
  const auto first = counter.joules(), second = counter.joules();
  ASSERT_TRUE(first && second);
  EXPECT_DOUBLE_EQ(*first, 12345.679);
  EXPECT_NEAR(*second - *first, 0.001, 1e-9);
}

TEST(EnergyCounter, CopiesShareTheLibrary) {
  EnergyCounter copy;
  {
    const EnergyCounter counter(kDevice, FELBO_FAKE_NVML);
    copy = counter;
  }
  EXPECT_TRUE(copy.joules());
}

TEST(EnergyCounter, IsNothingWithoutDeviceOrLibrary) {
  EXPECT_FALSE(EnergyCounter().joules());
  EXPECT_FALSE(EnergyCounter("0000:3C:00.0", FELBO_FAKE_NVML).joules());
  EXPECT_FALSE(EnergyCounter(kDevice, "libnvidia-ml-of-another-world.so").joules());
  EXPECT_FALSE(EnergyCounter(kDevice, "libm.so.6").joules());  // a library, but not that one
}

}  // namespace
}  // namespace felbo
