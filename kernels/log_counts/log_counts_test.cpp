#include "kernels/log_counts/log_counts.h"

#include <gtest/gtest.h>

#include "kernels/log_counts/log_counts_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

/// 0, 1, 2 and on, and among them large ones up to 2^24.
void fill(View<float, 1> x) {
  for (std::int64_t i = 0; i < x.size; ++i) {
    x(i) = i % 5 == 3 ? std::ldexp(1.0f, static_cast<int>(i % 25)) - static_cast<float>(i % 2)
                      : static_cast<float>(i % 300);
  }
}

// A logarithm within 2 ulp, which is 2 kEps of it at most; then T's rounding.
template <class T>
void expect_parity(std::int64_t n, std::int64_t offset, int threads) {
  SCOPED_TRACE("N " + std::to_string(n) + ", offset " + std::to_string(offset));
  Guarded<float> x(1, n, 0, offset);
  Guarded<T> y(1, n, 0, (offset + 3) % 8);
  fill(x.vector());
  log_counts(test::exec(threads), LogCountsArgsOf<T>{x.vector(), y.vector()});
  Parity parity;
  for (std::int64_t i = 0; i < n; ++i) {
    const double want = reference::log_count<double>(x.vector()(i));
    const double error = 2 * kEps * want;
    parity.element("y", 0, i, static_cast<double>(static_cast<float>(y.vector()(i))), want,
                   error + test::storage_error<T>(want + error));
  }
  y.check_guards(parity, "y");
  x.check_guards(parity, "x");
  FELBO_EXPECT_PARITY(parity);
}

TEST(LogCounts, MatchTheReference) {
  for (const std::int64_t n :
       {1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 16385, 33001}) {
    for (const std::int64_t offset : {0, 1, 4}) {
      for (const int threads : {1, 3}) expect_parity<float>(n, offset, threads);
#if defined(FELBO_TEST_CUDA)
      expect_parity<BFloat16>(n, offset, 1);
#endif
    }
  }
}

TEST(LogCounts, BitsAreThoseOfTheCpu) {
  test::Array<float> x(1001), y(1001), cpu(1001);
  fill({x.data(), 1001});
  log_counts(test::exec(2), {{x.data(), 1001}, {y.data(), 1001}});
  log_counts(CpuExec(1), {{x.data(), 1001}, {cpu.data(), 1001}});
  EXPECT_EQ(y, cpu);
  EXPECT_EQ(y[0], 0.0f);  // log 1, exactly
}

TEST(LogCounts, RefusesShapesThatDisagree) {
  test::Array<float> x(3), y(3);
  EXPECT_THROW(log_counts(test::exec(1), {{x.data(), 3}, {y.data(), 2}}), std::invalid_argument);
  log_counts(test::exec(1), LogCountsArgs{});
}

}  // namespace
}  // namespace felbo
