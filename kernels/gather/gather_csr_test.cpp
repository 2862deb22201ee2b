#include "kernels/gather/gather_csr.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/gather/gather_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::Parity;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Binarize kModes[] = {Binarize::kNone, Binarize::kThreshold, Binarize::kDynamic};

/// Rows of `cols` columns, of which about one in `one_in` has an element; some rows have none.
struct Csr {
  test::Array<std::int64_t> begin{0};
  test::Array<std::uint32_t> column;
  test::Array<float> value;
  std::int64_t cols;

  Csr(std::int64_t rows, std::int64_t cols, int one_in) : cols(cols) {
    std::mt19937 random(static_cast<unsigned>(cols + 7 * one_in));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; i % 5 != 3 && j < cols; ++j) {
        if (random() % static_cast<unsigned>(one_in) != 0) continue;
        column.push_back(static_cast<std::uint32_t>(j));
        value.push_back(0.125f * static_cast<float>(random() % 9));
      }
      begin.push_back(static_cast<std::int64_t>(column.size()));
    }
  }
  /// Row i as it would stand in a dense array.
  std::vector<float> dense(std::uint32_t i) const {
    std::vector<float> row(static_cast<std::size_t>(cols));
    for (std::int64_t e = begin[i]; e < begin[i + 1]; ++e)
      row[column[static_cast<std::size_t>(e)]] = value[static_cast<std::size_t>(e)];
    return row;
  }
  GatherCsrArgs args() const {
    GatherCsrArgs a;
    a.begin = {begin.data(), static_cast<std::int64_t>(begin.size())};
    a.column = {column.data(), static_cast<std::int64_t>(column.size())};
    a.value = {value.data(), static_cast<std::int64_t>(value.size())};
    return a;
  }
};

void expect_parity(const Csr& data, const std::vector<std::uint32_t>& index, Binarize binarize, bool rounded,
                   std::int64_t gap, std::int64_t offset, int threads) {
  const auto batch = static_cast<std::int64_t>(index.size());
  const NoiseStream noise{0x9876543210u, 4000000001u, Purpose::kBinarize};
  const test::Array<std::uint32_t> rows(index.begin(), index.end());
  Guarded<float> x(batch, data.cols, gap, offset);
  Guarded<BFloat16> copy(batch, data.cols, gap, offset);
  GatherCsrArgs args = data.args();
  args.rows = {rows.data(), batch};
  args.binarize = binarize;
  args.noise = noise;
  args.x = x.matrix();
  if (rounded) args.rounded = copy.matrix();
  gather(test::exec(threads), args);
  Parity parity;
  for (std::int64_t i = 0; i < batch; ++i) {
    const std::vector<float> dense = data.dense(index[static_cast<std::size_t>(i)]);
    for (std::int64_t j = 0; j < data.cols; ++j) {
      const auto want =
          reference::gather_pixel<double>(dense[static_cast<std::size_t>(j)], 1.0f, binarize, noise,
                                          index[static_cast<std::size_t>(i)], static_cast<std::uint32_t>(j));
      parity.element("x", i, j, x.matrix()(i, j), want, 0.0);
      // Eighths up to 1 are exact in bfloat16.
      if (rounded) parity.element("rounded", i, j, static_cast<float>(copy.matrix()(i, j)), want, 0.0);
    }
  }
  x.check_guards(parity, "x");
  copy.check_guards(parity, "rounded");
  FELBO_EXPECT_PARITY(parity);
}

TEST(GatherCsr, MatchesTheReference) {
  for (const std::int64_t cols :
       {1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 1023, 1024, 1025, 2049}) {
    for (const int one_in : {1, 3, 40}) {
      const Csr data(11, cols, one_in);
      for (const Binarize binarize : kModes) {
        expect_parity(data, {10, 0, 3, 3, 7}, binarize, false, cols % 3, cols % 4,
                      1 + static_cast<int>(cols % 3));
        expect_parity(data, {2, 10, 8}, binarize, true, cols % 5, cols % 8, 1);
      }
    }
  }
}

TEST(GatherCsr, TakesMoreRowsThanThreads) {
  const Csr data(400, 35, 4);
  std::vector<std::uint32_t> index;
  for (std::uint32_t i = 0; i < 301; ++i) index.push_back(i * 37 % 400);
  for (const int threads : {1, 2, 7}) expect_parity(data, index, Binarize::kDynamic, false, 1, 1, threads);
}

// The same bits as from the dense rows: a data set may change its format, and no figure changes.
TEST(GatherCsr, IsTheGatherOfTheDenseRows) {
  const Csr data(9, 331, 3);
  test::Array<float> dense;
  for (std::uint32_t i = 0; i < 9; ++i) {
    const std::vector<float> row = data.dense(i);
    dense.insert(dense.end(), row.begin(), row.end());
  }
  const test::Array<std::uint32_t> rows{8, 1, 3, 0};
  for (const Binarize binarize : kModes) {
    test::Array<float> x(4 * 331), want(4 * 331);
    GatherCsrArgs args = data.args();
    args.rows = {rows.data(), 4};
    args.binarize = binarize;
    args.noise = {3, 5, Purpose::kBinarize};
    args.x = {x.data(), 4, 331};
    gather(test::exec(2), args);
    gather(test::exec(2),
           GatherArgs<float>{
               {dense.data(), 9, 331}, args.rows, 1.0f, binarize, args.noise, {want.data(), 4, 331}});
    EXPECT_EQ(x, want);
  }
}

// Rows that the host has put behind one another give what the whole data give by their numbers.
TEST(GatherCsr, ReadsGatheredRowsWhereTheyStand) {
  const Csr data(9, 331, 3);
  const test::Array<std::uint32_t> rows{8, 1, 3, 0, 8};
  const test::Array<std::int64_t> place{0, 2};
  Csr gathered(2, 331, 5);  // two other rows stand before them
  for (const std::uint32_t i : rows) {
    const auto first = data.begin[i], last = data.begin[i + 1];
    gathered.column.insert(gathered.column.end(), data.column.begin() + first, data.column.begin() + last);
    gathered.value.insert(gathered.value.end(), data.value.begin() + first, data.value.begin() + last);
    gathered.begin.push_back(static_cast<std::int64_t>(gathered.column.size()));
  }
  for (const Binarize binarize : kModes) {
    for (const bool rounded : {false, true}) {
      const auto draw = [&](const Csr& from, Scalar<std::int64_t> at) {
        test::Array<float> x(5 * 331, kNan);
        test::Array<BFloat16> copy(x.size());
        GatherCsrArgs args = from.args();
        args.rows = {rows.data(), 5};
        args.binarize = binarize;
        args.noise = {3, 5, Purpose::kBinarize};
        args.x = {x.data(), 5, 331};
        args.place = at;
        if (rounded) args.rounded = {copy.data(), 5, 331};
        gather(test::exec(2), args);
        return x;
      };
      const test::Array<float> want = draw(data, std::int64_t{-1});
      EXPECT_EQ(draw(gathered, Scalar<std::int64_t>::read(&place[1])), want);
      EXPECT_EQ(draw(gathered, std::int64_t{2}), want);
    }
  }
}

TEST(GatherCsr, NanStaysNan) {
  const test::Array<std::int64_t> begin{0, 1};
  const test::Array<std::uint32_t> column{2}, rows{0};
  const test::Array<float> value{kNan};
  for (const Binarize binarize : kModes) {
    test::Array<float> x(3);
    gather(test::exec(1), GatherCsrArgs{{begin.data(), 2},
                                        {column.data(), 1},
                                        {value.data(), 1},
                                        {rows.data(), 1},
                                        binarize,
                                        {},
                                        {x.data(), 1, 3}});
    EXPECT_EQ(x[0], 0.0f);
    EXPECT_TRUE(std::isnan(x[2]));
  }
}

TEST(GatherCsr, RefusesShapesThatDisagree) {
  const Csr data(4, 6, 2);
  const test::Array<std::uint32_t> rows{0, 1};
  test::Array<float> x(12);
  GatherCsrArgs good = data.args();
  good.rows = {rows.data(), 2};
  good.x = {x.data(), 2, 6};
  const auto refusal = [](const GatherCsrArgs& args) -> std::string {
    try {
      gather(test::exec(1), args);
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(good), "accepted");
  GatherCsrArgs bad = good;
  bad.begin = {};
  EXPECT_EQ(refusal(bad), "gather: sparse data need the begin of each row and the end of the last");
  bad = good;
  bad.value.size -= 1;
  EXPECT_NE(refusal(bad).find("values"), std::string::npos);
  bad = good;
  bad.rows.size = 1;
  EXPECT_EQ(refusal(bad), "gather: 1 row indices for a batch of 2 rows");
  BFloat16 rounded[12];
  bad = good;
  bad.rounded = {rounded, 3, 4};
  EXPECT_EQ(refusal(bad), "gather: a batch of 2 x 6, but room for 3 x 4 in bfloat16");
}

}  // namespace
}  // namespace felbo
