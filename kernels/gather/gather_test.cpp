#include "kernels/gather/gather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "kernels/gather/gather_math.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/round/round_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::Parity;

constexpr Binarize kModes[] = {Binarize::kNone, Binarize::kThreshold, Binarize::kDynamic};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Bytes of every value, and floats around [0, divisor] with the ends among them. Fixed seed.
void fill(View<std::uint8_t, 2> data, float) {
  std::mt19937 random(11);
  for (std::int64_t i = 0; i < data.rows; ++i) {
    for (std::int64_t j = 0; j < data.cols; ++j) data(i, j) = static_cast<std::uint8_t>(random() % 256);
  }
}
void fill(View<float, 2> data, float divisor) {
  std::mt19937 random(12);
  const float ends[] = {0.0f, 0.5f * divisor, divisor, -0.0f, -0.25f * divisor, 1.25f * divisor};
  for (std::int64_t i = 0; i < data.rows; ++i) {
    for (std::int64_t j = 0; j < data.cols; ++j) {
      const auto word = static_cast<std::uint32_t>(random());
      data(i, j) = word % 8 == 0 ? ends[word / 8 % 6] : divisor * static_cast<float>(word) / 4294967296.0f;
    }
  }
}

/// A batch of `rows` rows out of a data set of kData rows, repeats and both ends among them.
constexpr std::int64_t kData = 19;
test::Array<std::uint32_t> some_rows(std::int64_t rows) {
  test::Array<std::uint32_t> out;
  for (std::int64_t i = 0; i < rows; ++i) out.push_back(static_cast<std::uint32_t>((18 + 7 * i) % kData));
  return out;
}

template <class T>
void compare(std::int64_t rows, std::int64_t cols, float divisor, Binarize binarize, int threads,
             bool want_rounded, Parity& parity) {
  Guarded<T> data(kData, cols, cols % 5, cols % 3);
  fill(data.matrix(), divisor);
  const test::Array<std::uint32_t> index = some_rows(rows);
  const NoiseStream noise{0xfedcba9876543210u, 4000000000u, Purpose::kBinarize};
  Guarded<float> x(rows, cols, cols % 3, cols % 2);
  Guarded<BFloat16> rounded(rows, cols, cols % 7, cols % 5);
  GatherArgs<T> args{data.matrix(), {index.data(), rows}, divisor, binarize, noise, x.matrix()};
  if (want_rounded) args.rounded = rounded.matrix();
  gather(test::exec(threads), args);
  std::vector<double> want;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) {
      want.push_back(reference::gather_pixel<double>(data.matrix()(index[i], j), divisor, binarize, noise,
                                                     index[i], static_cast<std::uint32_t>(j)));
    }
  }
  // Tolerance 0: the intensity is one correctly rounded division, and the rest are comparisons.
  parity.compare("x", x.matrix(), want, 0.0);
  x.check_guards(parity, "x");
  if (want_rounded) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j)
        parity.element("rounded", i, j, static_cast<float>(rounded.matrix()(i, j)),
                       reference::to_bfloat16(want[i * cols + j]), 0.0);
    }
  }
  rounded.check_guards(parity, "rounded");
}

// 511 ... 513 and 1025 stand around the edges of the tiles of random words.
constexpr std::int64_t kCols[] = {1,   2,   3,   4,   5,   15,  16,  17,  31,  32,  33,  63,  64,   127,
                                  128, 129, 255, 256, 257, 511, 512, 513, 560, 783, 784, 785, 1025, 2053};

TEST(Gather, MatchesTheReference) {
  for (const std::int64_t cols : kCols) {
    for (const Binarize binarize : kModes) {
      for (const std::int64_t rows : {1, 3, 40}) {
        SCOPED_TRACE("B " + std::to_string(rows) + ", X " + std::to_string(cols));
        Parity bytes, floats;
        for (const bool rounded : {false, true}) {
          compare<std::uint8_t>(rows, cols, 255.0f, binarize, 2, rounded, bytes);
          compare<float>(rows, cols, 255.0f, binarize, 2, rounded, floats);
          compare<float>(rows, cols, 1.0f, binarize, 2, rounded, floats);
        }
        FELBO_EXPECT_PARITY(bytes);
        FELBO_EXPECT_PARITY(floats);
      }
    }
  }
}

// Divisors whose reciprocal rounds: multiplying by it would be one ulp off for some bytes.
TEST(Gather, DividesExactly) {
  test::Array<std::uint8_t> data(256);
  for (int k = 0; k < 256; ++k) data[k] = static_cast<std::uint8_t>(k);
  const test::Array<std::uint32_t> row{0};
  for (const float divisor : {255.0f, 3.0f, 7.0f, 49.0f, 0.1f, 1e-38f, 3e38f}) {
    test::Array<float> x(256);
    gather(test::exec(1),
           GatherArgs<std::uint8_t>{
               {data.data(), 1, 256}, {row.data(), 1}, divisor, Binarize::kNone, {}, {x.data(), 1, 256}});
    for (int k = 0; k < 256; ++k)
      ASSERT_EQ(x[k], static_cast<float>(double(k) / double(divisor))) << k << '/' << divisor;
  }
}

// All bytes against the words around the place where their draw changes, and against the ends.
TEST(Gather, DrawsBytesAsTheirIntensities) {
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const float v = gather_math::intensity(static_cast<float>(byte), gather_math::kByteDivisor);
    const auto edge = static_cast<std::int64_t>(static_cast<double>(v) * 4294967296.0);
    for (std::int64_t word = edge - 1024; word <= edge + 1024; ++word) {
      const auto w = static_cast<std::uint32_t>(std::clamp<std::int64_t>(word, 0, 0xffffffff));
      ASSERT_EQ(gather_math::draw_byte(byte, w), gather_math::draw(v, w)) << byte << ", word " << w;
    }
  }
}

// Rows that the host has put behind one another, in the order of the batch, give what the whole data give by
// their numbers: the place says where they stand, the numbers name the noise.
template <class T>
void compare_places(std::int64_t rows, std::int64_t cols, Binarize binarize, bool rounded) {
  constexpr std::int64_t kBefore = 4, kAfter = 3;
  test::Array<T> data(static_cast<std::size_t>(kData * cols));
  fill(View<T, 2>(data.data(), kData, cols), 255.0f);
  const test::Array<std::uint32_t> index = some_rows(rows);
  test::Array<T> gathered(static_cast<std::size_t>((kBefore + rows + kAfter) * cols), T(77));
  for (std::int64_t i = 0; i < rows; ++i)
    std::copy_n(data.begin() + index[i] * cols, cols, gathered.begin() + (kBefore + i) * cols);
  const test::Array<std::int64_t> place{0, kBefore};
  const auto draw = [&](const test::Array<T>& from, Scalar<std::int64_t> at) {
    test::Array<float> x(static_cast<std::size_t>(rows * cols), kNan);
    test::Array<BFloat16> copy(rounded ? x.size() : 0);
    GatherArgs<T> args{{from.data(), static_cast<std::int64_t>(from.size()) / cols, cols},
                       {index.data(), rows},
                       255.0f,
                       binarize,
                       {4, 2, Purpose::kBinarize},
                       {x.data(), rows, cols}};
    args.place = at;
    if (rounded) args.rounded = {copy.data(), rows, cols};
    gather(test::exec(2), args);
    for (std::size_t i = 0; rounded && i < x.size(); ++i)
      EXPECT_EQ(static_cast<float>(copy[i]), reference::to_bfloat16(x[i]));
    return x;
  };
  const test::Array<float> want = draw(data, std::int64_t{-1});
  EXPECT_EQ(draw(gathered, Scalar<std::int64_t>::read(&place[1])), want);
  EXPECT_EQ(draw(gathered, kBefore), want);
}

TEST(Gather, ReadsGatheredRowsWhereTheyStand) {
  for (const std::int64_t cols : {1, 15, 16, 33, 128, 785}) {
    for (const Binarize binarize : kModes) {
      for (const std::int64_t rows : {1, 3, 40}) {
        SCOPED_TRACE("B " + std::to_string(rows) + ", X " + std::to_string(cols));
        for (const bool rounded : {false, true}) {
          compare_places<std::uint8_t>(rows, cols, binarize, rounded);
          compare_places<float>(rows, cols, binarize, rounded);
        }
      }
    }
  }
}

TEST(Gather, EmptyBatchesAndRowsAreFine) {
  test::Array<float> x{7.0f};
  const test::Array<float> data{1.0f};
  const test::Array<std::uint32_t> row{0};
  for (const Binarize binarize : kModes) {
    gather(test::exec(2),
           GatherArgs<float>{{data.data(), 1, 1}, {row.data(), 0}, 1.0f, binarize, {}, {x.data(), 0, 1}});
    gather(test::exec(2),
           GatherArgs<float>{{data.data(), 1, 0}, {row.data(), 1}, 1.0f, binarize, {}, {x.data(), 1, 0}});
  }
  EXPECT_EQ(x[0], 7.0f);
}

#if !defined(FELBO_TEST_CUDA)
// A batch that no cache holds is stored past them: the bits are those of small batches, and nothing else is
// written, for rows that begin with a cache line and end within one, and for rows that begin anywhere.
TEST(Gather, BatchesBeyondTheCaches) {
  const std::int64_t rows = 25000, cols = 694;
  test::Array<std::uint8_t> bytes(kData * cols);
  fill(View<std::uint8_t, 2>(bytes.data(), kData, cols), 255.0f);
  test::Array<float> floats(bytes.begin(), bytes.end());
  const test::Array<std::uint32_t> index = some_rows(rows);
  const NoiseStream noise{5, 9, Purpose::kBinarize};
  const auto gathered = [&](auto& data, float divisor, Binarize binarize, std::int64_t batch,
                            View<float, 2> x) {
    using T = std::remove_reference_t<decltype(data[0])>;
    gather(CpuExec(2),
           GatherArgs<T>{{data.data(), kData, cols}, {index.data(), batch}, divisor, binarize, noise, x});
  };
  for (const std::int64_t stride : {704, 695}) {
    test::Array<float> memory(static_cast<std::size_t>(rows * stride + 16));
    test::Array<float> few(static_cast<std::size_t>(kData * stride));
    float* const x =
        memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / sizeof(float);
    const auto compare_with_few = [&](auto& data, Binarize binarize, float divisor = 255.0f) {
      std::ranges::fill(memory, -7.0f);
      std::ranges::fill(few, -7.0f);
      gathered(data, divisor, binarize, rows, {x, rows, cols, stride});
      gathered(data, divisor, binarize, kData, {few.data(), kData, cols, stride});
      for (std::int64_t i = 0; i < rows; ++i) {  // the data come round every kData rows
        const float* want = few.data() + i % kData * stride;
        ASSERT_TRUE(std::equal(want, want + stride, x + i * stride)) << "row " << i << ", stride " << stride;
      }
    };
    for (const Binarize binarize : kModes) {
      compare_with_few(bytes, binarize);
      compare_with_few(floats, binarize);
    }
    if (stride % 16 != 0) continue;  // no row but the first begins a line
    // Bytes that are half of the divisor, and divisors beside them.
    for (const float twice : {2.0f, 126.0f, 254.0f, 510.0f}) {
      for (const float divisor : {std::nextafter(twice, 0.0f), twice, std::nextafter(twice, 1e3f)})
        compare_with_few(bytes, Binarize::kThreshold, divisor);
    }
  }
}
#endif

// A pixel is named by its datum and the step, not by its place in the batch or by the thread that draws it.
TEST(Gather, BitsDependOnTheDatumAlone) {
  const std::int64_t cols = 785;
  test::Array<std::uint8_t> data(kData * cols);
  fill(View<std::uint8_t, 2>(data.data(), kData, cols), 255.0f);
  const auto draw = [&](int threads, const test::Array<std::uint32_t>& rows, const NoiseStream& noise) {
    const auto batch = static_cast<std::int64_t>(rows.size());
    test::Array<float> x(static_cast<std::size_t>(batch * cols), kNan);
    gather(test::exec(threads), GatherArgs<std::uint8_t>{{data.data(), kData, cols},
                                                         {rows.data(), batch},
                                                         255.0f,
                                                         Binarize::kDynamic,
                                                         noise,
                                                         {x.data(), batch, cols}});
    return x;
  };
  const NoiseStream noise{5, 9, Purpose::kBinarize};
  test::Array<std::uint32_t> all;
  for (int repeat = 0; repeat < 4; ++repeat) {
    for (std::uint32_t i = 0; i < kData; ++i) all.push_back(i);
  }
  const test::Array<float> whole = draw(1, all, noise);
  EXPECT_EQ(whole, draw(2, all, noise));
  EXPECT_EQ(whole, draw(3, all, noise));
  for (const test::Array<std::uint32_t>& rows :
       {test::Array<std::uint32_t>{18, 3, 3}, {7}, {0, 18, 1, 17, 2, 16}}) {
    const test::Array<float> part = draw(2, rows, noise);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(
          std::equal(part.begin() + i * cols, part.begin() + (i + 1) * cols, whole.begin() + rows[i] * cols));
    }
  }
  EXPECT_NE(whole, draw(1, all, {5, 10, Purpose::kBinarize}));
  EXPECT_NE(whole, draw(1, all, {6, 9, Purpose::kBinarize}));
  EXPECT_NE(whole, draw(1, all, {5 + (std::uint64_t{1} << 32), 9, Purpose::kBinarize}));
  EXPECT_NE(whole, draw(1, all, {5, 9, Purpose::kHeldOutBinarize}));
}

// The last index of 32 bits is a datum like any other. A stride of 0 makes every index the same memory.
TEST(Gather, LargestDatumIndex) {
  const test::Array<std::uint8_t> grey(8, 127);
  const test::Array<std::uint32_t> row{0xffffffffu};
  test::Array<float> x(8);
  const NoiseStream noise{3, 1, Purpose::kBinarize};
  gather(test::exec(1), GatherArgs<std::uint8_t>{{grey.data(), std::int64_t{1} << 32, 8, 0},
                                                 {row.data(), 1},
                                                 255.0f,
                                                 Binarize::kDynamic,
                                                 noise,
                                                 {x.data(), 1, 8}});
  for (std::uint32_t j = 0; j < 8; ++j) {
    EXPECT_EQ(x[j], reference::gather_pixel<double>(127, 255.0f, Binarize::kDynamic, noise, row[0], j));
  }
}

/// A row of bytes, drawn in `step`: `made` gives the byte for the word that draws it.
template <class Made>
void draw_bytes_by_their_words(std::uint32_t step, const Made& made, int& edges) {
  const std::uint32_t cols = 785;
  const test::Array<std::uint32_t> datum{0};
  const NoiseStream noise{8, step, Purpose::kBinarize};
  test::Array<std::uint8_t> data(cols);
  test::Array<float> x(cols), want(cols);
  for (std::uint32_t j = 0; j < cols; ++j) {
    const std::uint32_t word = reference::word(noise.seed, noise.step.get(),
                                               static_cast<std::uint32_t>(noise.purpose), datum[0], 0, j);
    data[j] = made(word);
    edges += word <= data[j] * 0x01010100u + 255 && word >= data[j] * 0x01010100u;
    want[j] = reference::gather_pixel<float>(data[j], 255.0f, Binarize::kDynamic, noise, 0, j);
  }
  gather(
      test::exec(1),
      GatherArgs<std::uint8_t>{
          {data.data(), 1, cols}, {datum.data(), 1}, 255.0f, Binarize::kDynamic, noise, {x.data(), 1, cols}});
  EXPECT_EQ(x, want) << "step " << step;
}

// Bytes for which the last words that give 1 and the first that give 0 come up; and a word below 256 for a
// byte of 0, one of 2^24, whose step was searched for.
TEST(Gather, DrawsBytesAtTheEdge) {
  int edges = 0, zeros = 0;
  for (std::uint32_t step = 0; step < 400; ++step) {
    draw_bytes_by_their_words(
        step, [](std::uint32_t word) { return static_cast<std::uint8_t>(word >> 24); }, edges);
  }
  EXPECT_GT(edges, 0);
  draw_bytes_by_their_words(
      24760, [](std::uint32_t) { return std::uint8_t{0}; }, zeros);
  EXPECT_EQ(zeros, 1);
}

// u < v is strict: the uniform itself as the intensity gives 0, the next float gives 1.
TEST(Gather, DrawsAtTheEdgeOfTheIntensity) {
  const std::uint32_t cols = 785;
  const test::Array<std::uint32_t> datum{0};
  const NoiseStream noise{8, 2, Purpose::kBinarize};
  test::Array<float> at, above, x(cols);
  for (std::uint32_t j = 0; j < cols; ++j) {
    const std::uint32_t word = reference::word(noise.seed, noise.step.get(),
                                               static_cast<std::uint32_t>(noise.purpose), datum[0], 0, j);
    at.push_back(static_cast<float>(word / 256) / 16777216.0f);
    above.push_back(std::nextafter(at.back(), 2.0f));
  }
  const auto ones = [&](const test::Array<float>& data) {
    gather(
        test::exec(1),
        GatherArgs<float>{
            {data.data(), 1, cols}, {datum.data(), 1}, 1.0f, Binarize::kDynamic, noise, {x.data(), 1, cols}});
    return std::count(x.begin(), x.end(), 1.0f);
  };
  EXPECT_EQ(ones(at), 0);
  EXPECT_EQ(ones(above), cols);
}

// The share of ones is the intensity. Bernstein: |share - v| > bound has probability below 1e-6 over all 256
// intensities together if the words are random; the seed is fixed, so a pass stays a pass.
TEST(Gather, DynamicPixelsHaveTheIntensityAsTheirMean) {
  const std::int64_t cols = 256, draws = 50000;
  test::Array<std::uint8_t> data(cols);
  for (std::int64_t k = 0; k < cols; ++k) data[k] = static_cast<std::uint8_t>(k);
  test::Array<std::uint32_t> rows(draws);
  for (std::int64_t i = 0; i < draws; ++i) rows[i] = static_cast<std::uint32_t>(i);
  test::Array<float> x(static_cast<std::size_t>(draws * cols));
  gather(test::exec(2), GatherArgs<std::uint8_t>{{data.data(), draws, cols, 0},
                                                 {rows.data(), draws},
                                                 255.0f,
                                                 Binarize::kDynamic,
                                                 {2026, 4, Purpose::kBinarize},
                                                 {x.data(), draws, cols}});
  const double log_alarm = std::log(2.0 * 256 / 1e-6);
  for (std::int64_t k = 0; k < cols; ++k) {
    double ones = 0;
    for (std::int64_t i = 0; i < draws; ++i) ones += x[i * cols + k];
    const double v = k / 255.0, linear = log_alarm / (3.0 * draws);
    const double bound = linear + std::sqrt(linear * linear + 2.0 * log_alarm * v * (1.0 - v) / draws);
    EXPECT_LE(std::abs(ones / draws - v), bound) << "intensity " << k;
    if (k % 255 == 0) {
      EXPECT_EQ(ones, k == 0 ? 0.0 : double(draws));
    }
  }
}

TEST(Gather, NanStaysNanAndInfinityCompares) {
  const test::Array<float> data{kNan, kInfinity, -kInfinity, 0.25f, kNan};
  const test::Array<std::uint32_t> row{0};
  for (const Binarize binarize : kModes) {
    test::Array<float> x(5);
    gather(test::exec(1),
           GatherArgs<float>{{data.data(), 1, 5}, {row.data(), 1}, 1.0f, binarize, {}, {x.data(), 1, 5}});
    EXPECT_TRUE(std::isnan(x[0]) && std::isnan(x[4]));
    EXPECT_EQ(x[1], binarize == Binarize::kNone ? kInfinity : 1.0f);
    EXPECT_EQ(x[2], binarize == Binarize::kNone ? -kInfinity : 0.0f);
  }
}

// The reference itself, by hand: the words are the known answer of Philox for counter 0 and key 0.
TEST(GatherReference, KnownDraws) {
  const NoiseStream zero{0, 0, Purpose::kInit};
  const std::uint32_t words[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  for (std::uint32_t j = 0; j < 4; ++j) {
    const float u = static_cast<float>(words[j] >> 8) / 16777216.0f;
    const auto draw = [&](float v) {
      return reference::gather_pixel<double>(v, 1.0f, Binarize::kDynamic, zero, 0, j);
    };
    EXPECT_EQ(draw(u), 0.0);  // u < v is strict
    EXPECT_EQ(draw(std::nextafter(u, 1.0f)), 1.0);
    EXPECT_EQ(draw(0.0f), 0.0);
    EXPECT_EQ(draw(1.0f), 1.0);
  }
  EXPECT_EQ(reference::gather_pixel<double>(127, 255.0f, Binarize::kThreshold, zero, 0, 0), 0.0);
  EXPECT_EQ(reference::gather_pixel<double>(128, 255.0f, Binarize::kThreshold, zero, 0, 0), 1.0);
  EXPECT_EQ(reference::gather_pixel<double>(1, 2.0f, Binarize::kThreshold, zero, 0, 0), 1.0);
  EXPECT_EQ(reference::gather_pixel<double>(51, 255.0f, Binarize::kNone, zero, 0, 0), 0.2f);
}

std::string refusal(const GatherArgs<std::uint8_t>& args) {
  try {
    gather(test::exec(1), args);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Gather, RefusesShapesThatDisagree) {
  test::Array<std::uint8_t> data(6);
  test::Array<float> x(6);
  test::Array<std::uint32_t> rows(2);
  const GatherArgs<std::uint8_t> good{{data.data(), 2, 3}, {rows.data(), 2}, 255.0f, Binarize::kNone, {},
                                      {x.data(), 2, 3}};
  EXPECT_EQ(refusal(good), "accepted");
  auto bad = good;
  bad.rows.size = 1;
  EXPECT_EQ(refusal(bad), "gather: 1 row indices for a batch of 2 rows");
  bad = good;
  bad.data.cols = 2;
  EXPECT_EQ(refusal(bad), "gather: data of 2 columns for a batch of 3 columns");
  BFloat16 rounded[6];
  bad = good;
  bad.rounded = {rounded, 3, 2};
  EXPECT_EQ(refusal(bad), "gather: a batch of 2 x 3, but room for 3 x 2 in bfloat16");
  for (const float divisor : {0.0f, -1.0f, kInfinity, kNan}) {
    bad = good;
    bad.divisor = divisor;
    EXPECT_NE(refusal(bad).find("gather: the divisor must be positive and finite, got "), std::string::npos);
  }
}

}  // namespace
}  // namespace felbo
