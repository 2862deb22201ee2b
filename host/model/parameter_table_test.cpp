#include "host/model/parameter_table.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace felbo {
namespace {

using Shape = std::vector<std::int64_t>;

TEST(ParameterTable, PlacesTensorsSideBySideOnCacheLines) {
  ParameterTable table;
  EXPECT_EQ(table.size(), 0);
  EXPECT_EQ(table.parameters(), 0);
  const std::vector<Shape> shapes{{1}, {15}, {16}, {17}, {3, 5}, {4, 4}, {2, 3, 5}};
  for (std::size_t i = 0; i < shapes.size(); ++i)
    EXPECT_EQ(table.add("tensor" + std::to_string(i), shapes[i]), static_cast<int>(i));
  std::int64_t end = 0, count = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const ParameterEntry& entry = table[static_cast<int>(i)];
    EXPECT_EQ(entry.name, "tensor" + std::to_string(i));
    EXPECT_EQ(entry.shape, shapes[i]);
    EXPECT_EQ(entry.offset % 16, 0) << i;
    EXPECT_GE(entry.offset, end) << i << " overlaps";
    EXPECT_LT(entry.offset - end, 16) << i << ": a hole";
    std::int64_t size = 1;
    for (const std::int64_t extent : shapes[i]) size *= extent;
    EXPECT_EQ(entry.size, size);
    end = entry.offset + entry.size;
    count += size;
  }
  EXPECT_GE(table.size(), end);
  EXPECT_EQ(table.size() % 16, 0);
  EXPECT_EQ(table.parameters(), count);
  EXPECT_EQ(table.entries().size(), shapes.size());
}

TEST(ParameterTable, ViewsCarveTheFlatBuffer) {
  ParameterTable table;
  table.add("first", {3});
  const int second = table.add("second", {2, 3, 5});
  std::vector<float> flat(static_cast<std::size_t>(table.size()));
  const View<float, 1> view{flat.data(), table.size()};
  const View<float, 2> matrix = matrix_of(view, table[second]);
  EXPECT_EQ(matrix.rows, 2);
  EXPECT_EQ(matrix.cols, 15);
  EXPECT_EQ(matrix.stride, 15);
  EXPECT_EQ(matrix.data, flat.data() + 16);
  const View<const float, 1> vector = vector_of(View<const float, 1>(view), table[second]);
  EXPECT_EQ(vector.size, 30);
  EXPECT_EQ(vector.data, flat.data() + 16);
}

std::string refusal(ParameterTable& table, const std::string& name, const Shape& shape) {
  try {
    table.add(name, shape);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(ParameterTable, RefusesTwoOfAKindAndEmptyTensors) {
  ParameterTable table;
  table.add("bias", {4});
  EXPECT_EQ(refusal(table, "bias", {5}), "parameter bias stands twice");
  EXPECT_EQ(refusal(table, "weight", {3, 0}), "parameter weight: every dimension must be positive, got 0");
  EXPECT_EQ(refusal(table, "weight", {-1}), "parameter weight: every dimension must be positive, got -1");
  EXPECT_EQ(table.entries().size(), 1u);
  EXPECT_EQ(table.size(), 16);
}

TEST(ParameterTable, RefusesSizesThatOverflowOrThatNoMachineHolds) {
  ParameterTable table;
  const std::int64_t many = std::int64_t{1} << 47;
  EXPECT_EQ(refusal(table, "weight", {1'000'000, 2 * many}),
            "parameter weight of 1000000 x 281474976710656: a model of more than 2^48 numbers");
  EXPECT_EQ(refusal(table, "weight", {2 * many, 1, 2}),
            "parameter weight of 281474976710656 x 1 x 2: a model of more than 2^48 numbers");
  table.add("half", {many});
  table.add("bias", {many - 16});
  EXPECT_EQ(refusal(table, "weight", {17}), "parameter weight of 17: a model of more than 2^48 numbers");
  EXPECT_EQ(table.entries().size(), 2u);
}

}  // namespace
}  // namespace felbo
