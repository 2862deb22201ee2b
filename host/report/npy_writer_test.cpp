#include "host/report/npy_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::run_python;
using testing_files::TempFolder;
using testing_files::write_bytes;

TEST(NpyWriterTest, TheBytesAreTheFormats) {
  const TempFolder folder;
  const std::vector<float> values = {1.0f, -2.5f, 0.1f};
  write_npy(folder / "a.npy", values, {3});
  const std::string bytes = read_bytes(folder / "a.npy");
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  ASSERT_EQ(bytes.size(), 128u + 12);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));  // 0x76 = 118 = 128 - 10
  EXPECT_EQ(bytes.substr(10, 118), header + std::string(117 - header.size(), ' ') + "\n");
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values.data(), 12), 0);
}

TEST(NpyWriterTest, DataIsAlignedWhateverTheHeadersLength) {
  const TempFolder folder;
  std::vector<std::int64_t> shape;
  for (int dimensions = 0; dimensions <= 32; ++dimensions) {
    const std::vector<std::uint8_t> one = {7};
    write_npy(folder / "a.npy", one, shape);
    const std::string bytes = read_bytes(folder / "a.npy");
    EXPECT_EQ((bytes.size() - 1) % 64, 0u) << dimensions;
    EXPECT_EQ(bytes[bytes.size() - 2], '\n') << dimensions;
    EXPECT_EQ(static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]),
              bytes.size() - 11);
    shape.push_back(1);
  }
}

TEST(NpyWriterTest, NumpyReadsItBack) {
  FELBO_NEEDS_PYTHON();
  const TempFolder folder;
  const std::vector<float> floats = {1.0f, -0.0f, std::numeric_limits<float>::quiet_NaN(),
                                     0.1f, 5.0f,  -1e-40f};
  const std::vector<double> doubles = {0.1, -std::numeric_limits<double>::infinity()};
  std::vector<std::uint8_t> bytes(24);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(255 - i);
  write_npy(folder / "1.npy", floats, {2, 3});
  write_npy(folder / "2.npy", doubles, {2});
  write_npy(folder / "3.npy", bytes, {2, 3, 4});
  write_npy(folder / "4.npy", std::vector<float>{2.5f}, {});
  write_npy(folder / "5.npy", std::vector<double>{}, {0, 784});
  const std::string output = run_python(folder, R"(
import sys, numpy as np
for i in range(1, 6):
    a = np.load(f"{sys.argv[1]}/{i}.npy", allow_pickle=False)
    m = np.load(f"{sys.argv[1]}/{i}.npy", mmap_mode="r") if a.size else a
    print(a.dtype.str, a.shape, a.flags.c_contiguous, a.tobytes().hex(), m.shape == a.shape)
)",
                                        {folder.path().string()});
  EXPECT_EQ(output,
            "<f4 (2, 3) True 0000803f000000800000c07fcdcccc3d0000a040c2160180 True\n"
            "<f8 (2,) True 9a9999999999b93f000000000000f0ff True\n"
            "|u1 (2, 3, 4) True fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8 True\n"
            "<f4 () True 00002040 True\n"
            "<f8 (0, 784) True  True\n");
}

TEST(NpyWriterTest, ShapesThatDoNotFitAreRefusedAndTheOldFileStays) {
  const TempFolder folder;
  write_bytes(folder / "a.npy", "old");
  const std::vector<float> values(6);
  const auto message = [&](const std::vector<std::int64_t>& shape) {
    return message_of<std::invalid_argument>([&] { write_npy(folder / "a.npy", values, shape); });
  };
  EXPECT_TRUE(has(message({2, 2}), "a.npy: shape (2, 2) does not fit 6 values"));
  EXPECT_TRUE(has(message({}), "does not fit 6 values"));
  EXPECT_TRUE(has(message({-2, -3}), "shape (-2, -3) does not fit 6 values"));
  const std::int64_t large = std::int64_t{1} << 33;
  EXPECT_TRUE(has(message({large, large, 6}), "does not fit 6 values"));
  EXPECT_TRUE(has(message(std::vector<std::int64_t>(33, 1)), "at most 32 dimensions, not 33"));
  EXPECT_EQ(read_bytes(folder / "a.npy"), "old");
}

}  // namespace
}  // namespace felbo
