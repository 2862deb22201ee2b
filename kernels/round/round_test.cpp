#include "kernels/round/round.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "kernels/round/round_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::Parity;

// Normals, and among them ties (both neighbours), numbers beyond the largest bfloat16, and subnormal ones.
void fill(View<float, 1> from) {
  test::fill_normal({from.data, 1, from.size}, 5);
  const float ends[] = {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, -3.39e38f, 1e-40f, -0.0f, 9.2e-41f};
  for (std::int64_t i = 3; i < from.size; i += 7) from(i) = ends[i / 7 % 8];
}

// Tolerance 0: rounding is exact by definition.
TEST(Round, MatchesTheReference) {
  for (const std::int64_t n :
       {1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 16385, 50001}) {
    for (const std::int64_t offset : {0, 1, 4}) {
      for (const int threads : {1, 3}) {
        SCOPED_TRACE("P " + std::to_string(n) + ", offset " + std::to_string(offset));
        Guarded<float> from(1, n, 0, offset);
        Guarded<BFloat16> to(1, n, 0, (offset + 3) % 8);
        fill(from.vector());
        round_to_bfloat16(test::exec(threads), {from.vector(), to.vector()});
        Parity parity;
        for (std::int64_t i = 0; i < n; ++i) {
          const double got = static_cast<double>(static_cast<float>(to.vector()(i)));
          const double want = reference::to_bfloat16<double>(from.vector()(i));
          if (std::isinf(want)) {
            EXPECT_EQ(got, want);
          } else {
            parity.element("rounded", 0, i, got, want, 0.0);
          }
        }
        to.check_guards(parity, "rounded");
        from.check_guards(parity, "floats");
        FELBO_EXPECT_PARITY(parity);
      }
    }
  }
}

TEST(Round, AlignedMemoryGivesTheSameAsAny) {
  constexpr std::int64_t kSize = 264;
  test::Array<float> from(kSize + 8);
  test::Array<BFloat16> to(kSize);
  float* aligned = from.data() + (16 - reinterpret_cast<std::uintptr_t>(from.data()) % 16) % 16 / 4;
  fill({aligned, kSize});
  round_to_bfloat16(test::exec(1), {{aligned, kSize}, {to.data(), kSize}});
  for (std::int64_t i = 0; i < kSize; ++i) EXPECT_EQ(to[i].bits, BFloat16(aligned[i]).bits) << i;
}

TEST(Round, NanAndInfinityStay) {
  const float infinity = std::numeric_limits<float>::infinity();
  const test::Array<float> from{std::nanf(""), infinity, -infinity};
  test::Array<BFloat16> to(3);
  round_to_bfloat16(test::exec(1), {{from.data(), 3}, {to.data(), 3}});
  EXPECT_TRUE(std::isnan(static_cast<float>(to[0])));
  EXPECT_EQ(static_cast<float>(to[1]), infinity);
  EXPECT_EQ(static_cast<float>(to[2]), -infinity);
}

TEST(Round, NothingIsFine) { round_to_bfloat16(test::exec(2), {}); }

// By hand: 8 bits between 1 and 2 stand 2^-7 apart.
TEST(RoundReference, KnownValues) {
  const double unit = 0x1p-7;
  EXPECT_EQ(reference::to_bfloat16(1 + 0.5 * unit), 1.0);
  EXPECT_EQ(reference::to_bfloat16(1 + 1.5 * unit), 1 + 2 * unit);
  EXPECT_EQ(reference::to_bfloat16(1 + 0.51 * unit), 1 + unit);
  EXPECT_EQ(reference::to_bfloat16(-(1 + 0.49 * unit)), -1.0);
  EXPECT_EQ(reference::to_bfloat16(3.140625), 3.140625);
  EXPECT_EQ(reference::to_bfloat16(3.14159265358979), 3.140625);
  EXPECT_EQ(reference::to_bfloat16(0x1p-133), 0x1p-133);  // the smallest one
  EXPECT_EQ(reference::to_bfloat16(0x1p-134), 0.0);       // a tie, to even
  EXPECT_EQ(reference::to_bfloat16(0x1.fep127), 0x1.fep127);
  EXPECT_EQ(reference::to_bfloat16(0x1.ffp127), std::numeric_limits<double>::infinity());
  EXPECT_EQ(reference::to_bfloat16(0x1.feffp127), 0x1.fep127);
}

TEST(Round, RefusesShapesThatDisagree) {
  test::Array<float> from(3);
  test::Array<BFloat16> to(3);
  try {
    round_to_bfloat16(test::exec(1), {{from.data(), 3}, {to.data(), 2}});
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "round_to_bfloat16: 3 floats, but room for 2");
  }
}

}  // namespace
}  // namespace felbo
