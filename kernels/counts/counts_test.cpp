#include "kernels/counts/counts.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "tests/harness/exec.h"

namespace felbo {
namespace {

TEST(AddCounts, AddsToTheTotal) {
  for (const int n : {0, 1, 2, 31, 32, 33, 127, 128, 129, 785, 2047, 2048, 2049, 5000}) {
    test::Array<std::int32_t> counts(static_cast<std::size_t>(n));
    std::iota(counts.begin(), counts.end(), 2'000'000'000 - n);  // a 32-bit total would overflow
    test::Array<std::int64_t> total{5};
    add_counts(test::exec(2), {{counts.data(), n}, {total.data(), 1}});
    // The sum of n consecutive integers from a: n (2a + n - 1) / 2.
    const std::int64_t first = 2'000'000'000 - n;
    EXPECT_EQ(total[0], 5 + n * (2 * first + n - 1) / 2) << n;
  }
}

TEST(AddNonFinite, CountsNanAndInfinities) {
  using Limits = std::numeric_limits<float>;
  const float bad[] = {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()};
  for (const int n : {0, 1, 2, 31, 32, 33, 257, 2047, 2048, 2049, 5000}) {
    test::Array<float> values(static_cast<std::size_t>(n));
    std::int64_t want = 5;
    for (int i = 0; i < n; ++i) {
      const float good[] = {0.0f, -0.0f, 1.5f, Limits::max(), Limits::lowest(), Limits::denorm_min()};
      const bool is_bad = i % 7 == 3 || i == n - 1;
      values[static_cast<std::size_t>(i)] = is_bad ? bad[i % 4] : good[i % 6];
      want += is_bad;
    }
    test::Array<std::int64_t> total{5};
    add_non_finite(test::exec(2), {{values.data(), n}, {total.data(), 1}});
    EXPECT_EQ(total[0], want) << n;
  }
}

TEST(AddCounts, RefusesAnotherShape) {
  std::int64_t total[2] = {};
  EXPECT_THROW(add_counts(test::exec(1), {{nullptr, 0}, {total, 2}}), std::invalid_argument);
  EXPECT_THROW(add_non_finite(test::exec(1), {{nullptr, 0}, {total, 2}}), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
