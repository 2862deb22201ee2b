#include "host/exec/precision.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace felbo {
namespace {

TEST(Precision, NamesAreReadBack) {
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    EXPECT_EQ(precision_from_name(name_of(precision)), precision);
  EXPECT_EQ(name_of(Precision::kTf32), "tf32");
  EXPECT_EQ(name_of(Precision::kBf16), "bf16");
}

TEST(Precision, RefusesOtherNames) {
  try {
    precision_from_name("fp16");
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "--precision must be fp32, tf32 or bf16, got 'fp16'");
  }
}

}  // namespace
}  // namespace felbo
