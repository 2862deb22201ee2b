#include "host/data/dataset.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "host/data/test_files.h"

namespace felbo {
namespace {

using test::expect_bad_input;
using test::floats;
using test::gzip;
using test::idx;
using test::npy;
using test::ramp;
using test::TempFolder;

/// An IDX file of `rows` 2 x 2 pictures of which every value is `value`.
std::string pictures(std::uint32_t rows, char value) {
  return idx(0x08, {rows, 2, 2}, std::string(4 * rows, value));
}

TEST(LoadData, FindsThePartsOfAFolder) {
  TempFolder folder;
  folder.write("train-images-idx3-ubyte.gz", gzip(pictures(3, 1)));
  folder.write("t10k-images-idx3-ubyte", pictures(2, 2));
  folder.write("train-labels-idx1-ubyte.gz", gzip(idx(0x08, {3}, "abc")));
  folder.write("README", "not data");
  folder.write("train-images-idx3-ubyte.gz.part", "half a download");
  folder.write("train-images-idx3-ubyte.gz.wrong", "a download that failed its check");
  folder.write("train-images-idx3-ubyte.bak", "a backup");
  std::filesystem::create_directory(folder.path("old-train-images"));
  const DataSet set = load_data(folder.path());
  EXPECT_EQ(set.spec, folder.path());
  EXPECT_EQ(set.train.rows, 3);
  EXPECT_EQ(set.train.bytes[0], 1);
  ASSERT_TRUE(set.test.has_value());
  EXPECT_EQ(set.test->rows, 2);
  EXPECT_EQ(set.test->bytes[0], 2);
  EXPECT_FALSE(set.valid.has_value());
}

TEST(LoadData, DoesNotReadADownloadThatFailedItsCheck) {
  const test::TempFolder folder;
  folder.write("train-images-idx3-ubyte.gz.wrong", "a download that failed its check");
  expect_bad_input([&] { load_data(folder.path()); }, {"train-images-idx3-ubyte.gz.wrong"});
}

TEST(LoadData, FindsPrefixedNamesAndAValidPart) {
  TempFolder folder;
  folder.write("binarized-train-images-idx3-ubyte.gz", gzip(pictures(3, 1)));
  folder.write("binarized-valid-images-idx3-ubyte.gz", gzip(pictures(2, 2)));
  folder.write("binarized-test-images-idx3-ubyte.gz", gzip(pictures(1, 3)));
  const DataSet set = load_data(folder.path() + "/");
  EXPECT_EQ(set.train.bytes[0], 1);
  EXPECT_EQ(set.valid.value().bytes[0], 2);
  EXPECT_EQ(set.test.value().bytes[0], 3);
}

TEST(LoadData, TakesTheOneImagesFileOfAFolder) {
  TempFolder folder;
  folder.write("freyfaces-images-idx3-ubyte", pictures(5, 9));
  const DataSet set = load_data(folder.path());
  EXPECT_EQ(set.train.rows, 5);
  EXPECT_FALSE(set.valid || set.test);
  folder.write("other-images-idx3-ubyte", pictures(5, 9));
  expect_bad_input(
      [&] { load_data(folder.path()); },
      {"2 files could be the train part (freyfaces-images-idx3-ubyte, other-images-idx3-ubyte)"});
}

TEST(LoadData, PrefersThePlainFileToItsGzip) {
  TempFolder folder;
  folder.write("train-images-idx3-ubyte", pictures(3, 1));
  folder.write("train-images-idx3-ubyte.gz", gzip(pictures(3, 2)));
  EXPECT_EQ(load_data(folder.path()).train.bytes[0], 1);
}

TEST(LoadData, RefusesAmbiguousAndEmptyFolders) {
  TempFolder folder;
  expect_bad_input([&] { load_data(folder.path()); }, {folder.path(), "no training images", "found nothing"});
  folder.write("t10k-images-idx3-ubyte", pictures(2, 2));
  folder.write("faces-images-idx3-ubyte", pictures(2, 2));
  expect_bad_input([&] { load_data(folder.path()); },
                   {"no training images", "found faces-images-idx3-ubyte, t10k-images-idx3-ubyte"});
  folder.write("a-train-images-idx3-ubyte", pictures(2, 2));
  folder.write("b-train-images-idx3-ubyte.gz", gzip(pictures(2, 2)));
  expect_bad_input(
      [&] { load_data(folder.path()); },
      {"2 files could be the train part (a-train-images-idx3-ubyte, b-train-images-idx3-ubyte.gz)"});
  for (int i = 10; i < 40; ++i) folder.write(fmt::format("c{}-train-images-idx3-ubyte", i), pictures(2, 2));
  expect_bad_input([&] { load_data(folder.path()); }, {"32 files could be", "and 16 more"});
}

TEST(LoadData, RefusesPartsThatDisagree) {
  TempFolder folder;
  folder.write("train-images-idx3-ubyte", pictures(3, 1));
  folder.write("t10k-images-idx3-ubyte", idx(0x08, {2, 2, 3}, ramp(12)));
  expect_bad_input(
      [&] { load_data(folder.path()); },
      {folder.path(), "the test part has 2 x 3 pictures of uint8, the train part 2 x 2 pictures of uint8"});
  folder.write("t10k-images-idx3-ubyte", idx(0x08, {2, 4}, ramp(8)));
  expect_bad_input([&] { load_data(folder.path()); }, {"the test part has 4 columns of uint8"});
  folder.write("t10k-images-idx3-ubyte", npy("<f4", "(1, 2, 2)", floats({1, 2, 3, 4})));
  expect_bad_input([&] { load_data(folder.path()); }, {"the test part has 2 x 2 pictures of float32"});
  folder.write("t10k-images-idx3-ubyte", pictures(2, 1));
  folder.write("valid-images-idx3-ubyte", idx(0x08, {2, 1, 1}, ramp(2)));
  expect_bad_input([&] { load_data(folder.path()); }, {"the valid part has 1 x 1 pictures"});
}

TEST(LoadData, NamesTheBrokenFileOfAFolder) {
  TempFolder folder;
  folder.write("train-images-idx3-ubyte", pictures(3, 1));
  folder.write("t10k-images-idx3-ubyte", pictures(3, 1).substr(0, 20));
  expect_bad_input([&] { load_data(folder.path()); }, {folder.path("t10k-images-idx3-ubyte"), "truncated"});
}

TEST(LoadData, TakesOneFileAsTheTrainPart) {
  TempFolder folder;
  const std::string path = folder.write("x.npy", npy("|u1", "(2, 3)", ramp(6)));
  const DataSet set = load_data(path);
  EXPECT_EQ(set.spec, path);
  EXPECT_EQ(set.train.cols, 3);
  EXPECT_FALSE(set.valid || set.test);
  expect_bad_input([&] { load_data(folder.path("absent")); },
                   {folder.path("absent"), "no such file or folder"});
}

TEST(LoadData, LoadsBuiltinSetsByNameAndSeed) {
  const DataSet zero = load_data("builtin:linear-gaussian");
  EXPECT_EQ(zero.spec, "builtin:linear-gaussian");
  EXPECT_EQ(zero.train.floats, load_data("builtin:linear-gaussian:0").train.floats);
  EXPECT_NE(zero.train.floats, load_data("builtin:linear-gaussian:18446744073709551615").train.floats);
  const DataSet glyphs = load_data("builtin:glyphs:3");
  EXPECT_EQ(glyphs.train.rows, 20000);
  EXPECT_EQ(glyphs.test.value().rows, 4000);
}

TEST(LoadData, RefusesUnknownBuiltinSetsAndSeeds) {
  expect_bad_input([] { load_data("builtin:mnist"); },
                   {"\"mnist\"", "builtin:glyphs and builtin:linear-gaussian"});
  expect_bad_input([] { load_data("builtin:"); }, {"no built-in data set \"\""});
  for (const std::string seed : {"", "x", "1x", "-1", "1.5", " 1", "18446744073709551616"}) {
    expect_bad_input([&] { load_data("builtin:glyphs:" + seed); },
                     {"the seed \"" + seed + "\"", "builtin:NAME:SEED"});
  }
  expect_bad_input([] { load_data(""); }, {"no data", "builtin:glyphs"});
}

/// Rows (i, i, i) for i = 0 ... rows - 1, with an exact log p(x) of -i.
DataSet counted_rows(std::int64_t rows) {
  DataSet set;
  set.spec = "counted";
  set.train.rows = rows;
  set.train.cols = 3;
  for (std::int64_t i = 0; i < rows; ++i) {
    set.train.floats.insert(set.train.floats.end(), 3, static_cast<float>(i));
    set.train.exact_log_px.push_back(static_cast<double>(-i));
  }
  return set;
}

/// The numbers of the rows of a part of counted_rows(), after a check that each row is whole.
std::vector<int> row_numbers(const DataPart& part) {
  EXPECT_EQ(part.floats.size(), static_cast<std::size_t>(part.rows * part.cols));
  EXPECT_EQ(part.exact_log_px.size(), static_cast<std::size_t>(part.rows));
  std::vector<int> numbers;
  for (std::int64_t i = 0; i < part.rows; ++i) {
    const float v = part.float_view()(i, 0);
    EXPECT_EQ(v, part.float_view()(i, 1));
    EXPECT_EQ(v, part.float_view()(i, 2));
    EXPECT_EQ(part.exact_log_px[i], -v);
    numbers.push_back(static_cast<int>(v));
  }
  return numbers;
}

TEST(HoldOut, SplitsTheRowsInOrder) {
  const DataSet set = hold_out(counted_rows(1001), 0.25);
  ASSERT_TRUE(set.valid.has_value());
  EXPECT_FALSE(set.test.has_value());
  EXPECT_EQ(set.valid->rows, 250);
  EXPECT_EQ(set.train.rows, 751);
  const std::vector<int> train = row_numbers(set.train), valid = row_numbers(*set.valid);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.end()));
  EXPECT_TRUE(std::is_sorted(valid.begin(), valid.end()));
  std::set<int> all(train.begin(), train.end());
  all.insert(valid.begin(), valid.end());
  EXPECT_EQ(all.size(), 1001u);
  // 250 draws: about 125 from the lower half, give or take 4 standard deviations of 6.8.
  const auto low = std::count_if(valid.begin(), valid.end(), [](int v) { return v < 500; });
  EXPECT_NEAR(static_cast<double>(low), 125.0, 28.0);
}

TEST(HoldOut, ChoosesTheSameRowsForEver) {
  EXPECT_EQ(row_numbers(*hold_out(counted_rows(20), 0.3).valid), (std::vector<int>{6, 11, 12, 13, 14, 16}));
}

TEST(HoldOut, KeepsTheKindOfTheData) {
  DataSet set;
  set.train.rows = 4;
  set.train.cols = 6;
  set.train.shape = {2, 3};
  set.train.bytes.resize(24);
  std::iota(set.train.bytes.begin(), set.train.bytes.end(), std::uint8_t{0});
  set = hold_out(set, 0.5);
  EXPECT_EQ(set.valid.value().shape, (ImageShape{2, 3}));
  EXPECT_EQ(set.valid->cols, 6);
  EXPECT_EQ(set.valid->bytes.size(), 12u);
  EXPECT_EQ(set.train.bytes.size(), 12u);
  EXPECT_TRUE(set.valid->exact_log_px.empty());
  EXPECT_EQ(set.valid->bytes[5] - set.valid->bytes[0], 5);
}

TEST(HoldOut, LeavesOtherSetsAlone) {
  EXPECT_FALSE(hold_out(counted_rows(10), 0.0).valid.has_value());
  DataSet with_test = counted_rows(10);
  with_test.test = counted_rows(2).train;
  EXPECT_EQ(hold_out(with_test, 0.5).train.rows, 10);
  DataSet with_valid = counted_rows(10);
  with_valid.valid = counted_rows(2).train;
  EXPECT_EQ(hold_out(with_valid, 0.5).valid->rows, 2);
}

TEST(HoldOut, RefusesWhatLeavesAPartEmpty) {
  for (const double fraction : {-0.1, 0.91, 1.0, std::nan("")}) {
    expect_bad_input([&] { hold_out(counted_rows(10), fraction); }, {"hold out", "expected 0 to 0.9"});
  }
  expect_bad_input([] { hold_out(counted_rows(1), 0.5); }, {"counted", "0.5 of 1 rows", "at least one"});
  expect_bad_input([] { hold_out(counted_rows(4), 0.1); }, {"0.1 of 4 rows leaves 4 to train on and 0"});
}

DataPart byte_part(std::int64_t rows, std::vector<std::uint8_t> bytes) {
  DataPart part;
  part.rows = rows;
  part.cols = static_cast<std::int64_t>(bytes.size()) / rows;
  part.bytes = std::move(bytes);
  return part;
}

DataPart float_part(std::int64_t rows, std::vector<float> values) {
  DataPart part;
  part.rows = rows;
  part.cols = static_cast<std::int64_t>(values.size()) / rows;
  part.floats = std::move(values);
  return part;
}

TEST(Summary, GivesTheRangeAsAModelSeesIt) {
  const DataSummary bytes = summarize(byte_part(2, {51, 102, 255, 51}));
  EXPECT_FLOAT_EQ(bytes.min, 0.2f);
  EXPECT_EQ(bytes.max, 1.0f);
  EXPECT_FALSE(bytes.all_binary);
  const DataSummary values = summarize(float_part(2, {-3.0f, 0.5f, 0.0f, 7.5f}));
  EXPECT_EQ(values.min, -3.0f);
  EXPECT_EQ(values.max, 7.5f);
  EXPECT_FALSE(values.all_binary);
}

TEST(Summary, KnowsBinaryData) {
  EXPECT_TRUE(summarize(byte_part(1, {0, 255, 255})).all_binary);
  EXPECT_FALSE(summarize(byte_part(1, {0, 1, 1})).all_binary);  // 1 / 255 is grey
  EXPECT_TRUE(summarize(float_part(1, {0.0f, 1.0f})).all_binary);
  EXPECT_FALSE(summarize(float_part(1, {0.0f, 1.0f, 255.0f})).all_binary);
  EXPECT_FALSE(summarize(float_part(1, {0.0f, 0.99999994f})).all_binary);
}

TEST(Summary, GivesMeansAndVariances) {
  // Columns (51, 153) and (255, 0) of bytes: means 0.4 and 0.5, variances 0.04 and 0.25.
  const DataPart bytes = byte_part(2, {51, 255, 153, 0});
  const std::vector<double> means = column_means(bytes);
  ASSERT_EQ(means.size(), 2u);
  // A handful of roundings in double.
  EXPECT_NEAR(means[0], 0.4, 1e-15);
  EXPECT_NEAR(means[1], 0.5, 1e-15);
  EXPECT_NEAR(mean_column_variance(bytes), 0.145, 1e-15);
  const DataPart values = float_part(3, {1e6f, -1.0f, 1e6f, 1.0f, 1e6f + 3.0f, 0.0f});
  EXPECT_NEAR(column_means(values)[0], 1e6 + 1.0, 1e-9);
  // Columns of variance 2 and 2/3; a one-pass sum of squares would lose digits to the mean of a million.
  EXPECT_NEAR(mean_column_variance(values), 4.0 / 3.0, 1e-9);
}

/// The real files, where FELBO_DATA_DIR says that they are.
class RealData : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("FELBO_DATA_DIR");
    if (folder == nullptr)
      GTEST_SKIP() << "FELBO_DATA_DIR is not set: the readers were NOT tried on real data";
    folder_ = folder;
  }
  std::string folder_;
};

TEST_F(RealData, Mnist) {
  const DataSet set = load_data(folder_ + "/mnist");
  EXPECT_EQ(set.train.rows, 60000);
  EXPECT_EQ(set.test.value().rows, 10000);
  EXPECT_EQ(set.train.cols, 784);
  EXPECT_EQ(set.train.shape, (ImageShape{28, 28}));
  const std::vector<double> means = column_means(set.train);
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / 784.0;
  double variance = mean_column_variance(set.train);
  for (const double m : means) variance += (m - mean) * (m - mean) / 784.0;
  // The well-known figures, given to six decimals.
  EXPECT_NEAR(mean, 0.130660, 5e-7);
  EXPECT_NEAR(std::sqrt(variance), 0.308108, 5e-7);
  EXPECT_FALSE(summarize(set.train).all_binary);
}

TEST_F(RealData, BinarizedMnist) {
  const DataSet set = load_data(folder_ + "/binarized-mnist");
  EXPECT_EQ(set.train.rows, 50000);
  EXPECT_EQ(set.valid.value().rows, 10000);
  EXPECT_EQ(set.test.value().rows, 10000);
  for (const DataPart* part : {&set.train, &*set.valid, &*set.test}) EXPECT_TRUE(summarize(*part).all_binary);
}

TEST_F(RealData, FreyFaces) {
  const DataSet set = load_data(folder_ + "/frey");
  EXPECT_EQ(set.train.rows, 1965);
  EXPECT_EQ(set.train.cols, 560);
  EXPECT_EQ(set.train.shape, (ImageShape{28, 20}));
  EXPECT_FALSE(set.valid || set.test);
}

}  // namespace
}  // namespace felbo
