#include "host/data/spread_rows.h"

#include <gtest/gtest.h>

namespace felbo {
namespace {

TEST(SpreadRows, TakesRowsOfTheWholePart) {
  DataPart part{.rows = 7,
                .cols = 2,
                .shape = {1, 2},
                .bytes = {},
                .divisor = 255.0f,
                .floats = {0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5},
                .exact_log_px = {-0.0, -1, -2, -3, -4, -5, -6}};
  const DataPart few = spread_rows(part, 3);
  EXPECT_EQ(few.rows, 3);
  EXPECT_EQ(few.shape, part.shape);
  EXPECT_EQ(few.floats, (std::vector<float>{0, 0.5, 2, 2.5, 4, 4.5}));
  EXPECT_EQ(few.exact_log_px, (std::vector<double>{0, -2, -4}));
  EXPECT_EQ(spread_rows(part, 7).floats, part.floats);
  EXPECT_EQ(spread_rows(part, 1).floats, (std::vector<float>{0, 0.5}));
}

TEST(SpreadRows, KeepsSparseRowsSparse) {
  // Rows (0, 0, 5), (), (1, 2, 0), (0, 7, 0).
  DataPart part;
  part.rows = 4;
  part.cols = 3;
  part.sparse = CsrRows{{0, 1, 1, 3, 4}, {2, 0, 1, 1}, {5, 1, 2, 7}};
  const DataPart few = spread_rows(part, 2);
  ASSERT_TRUE(few.is_sparse());
  EXPECT_EQ(few.sparse->begin, (std::vector<std::int64_t>{0, 1, 3}));
  EXPECT_EQ(few.sparse->column, (std::vector<std::uint32_t>{2, 0, 1}));
  EXPECT_EQ(few.sparse->value, (std::vector<float>{5, 1, 2}));
  EXPECT_EQ(spread_rows(part, 4).sparse->begin, part.sparse->begin);
}

TEST(SpreadRows, KeepsBytesAndTheirDivisor) {
  const DataPart part{.rows = 4,
                      .cols = 1,
                      .shape = {},
                      .bytes = {10, 20, 30, 40},
                      .divisor = 1.0f,
                      .floats = {},
                      .exact_log_px = {}};
  const DataPart few = spread_rows(part, 2);
  EXPECT_EQ(few.bytes, (std::vector<std::uint8_t>{10, 30}));
  EXPECT_EQ(few.divisor, 1.0f);
  EXPECT_TRUE(few.floats.empty() && few.exact_log_px.empty());
  for (const std::int64_t count : {0, -1, 5}) EXPECT_THROW(spread_rows(part, count), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
