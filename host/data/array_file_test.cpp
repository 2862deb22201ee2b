#include "host/data/array_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "host/data/test_files.h"

namespace felbo {
namespace {

using test::big_endian;
using test::expect_bad_input;
using test::floats;
using test::gzip;
using test::idx;
using test::npy;
using test::npy_with_header;
using test::ramp;
using test::TempFolder;

std::vector<std::uint8_t> to_bytes(const std::string& s) { return {s.begin(), s.end()}; }

/// The floats as IDX stores them.
std::string big_endian_floats(const std::vector<float>& values) {
  std::string s = floats(values);
  for (std::size_t i = 0; i < s.size(); i += 4) std::reverse(s.begin() + i, s.begin() + i + 4);
  return s;
}

class ArrayFile : public testing::Test {
 protected:
  DataPart read(const std::string& content) { return read_array_file(folder_.write("file", content)); }
  /// Expects `content` to be refused with a message that names the file and holds `parts`.
  void expect_refused(const std::string& content, std::vector<std::string> parts) {
    const std::string path = folder_.write("file", content);
    parts.push_back(path);
    expect_bad_input([&] { read_array_file(path); }, parts);
  }
  TempFolder folder_;
};

TEST_F(ArrayFile, ReadsIdxPictures) {
  const DataPart part = read(idx(0x08, {3, 2, 5}, ramp(30, 7)));
  EXPECT_EQ(part.rows, 3);
  EXPECT_EQ(part.cols, 10);
  EXPECT_EQ(part.shape, (ImageShape{2, 5}));
  EXPECT_EQ(part.bytes, to_bytes(ramp(30, 7)));
  EXPECT_TRUE(part.floats.empty());
  EXPECT_EQ(part.byte_view()(2, 1), (21 * 7) % 256);
  EXPECT_THROW(part.float_view(), std::invalid_argument);
}

TEST_F(ArrayFile, ReadsIdxRowsOfFloats) {
  const std::vector<float> values = {0.0f, -1.5f, 3.25e-20f, 1.0f, 7.0f, -0.1f};
  const DataPart part = read(idx(0x0d, {2, 3}, big_endian_floats(values)));
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 3);
  EXPECT_EQ(part.shape, ImageShape{});
  EXPECT_EQ(part.floats, values);
  EXPECT_FALSE(part.is_bytes());
  EXPECT_THROW(part.byte_view(), std::invalid_argument);
}

TEST_F(ArrayFile, ReadsNpyOfEveryVersion) {
  const std::vector<float> values = {0.5f, -1.5f, 2.0f, 8.0f};
  for (int version = 1; version <= 3; ++version) {
    const DataPart bytes = read(npy("|u1", "(3, 4)", ramp(12, 3), version));
    EXPECT_EQ(bytes.rows, 3);
    EXPECT_EQ(bytes.cols, 4);
    EXPECT_EQ(bytes.shape, ImageShape{});
    EXPECT_EQ(bytes.bytes, to_bytes(ramp(12, 3)));
    const DataPart pictures = read(npy("<f4", "(1, 2, 2)", floats(values), version));
    EXPECT_EQ(pictures.rows, 1);
    EXPECT_EQ(pictures.shape, (ImageShape{2, 2}));
    EXPECT_EQ(pictures.floats, values);
  }
}

TEST_F(ArrayFile, ReadsNpyHeadersInOtherSpellings) {
  const std::string header = "{\"shape\":(2,2),\"fortran_order\":False,\"descr\":\"|u1\"}";
  EXPECT_EQ(read(npy_with_header(1, header, ramp(4))).bytes, to_bytes(ramp(4)));
}

TEST_F(ArrayFile, FindsGzipByContent) {
  EXPECT_EQ(read(gzip(idx(0x08, {1, 3}, "abc"))).bytes, to_bytes("abc"));
  EXPECT_EQ(read(gzip(npy("|u1", "(1, 3)", "abc"))).bytes, to_bytes("abc"));
}

TEST_F(ArrayFile, ReadsGzipOfManyBlocksAndMembers) {
  // More than the first 2^20 bytes that are made room for, cut inside the header and inside the values.
  const std::string whole = idx(0x08, {3333, 1001}, ramp(3333 * 1001, 31));
  const std::string members =
      gzip(whole.substr(0, 5)) + gzip(whole.substr(5, 2000000)) + gzip(whole.substr(2000005));
  const DataPart part = read(members);
  EXPECT_EQ(part.rows, 3333);
  EXPECT_EQ(part.cols, 1001);
  EXPECT_TRUE(part.bytes == to_bytes(ramp(3333 * 1001, 31)));
}

TEST_F(ArrayFile, ReadsTheLastByteOfASmallFile) {
  // The whole file is no longer than the head that the format is found by.
  EXPECT_EQ(read(idx(0x08, {1, 1}, "z")).bytes, to_bytes("z"));
}

TEST_F(ArrayFile, RefusesTruncatedIdx) {
  const std::string whole = idx(0x08, {3, 2, 5}, ramp(30));
  expect_refused(whole.substr(0, 45), {"asks for 30 bytes", "from byte 16", "only 29", "truncated"});
  expect_refused(whole.substr(0, 9),
                 {"ends at byte 9", "IDX header", "4 bytes expected from byte 8, 1 found"});
  expect_refused(whole.substr(0, 4), {"ends at byte 4", "IDX header"});
}

TEST_F(ArrayFile, RefusesTruncatedGzip) {
  const std::string whole = gzip(idx(0x08, {100, 10}, ramp(1000, 77)));
  const std::string size = std::to_string(whole.size() - 9);
  expect_refused(whole.substr(0, whole.size() - 9),
                 {"gzip file ends in the middle", "at byte " + size, "truncated"});
  // All values are there, but not the checksum.
  expect_refused(whole.substr(0, whole.size() - 1), {"gzip file ends in the middle", "truncated"});
  expect_refused(whole.substr(0, 5), {"gzip file ends in the middle", "at byte 5"});
  // A whole gzip file of too few values.
  expect_refused(gzip(idx(0x08, {100, 10}, ramp(999))),
                 {"decompressed data ends at byte 1011", "1000 bytes expected from byte 12, 999 found"});
}

TEST_F(ArrayFile, RefusesCorruptGzip) {
  std::string checksum = gzip(idx(0x08, {100, 10}, ramp(1000, 77)));
  checksum[checksum.size() - 6] ^= 1;
  expect_refused(checksum, {"corrupt gzip data", "incorrect data check"});
  std::string length = gzip(idx(0x08, {1, 3}, "abc"));
  length.back() ^= 1;
  expect_refused(length, {"corrupt gzip data", "incorrect length check"});
  std::string block = gzip(idx(0x08, {100, 10}, ramp(1000, 77)));
  block[10] = '\x07';  // the last block, of a type that does not exist
  expect_refused(block, {"corrupt gzip data", "invalid block type"});
}

TEST_F(ArrayFile, RefusesBytesAfterTheData) {
  expect_refused(idx(0x08, {1, 3}, "abcdef"), {"data end at byte 15", "3 bytes follow"});
  expect_refused(idx(0x08, {1, 1}, "ab"), {"data end at byte 13", "1 bytes follow"});
  expect_refused(npy("|u1", "(1, 3)", "abcd"), {"data end at byte 131", "1 bytes follow"});
  expect_refused(gzip(idx(0x08, {1, 3}, "abcd")), {"data end at byte 15", "bytes follow"});
  const std::string whole = gzip(idx(0x08, {1, 3}, "abc"));
  expect_refused(whole + "junk", {"not gzip", "from byte " + std::to_string(whole.size())});
}

TEST_F(ArrayFile, RefusesSizesThatOverflowOrExceedTheFile) {
  const std::uint32_t huge = 0xffffffff;
  expect_refused(idx(0x08, {huge, huge, huge}, "abc"), {"4294967295 x 4294967295 x 4294967295", "damaged"});
  expect_refused(npy("<f4", "(4611686018427387904, 2)", "abc"), {"4611686018427387904 x 2", "damaged"});
  expect_refused(npy("|u1", "(99999999999999999999, 2)", "abc"), {"malformed .npy header"});
  // Two to the 40th bytes would not fit in memory: the refusal comes before they are asked for.
  expect_refused(idx(0x08, {1 << 16, 1 << 16, 1 << 8}, "abc"), {"asks for 1099511627776 bytes", "only 3"});
  expect_refused(gzip(idx(0x08, {1 << 16, 1 << 16, 1 << 8}, "abc")),
                 {"asks for 1099511627776 bytes", "compressed data of this size"});
  // Of gzip nobody knows the size: a claim that may be true takes memory only as bytes arrive.
  expect_refused(gzip(idx(0x08, {1 << 6, 1 << 10, 1 << 10}, "abc")),
                 {"ends at byte 19", "1048576 bytes expected from byte 16, 3 found"});
  expect_refused(gzip(idx(0x0d, {1 << 6, 1 << 10, 1 << 10}, "abc")), {"asks for 268435456 bytes"});
}

TEST_F(ArrayFile, RefusesEmptyArrays) {
  expect_refused(idx(0x08, {0, 28, 28}, ""), {"0 x 28 x 28", "no rows"});
  expect_refused(idx(0x08, {5, 0, 28}, ""), {"5 x 0 x 28", "no columns"});
  expect_refused(npy("<f4", "(0, 4)", ""), {"0 x 4", "no rows"});
  expect_refused(npy("<f4", "(4, 0)", ""), {"4 x 0", "no columns"});
}

TEST_F(ArrayFile, RefusesOtherNumbersOfDimensions) {
  expect_refused(idx(0x08, {3}, "abc"), {"1 dimension;", "expected 2", "labels"});
  expect_refused(idx(0x08, {1, 1, 3, 1}, "abc"), {"4 dimensions;", "rows x height x width"});
  expect_refused(idx(0x08, {}, "abc"), {"0 dimensions;"});
  expect_refused(npy("|u1", "(3,)", "abc"), {"1 dimension;"});
  expect_refused(npy("|u1", "()", "a"), {"0 dimensions;"});
  expect_refused(npy("|u1", "(1, 1, 1, 1)", "a"), {"4 dimensions;"});
}

TEST_F(ArrayFile, RefusesOtherIdxTypes) {
  expect_refused(idx(0x09, {1, 1}, "a"), {"type 09 (int8)", "expected 08 (uint8) or 0d (float32)"});
  expect_refused(idx(0x0b, {1, 1}, "ab"), {"type 0b (int16)"});
  expect_refused(idx(0x0c, {1, 1}, "abcd"), {"type 0c (int32)"});
  expect_refused(idx(0x0e, {1, 1}, "abcdefgh"), {"type 0e (float64)"});
  expect_refused(idx(0x77, {1, 1}, "a"), {"type 77 (unknown)"});
}

TEST_F(ArrayFile, RefusesOtherNpyTypesAndOrders) {
  expect_refused(npy("<f8", "(1, 1)", "abcdefgh"), {"'<f8'", "astype('float32')"});
  expect_refused(npy(">f4", "(1, 1)", "abcd"), {"'>f4'"});
  expect_refused(npy("|b1", "(1, 1)", "a"), {"'|b1'"});
  expect_refused(npy("<f4", "(1, 1)", "abcd", 1, "True"), {"Fortran order", "ascontiguousarray"});
  expect_refused(
      npy_with_header(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }", "abcd"),
      {"[('a', '<f4')]", "not supported"});
}

TEST_F(ArrayFile, RefusesDamagedNpyHeaders) {
  std::string version = npy("|u1", "(1, 1)", "a");
  version[6] = 4;
  expect_refused(version, {"version 4.0", "byte 6", "expected 1.0, 2.0 or 3.0"});
  expect_refused(npy("|u1", "(1, 1)", "a").substr(0, 30), {"ends at byte 30", ".npy header"});
  expect_refused(npy("|u1", "(1, 1)", "a").substr(0, 7), {"ends at byte 7", "version"});
  std::string length = npy("|u1", "(1, 1)", "a", 2);
  length[11] = '\x7f';
  expect_refused(length, {"header is 21307", "damaged"});
  for (const std::string header : {
           "",
           "{",
           "{}",
           "not a dict",
           "{'descr': '|u1', 'fortran_order': False}",
           "{'descr': '|u1', 'fortran_order': 0, 'shape': (1, 1)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, -1)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, x)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1}",
           "{'descr': '|u1, 'fortran_order': False, 'shape': (1, 1)}",
           "{'descr': [, 'fortran_order': False, 'shape': (1, 1)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1), 'more': 1}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1)} more",
       }) {
    expect_refused(npy_with_header(1, header, "a"), {"malformed .npy header", "numpy.save"});
  }
  expect_refused(npy_with_header(1, "{'descr': '', 'fortran_order': False, 'shape': (1, 1)}", "a"),
                 {"type ''"});
}

TEST_F(ArrayFile, RefusesWrongMagic) {
  expect_refused("\x89PNG\r\n", {"begins with 89 50 4e 47", "expected an IDX file"});
  expect_refused("ab", {"begins with 61 62,"});
  expect_refused(std::string("\0\0", 2), {"begins with 00 00,"});
  expect_refused(gzip("hello"), {"begins with 68 65 6c 6c"});
  expect_refused("", {"empty"});
  expect_refused(gzip(""), {"empty"});
}

TEST_F(ArrayFile, NamesTheRowAndColumnThatIsNotFinite) {
  std::vector<float> values(35, 1.0f);
  values[17] = std::numeric_limits<float>::quiet_NaN();
  expect_refused(npy("<f4", "(5, 7)", floats(values)), {"row 2, column 3", "nan"});
  expect_refused(idx(0x0d, {5, 7}, big_endian_floats(values)), {"row 2, column 3", "nan"});
  values[17] = 1.0f;
  values[34] = -std::numeric_limits<float>::infinity();
  expect_refused(npy("<f4", "(5, 7)", floats(values)), {"row 4, column 6", "-inf"});
}

TEST_F(ArrayFile, RefusesWhatIsNoReadableFile) {
  expect_bad_input([&] { read_array_file(folder_.path("absent")); },
                   {folder_.path("absent"), "no such file"});
  expect_bad_input([&] { read_array_file(folder_.path()); }, {folder_.path(), "is a folder"});
  ASSERT_EQ(mkfifo(folder_.path("pipe").c_str(), 0600), 0);
  expect_bad_input([&] { read_array_file(folder_.path("pipe")); }, {"not a regular file"});
}

TEST_F(ArrayFile, RefusesAFileWithoutPermission) {
  const std::string path = folder_.write("secret", idx(0x08, {1, 1}, "a"));
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  const uid_t user = geteuid();
  // The superuser may read everything: act as somebody else for a moment.
  if (user == 0 && (chmod(folder_.path().c_str(), 0755) != 0 || seteuid(65534) != 0)) {
    GTEST_SKIP() << "the superuser here cannot act as another user: permissions were NOT tried";
  }
  expect_bad_input([&] { read_array_file(path); }, {path, "Permission denied"});
  if (user == 0) {
    ASSERT_EQ(seteuid(0), 0);
  }
}

}  // namespace
}  // namespace felbo
