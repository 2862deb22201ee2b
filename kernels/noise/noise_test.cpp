#include "kernels/noise/noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/noise/noise_reference.h"
#include "tests/harness/parity.h"
#if __has_include(<Random123/philox.h>)
#include <Random123/philox.h>
#define FELBO_HAVE_RANDOM123 1
#endif

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

TEST(Philox, KnownAnswersOfRandom123) {
  struct Known {
    Words4 counter;
    std::uint32_t key0, key1;
    Words4 words;
  };
  for (const Known& k : {
           Known{{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
           Known{{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
           Known{{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                 0xa4093822,
                 0x299f31d0,
                 {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
       }) {
    const Words4 got = philox4x32_10(k.counter, k.key0, k.key1);
    const auto reference =
        reference::philox({k.counter[0], k.counter[1], k.counter[2], k.counter[3]}, {k.key0, k.key1});
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(got[i], k.words[i]);
      EXPECT_EQ(reference[i], k.words[i]);
    }
  }
}

TEST(Philox, AgreesWithRandom123) {
#ifdef FELBO_HAVE_RANDOM123
  std::mt19937 words(1);  // fixed seed
  for (int n = 0; n < 20000; ++n) {
    const r123::Philox4x32::ctr_type counter{
        {uint32_t(words()), uint32_t(words()), uint32_t(words()), uint32_t(words())}};
    const r123::Philox4x32::key_type key{{uint32_t(words()), uint32_t(words())}};
    const auto want = r123::Philox4x32()(counter, key);
    const Words4 got = philox4x32_10({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
    for (int i = 0; i < 4; ++i) ASSERT_EQ(got[i], want[i]);
  }
#else
  GTEST_SKIP() << "librandom123-dev is not installed: the comparison with Random123 did not run";
#endif
}

// Tolerance of a normal: log_normal and cos_sin_quarter are within a few ulp of values up to 1, the radius is
// at most 6.8; where u is close to 1 the float of u rounds by 2^-25, which moves a radius r by 2^-25 / r, at
// most sqrt(2 * 2^-25) = 2.4e-4 as r goes to 0 (u itself rounds to 1 there).
double normal_tolerance(double radius) {
  return 8 * kEps * std::max(1.0, radius) + std::min(2.5e-4, kEps / std::max(radius, 1e-30));
}

std::vector<double> reference_row(const NoiseStream& s, std::uint32_t datum, std::uint32_t sample,
                                  std::int64_t n, std::vector<double>& tolerance) {
  std::vector<double> row;
  const auto purpose = static_cast<std::uint32_t>(s.purpose);
  for (std::uint32_t d = 0; d < n; ++d) {
    row.push_back(reference::normal(s.seed, s.step.get(), purpose, datum, sample, d));
    const double u =
        (reference::word(s.seed, s.step.get(), purpose, datum, sample, d - d % 2) + 0.5) / 4294967296.0;
    tolerance.push_back(normal_tolerance(std::sqrt(-2.0 * std::log(u))));
  }
  return row;
}

TEST(NormalFill, MatchesTheReference) {
  for (const std::int64_t cols : {1, 2, 3, 4, 5, 20, 31, 32, 33, 127, 128, 129, 785}) {
    for (const std::int64_t rows : {1, 3, 17}) {
      const NoiseStream stream{0x123456789abcdef0u + static_cast<std::uint64_t>(cols), 77, Purpose::kLatent};
      Guarded<float> out(rows, cols, cols % 3, cols % 2);
      normal_fill(test::exec(2), {stream, 4000000000u, 5, out.matrix()});
      std::vector<double> want, tolerance;
      for (std::int64_t i = 0; i < rows; ++i) {
        const auto row =
            reference_row(stream, 4000000000u + static_cast<std::uint32_t>(i), 5, cols, tolerance);
        want.insert(want.end(), row.begin(), row.end());
      }
      Parity parity;
      parity.compare("normals", out.matrix(), want, tolerance);
      out.check_guards(parity, "normals");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

// Users rely on this: a draw is named by where it is used, not by who computes it.
TEST(NormalFill, BitsDependOnTheNameAlone) {
  const NoiseStream stream{42, 3, Purpose::kPrior};
  test::Array<float> all(64 * 37), part(10 * 37);
  normal_fill(test::exec(1), {stream, 0, 0, View<float, 2>(all.data(), 64, 37)});
  for (const int threads : {1, 2, 5}) {
    normal_fill(test::exec(threads), {stream, 20, 0, View<float, 2>(part.data(), 10, 37)});
    EXPECT_TRUE(test::same_bits(View<const float, 2>(part.data(), 10, 37),
                                View<const float, 2>(all.data() + 20 * 37, 10, 37)));
  }
}

// What a kernel makes again in its registers is what the CPU makes, bit for bit.
TEST(NormalFill, BitsAreThoseOfNormalTile) {
  const NoiseStream stream{0xfedcba9876543210u, 8, Purpose::kLatent};
  for (const std::int64_t cols : {1, 4, 7, 33, 256}) {
    test::Array<float> filled(5 * static_cast<std::size_t>(cols)), tile(filled.size());
    normal_fill(test::exec(2), {stream, 77, 3, View<float, 2>(filled.data(), 5, cols)});
    const std::uint32_t datum[] = {77, 78, 79, 80, 81}, sample[] = {3, 3, 3, 3, 3};
    normal_tile(stream, datum, sample, 5, 0, cols, tile.data(), cols);
    EXPECT_EQ(filled, tile) << cols;
  }
}

// Every part of the name changes the draw.
TEST(NormalFill, EachPartOfTheNameMatters) {
  const auto draw = [](NoiseStream s, std::uint32_t datum, std::uint32_t sample) {
    float x[8];
    normal_tile(s, &datum, &sample, 1, 0, 8, x, 8);
    return std::vector<float>(x, x + 8);
  };
  const NoiseStream base{42, 3, Purpose::kLatent};
  const auto first = draw(base, 0, 0);
  EXPECT_EQ(first, draw(base, 0, 0));
  EXPECT_NE(first, draw({43, 3, Purpose::kLatent}, 0, 0));
  EXPECT_NE(first, draw({42 + (std::uint64_t{1} << 32), 3, Purpose::kLatent}, 0, 0));
  EXPECT_NE(first, draw({42, 4, Purpose::kLatent}, 0, 0));
  EXPECT_NE(first, draw({42, 3, Purpose::kHeldOutLatent}, 0, 0));
  EXPECT_NE(first, draw(base, 1, 0));
  EXPECT_NE(first, draw(base, 0, 1));
}

// One hash over a million normals pins the bits across compilers, instruction sets and devices.
TEST(NormalFill, BitsArePinned) {
  test::Array<float> normals(1 << 20);
  normal_fill(test::exec(2), {{2026, 1, Purpose::kLatent}, 0, 0, View<float, 2>(normals.data(), 1024, 1024)});
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a, 64 bits
  for (const float x : normals) hash = (hash ^ static_cast<std::uint32_t>(math::bits(x))) * 1099511628211u;
  EXPECT_EQ(hash, 0xb1c3ec244afe7746u) << std::hex << hash;
}

// Kolmogorov and Smirnov against the exact normal distribution function; a false alarm has probability 1e-6
// at a fixed seed that passed: this is a regression test, not a lottery.
TEST(NormalFill, IsStandardNormal) {
  const int n = 200000;
  test::Array<float> x(n);
  normal_fill(test::exec(2), {{7, 0, Purpose::kLatent}, 0, 0, View<float, 2>(x.data(), 1000, 200)});
  double mean = 0, square = 0;
  for (const float v : x) mean += v, square += double(v) * v;
  EXPECT_LT(std::abs(mean / n), 5.0 / std::sqrt(n));
  EXPECT_LT(std::abs(square / n - 1.0), 5.0 * std::sqrt(2.0 / n));
  std::sort(x.begin(), x.end());
  double distance = 0;
  for (int i = 0; i < n; ++i) {
    const double cdf = 0.5 * std::erfc(-x[i] / std::sqrt(2.0));
    distance = std::max({distance, cdf - double(i) / n, double(i + 1) / n - cdf});
  }
  EXPECT_LT(distance, 2.69 / std::sqrt(n));  // P(D sqrt(n) > 2.69) = 2 exp(-2 * 2.69^2) = 1e-6
}

TEST(NormalFill, RefusesIndicesThatDoNotFit) {
  float x;
  EXPECT_THROW(normal_fill(test::exec(1), {{}, 0xffffffffu, 0, View<float, 2>(&x, 2, 0)}),
               std::invalid_argument);
  EXPECT_THROW(normal_fill(test::exec(1), {{}, 0, kMaxNoiseSamples, View<float, 2>(&x, 1, 1)}),
               std::invalid_argument);
}

}  // namespace
}  // namespace felbo
