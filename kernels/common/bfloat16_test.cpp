#include "kernels/common/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace felbo {
namespace {

float round_trip(float x) { return static_cast<float>(BFloat16(x)); }

TEST(BFloat16, KeepsWhatItCanHold) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = math::from_bits(static_cast<std::int32_t>(bits << 16));
    if (x == x) {
      EXPECT_EQ(BFloat16(x).bits, bits);
    } else {
      EXPECT_TRUE(std::isnan(round_trip(x)));
    }
  }
}

// Between 1 and 2 the values stand 2^-7 apart.
TEST(BFloat16, RoundsToNearestAndTiesToEven) {
  const float step = 0.0078125f;
  for (int k = 0; k < 128; ++k) {
    const float low = 1.0f + static_cast<float>(k) * step, high = low + step, middle = low + 0.5f * step;
    EXPECT_EQ(round_trip(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(round_trip(std::nextafter(middle, 4.0f)), high);
    EXPECT_EQ(round_trip(middle), k % 2 == 0 ? low : high);
    EXPECT_EQ(round_trip(-middle), k % 2 == 0 ? -low : -high);
  }
}

TEST(BFloat16, Extremes) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(round_trip(infinity), infinity);
  EXPECT_EQ(round_trip(std::numeric_limits<float>::max()), infinity);
  EXPECT_TRUE(std::signbit(round_trip(-0.0f)));
  EXPECT_TRUE(std::isnan(round_trip(math::from_bits(0x7f800001))));  // a NaN whose upper half is infinity's
  EXPECT_TRUE(std::isnan(round_trip(math::from_bits(0x7fffffff))));
}

}  // namespace
}  // namespace felbo
