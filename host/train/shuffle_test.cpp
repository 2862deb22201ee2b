#include "host/train/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "host/train/shuffle_reference.h"
#include "kernels/noise/noise_reference.h"

namespace felbo {
namespace {

using Order = std::vector<std::uint32_t>;

TEST(EpochOrder, IsAPermutation) {
  for (const std::int64_t n : {0, 1, 2, 3, 31, 32, 33, 127, 128, 129, 1000, 60000}) {
    Order order = epoch_order(7, 3, n);
    std::ranges::sort(order);
    Order want(static_cast<std::size_t>(n));
    std::iota(want.begin(), want.end(), 0u);
    EXPECT_EQ(order, want) << n;
  }
}

TEST(EpochOrder, MatchesTheReference) {
  for (const std::uint32_t n : {0, 1, 2, 3, 33, 1000, 60000}) {
    EXPECT_EQ(epoch_order(0x123456789u, 4000000000u, n), reference::epoch_order(0x123456789u, 4000000000u, n))
        << n;
  }
}

TEST(EpochOrder, IsAFunctionOfSeedAndEpoch) {
  std::set<Order> seen;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32,
                                   std::numeric_limits<std::uint64_t>::max()}) {
    for (const std::uint32_t epoch : {0u, 1u, 2u, 4000000000u}) {
      const Order order = epoch_order(seed, epoch, 200);
      EXPECT_EQ(order, epoch_order(seed, epoch, 200));
      EXPECT_TRUE(seen.insert(order).second) << "seed " << seed << ", epoch " << epoch;
    }
  }
}

// A seed's meaning: FNV-1a (64 bits) over the order's numbers, which a change of the shuffle, of the noise
// counter or of Philox would change, and with them every published run.
TEST(EpochOrder, KeepsItsMeaning) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::uint32_t row : epoch_order(0, 0, 60000)) hash = (hash ^ row) * 0x100000001b3u;
  EXPECT_EQ(hash, 6537639579672079509u);
}

// Every order of a few items, equally often. Chi-square with n! - 1 degrees of freedom; the limit is the mean
// plus 5 standard deviations, sqrt(2 df): a false alarm about once in 10^4 seeds at these degrees of freedom,
// and the seeds are fixed. n = 3 and 5 do not divide 2^32, so a bounded integer with a bias, or a swap with
// the wrong range, is felt here (the classical mistake of swapping with any of n places gives chi-square near
// draws / 36 at n = 3).
TEST(EpochOrder, EveryOrderIsEquallyLikely) {
  for (const int n : {2, 3, 4, 5}) {
    const int draws = 60000;
    std::map<Order, int> count;
    for (int epoch = 0; epoch < draws; ++epoch)
      ++count[epoch_order(99, static_cast<std::uint32_t>(epoch), n)];
    const double orders = std::tgamma(n + 1.0), expected = draws / orders;
    ASSERT_EQ(static_cast<double>(count.size()), orders);
    double chi2 = 0;
    for (const auto& [order, c] : count) chi2 += (c - expected) * (c - expected) / expected;
    EXPECT_LT(chi2, orders - 1 + 5 * std::sqrt(2 * (orders - 1))) << n;
  }
}

// Where each item of a longer order ends up: each of the 67 x 67 cells equally often. (n - 1)^2 degrees of
// freedom, two-sided: too even an order is not random either. 5 standard deviations, false alarm below 1e-6.
TEST(EpochOrder, EveryItemIsEquallyLikelyAtEveryPlace) {
  constexpr int kItems = 67, kDraws = 20000;
  std::vector<int> count(kItems * kItems);
  for (int epoch = 0; epoch < kDraws; ++epoch) {
    const Order order = epoch_order(12, static_cast<std::uint32_t>(epoch), kItems);
    for (int place = 0; place < kItems; ++place) ++count[place * kItems + static_cast<int>(order[place])];
  }
  const double expected = double(kDraws) / kItems, df = (kItems - 1.0) * (kItems - 1.0);
  double chi2 = 0;
  for (const int c : count) chi2 += (c - expected) * (c - expected) / expected;
  EXPECT_NEAR(chi2, df, 5 * std::sqrt(2 * df));
}

// The item that the first draw puts last: uniform for bounds that do not divide 2^32.
TEST(EpochOrder, TheLastItemIsUniform) {
  for (const int n : {3, 5, 6, 7, 11, 100}) {
    const int draws = 50000;
    std::vector<int> count(static_cast<std::size_t>(n));
    for (int epoch = 0; epoch < draws; ++epoch)
      ++count[epoch_order(5, static_cast<std::uint32_t>(epoch), n).back()];
    const double expected = double(draws) / n;
    double chi2 = 0;
    for (const int c : count) chi2 += (c - expected) * (c - expected) / expected;
    EXPECT_LT(chi2, n - 1 + 6 * std::sqrt(2.0 * (n - 1))) << n;  // false alarm below 1e-3 at two degrees
  }
}

/// Fisher and Yates' shuffle with Lemire's bounded integers (algorithm 5 of his paper), from the words that
/// the noise counter names; `rejected` counts the words thrown away to leave no bias.
Order reference_order(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n, int& rejected) {
  std::uint64_t used = 0;
  const auto next = [&] {
    const std::uint64_t block = used / 4, at = used++ % 4;
    return reference::philox({std::uint32_t(block), epoch, std::uint32_t(block >> 32), 1u << 26},
                             {std::uint32_t(seed), std::uint32_t(seed >> 32)})[at];
  };
  Order order;
  for (std::uint32_t i = 0; i < n; ++i) order.push_back(i);
  for (std::uint64_t left = n; left > 1; --left) {
    const std::uint64_t surplus = (std::uint64_t{1} << 32) % left;
    std::uint64_t product = next() * left;
    for (; (product & 0xffffffff) < surplus; ++rejected) product = next() * left;
    std::swap(order[left - 1], order[product >> 32]);
  }
  return order;
}

// A missing rejection biases a bound n by n / 2^32, which no count can show; but at this size some words are
// rejected, and every later item would differ.
TEST(EpochOrder, MatchesTheReferenceWordForWord) {
  int rejected = 0;
  for (const std::uint32_t n : {2u, 3u, 5u, 100u, 1000003u}) {
    const std::uint64_t seed = 0x0123456789abcdefu;
    EXPECT_TRUE(epoch_order(seed, 17, n) == reference_order(seed, 17, n, rejected)) << n;
  }
  EXPECT_GT(rejected, 10);
}

TEST(EpochOrder, RefusesSizesOutOfRange) {
  for (const std::int64_t n : {std::int64_t{-1}, std::int64_t{1} << 32}) {
    try {
      epoch_order(0, 0, n);
      ADD_FAILURE() << n;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()), "cannot shuffle " + std::to_string(n) + " rows: at most 2^32 - 1");
    }
  }
}

}  // namespace
}  // namespace felbo
