#include "host/data/npz.h"

#include <gtest/gtest.h>
#include <zip.h>

#include <cmath>
#include <cstdlib>
#include <numeric>

#include "host/data/dataset.h"
#include "host/data/test_files.h"

namespace felbo {
namespace {

using test::expect_bad_input;
using test::npy;
using test::TempFolder;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
template <class T>
std::string vector_npy(const std::string& type, const std::vector<T>& values) {
  return npy(type, "(" + std::to_string(values.size()) + ",)", bytes_of(values));
}

/// The members of
///   0 2 0 1
///   0 0 0 0
///   3 0 0 0
struct Members {
  std::string format = npy("|S3", "()", "csr");
  std::string shape = vector_npy<std::int64_t>("<i8", {3, 4});
  std::string indptr = vector_npy<std::int32_t>("<i4", {0, 2, 2, 3});
  std::string indices = vector_npy<std::int32_t>("<i4", {1, 3, 0});
  std::string data = vector_npy<float>("<f4", {2, 1, 3});
};

/// Writes an archive of the members that are not empty.
std::string write_archive(const TempFolder& folder, const Members& m, bool compressed = false) {
  const std::string path = folder.path("x.npz");
  std::remove(path.c_str());
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  const auto add = [&](const char* name, const std::string& content) {
    if (content.empty()) return;
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const auto index = static_cast<zip_uint64_t>(zip_file_add(archive, name, source, 0));
    zip_set_file_compression(archive, index, compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  };
  add("indices.npy", m.indices);
  add("indptr.npy", m.indptr);
  add("format.npy", m.format);
  add("shape.npy", m.shape);
  add("data.npy", m.data);
  EXPECT_EQ(zip_close(archive), 0);
  return path;
}

void expect_example(const DataPart& part) {
  EXPECT_EQ(part.rows, 3);
  EXPECT_EQ(part.cols, 4);
  EXPECT_EQ(part.shape, ImageShape{});
  ASSERT_TRUE(part.is_sparse());
  EXPECT_FALSE(part.is_bytes());
  EXPECT_EQ(part.sparse->begin, (std::vector<std::int64_t>{0, 2, 2, 3}));
  EXPECT_EQ(part.sparse->column, (std::vector<std::uint32_t>{1, 3, 0}));
  EXPECT_EQ(part.sparse->value, (std::vector<float>{2, 1, 3}));
}

TEST(Npz, ReadsEveryTypeCompressedAndNot) {
  const TempFolder folder;
  for (const bool compressed : {false, true}) {
    for (int type = 0; type < 5; ++type) {
      Members m;
      if (type == 1) m.data = vector_npy<std::uint8_t>("|u1", {2, 1, 3});
      if (type == 2) m.data = vector_npy<std::int32_t>("<i4", {2, 1, 3});
      if (type == 3) m.data = vector_npy<std::int64_t>("<i8", {2, 1, 3});
      if (type == 4) m.data = vector_npy<double>("<f8", {2, 1, 3});
      if (type == 4) m.indptr = vector_npy<std::int64_t>("<i8", {0, 2, 2, 3});
      if (type == 4) m.indices = vector_npy<std::int64_t>("<i8", {1, 3, 0});
      expect_example(read_npz(write_archive(folder, m, compressed)));
      expect_example(load_data(folder.path("x.npz")).train);
    }
  }
}

// As scipy does: columns in any order, and elements of the same place are added.
TEST(Npz, PutsColumnsInOrderAndAddsDuplicates) {
  const TempFolder folder;
  Members m;
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 4, 4, 6});
  m.indices = vector_npy<std::int32_t>("<i4", {3, 1, 1, 1, 0, 0});
  m.data = vector_npy<float>("<f4", {1, 0.5f, 1, 0.5f, 4, -1});
  expect_example(read_npz(write_archive(folder, m)));
}

TEST(Npz, MayHaveNoElements) {
  const TempFolder folder;
  Members m;
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 0, 0, 0});
  m.indices = vector_npy<std::int32_t>("<i4", {});
  m.data = vector_npy<float>("<f4", {});
  const DataPart part = read_npz(write_archive(folder, m));
  EXPECT_TRUE(part.sparse->value.empty());
  EXPECT_EQ(column_means(part), std::vector<double>(4, 0.0));
  EXPECT_EQ(mean_column_variance(part), 0.0);
}

TEST(Npz, RefusesWhatIsNoSparseMatrix) {
  const TempFolder folder;
  const auto refused = [&](const Members& m, const std::vector<std::string>& parts) {
    const std::string path = write_archive(folder, m);
    expect_bad_input([&] { read_npz(path); }, parts);
  };
  Members m;
  m.format = npy("|S3", "()", "csc");
  refused(m, {"x.npz: a sparse matrix of format csc; expected csr", "save_npz(FILE, matrix.tocsr())"});
  m.format = npy("<U3", "()", std::string("c\0\0\0o\0\0\0o\0\0\0", 12));
  refused(m, {"format coo"});
  m.format = npy("<f4", "()", "abcd");
  refused(m, {"format.npy: type '<f4'; expected the name of a sparse format"});
  m.format = npy("|S900000", "()", "csr");
  refused(m, {"expected the name of a sparse format"});
  m.format = "";
  refused(m, {"x.npz: the archive has no format.npy", "scipy.sparse.save_npz", "numpy.save"});
  m = {};
  m.data = "";
  refused(m, {"has no data.npy"});
  m = {};
  m.shape = vector_npy<std::int64_t>("<i8", {3});
  refused(m, {"shape.npy: 1 values; expected 2"});
  m.shape = vector_npy<std::int64_t>("<i8", {0, 4});
  refused(m, {"the matrix is 0 x 4"});
  m.shape = vector_npy<std::int64_t>("<i8", {3, std::int64_t{1} << 40});
  refused(m, {"the matrix is 3 x 1099511627776"});
  m.shape = vector_npy<double>("<f8", {3, 4});
  refused(m, {"shape.npy: type '<f8'; expected int32 or int64"});
}

TEST(Npz, RefusesElementsThatDoNotFit) {
  const TempFolder folder;
  const auto refused = [&](const Members& m, const std::vector<std::string>& parts) {
    const std::string path = write_archive(folder, m);
    expect_bad_input([&] { read_npz(path); }, parts);
  };
  Members m;
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 2, 3});
  refused(m, {"indptr.npy: 3 values; expected 4"});
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 2, 1, 3});
  refused(m, {"indptr falls from 2 to 1 at row 1 (from 0)"});
  m.indptr = vector_npy<std::int32_t>("<i4", {1, 2, 2, 3});
  refused(m, {"indptr begins with 1, not 0"});
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 2, 2, 2});
  refused(m, {"indices.npy: 3 values; expected 2"});
  m.indptr = vector_npy<std::int32_t>("<i4", {0, 2, 2, 13});
  refused(m, {"13 elements in a matrix of 3 x 4"});
  m = {};
  m.indices = vector_npy<std::int32_t>("<i4", {1, 3, 4});
  refused(m, {"row 2 (from 0) has an element in column 4; the matrix has 4 columns"});
  m.indices = vector_npy<std::int32_t>("<i4", {1, -1, 0});
  refused(m, {"row 0 (from 0) has an element in column -1"});
  m = {};
  m.data = vector_npy<float>("<f4", {1, 2});
  refused(m, {"data.npy: 2 values for 3 elements"});
  m.data = vector_npy<std::int16_t>("<i2", {1, 2, 3});
  refused(m, {"data.npy: type '<i2' is not supported", "matrix.astype('float32')"});
  m.data = vector_npy<float>("<f4", {1, std::nanf(""), 3});
  refused(m, {"row 0, column 3 (counted from 0) is nan"});
  m.data = vector_npy<double>("<f8", {1, 2, 1e300});
  refused(m, {"row 2, column 0 (from 0): 1e+300 does not fit float32"});
  m.data = vector_npy<std::int32_t>("<i4", {1, 16777217, 3});
  refused(m, {"row 0, column 3 (from 0): 16777217 does not fit float32"});
}

/// What a header claims takes no memory: values must arrive.
TEST(Npz, DoesNotTrustHeaders) {
  const TempFolder folder;
  Members m;
  const std::int64_t many = std::int64_t{1} << 31;
  m.shape = vector_npy<std::int64_t>("<i8", {3, many});
  m.indptr = vector_npy<std::int64_t>("<i8", {0, 2, 2, 3 * many});
  m.indices = npy("<i4", "(" + std::to_string(3 * many) + ",)", "abcdefgh");
  const std::string path = write_archive(folder, m, true);
  expect_bad_input([&] { read_npz(path); },
                   {"indices.npy", "asks for 25769803776 bytes", "decompressed first"});
  m = {};
  m.indptr = vector_npy<std::int64_t>("<i8", {0, 2, 2, 1 << 20});
  m.shape = vector_npy<std::int64_t>("<i8", {3, many});
  m.indices = npy("<i4", "(1048576,)", "abcdefgh");
  const std::string fewer = write_archive(folder, m, true);
  expect_bad_input([&] { read_npz(fewer); }, {"indices.npy", "in the middle of values"});
  m = {};
  m.data += "more";
  const std::string longer = write_archive(folder, m);
  expect_bad_input([&] { read_npz(longer); }, {"data.npy: the data end at byte", "bytes follow"});
}

TEST(Npz, RefusesADamagedArchive) {
  const TempFolder folder;
  for (const bool compressed : {false, true}) {
    const std::string path = write_archive(folder, {}, compressed);
    std::ifstream in(path, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(in), {}};
    for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{10}}) {
      const std::string cut = folder.write("cut.npz", whole.substr(0, size));
      expect_bad_input([&] { read_npz(cut); }, {"cut.npz"});
    }
    // A byte of the values that is another: the checksum tells.
    std::string damaged = whole;
    const std::size_t at = whole.find("data.npy") + 8 + (compressed ? 40 : 130);
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    const std::string bad = folder.write("bad.npz", damaged);
    expect_bad_input([&] { read_npz(bad); }, {"bad.npz"});
  }
  const std::string text = folder.write("text.npz", "PK is how this text begins");
  expect_bad_input([&] { load_data(text); }, {"not a whole .npz archive"});
}

// --- What the rest of the program asks of a part

DataPart example() {
  const TempFolder folder;
  return read_npz(write_archive(folder, {}));
}

TEST(SparsePart, HasTheSummariesOfItsDenseRows) {
  const DataPart sparse = example();
  DataPart dense;
  dense.rows = 3;
  dense.cols = 4;
  dense.floats = {0, 2, 0, 1, 0, 0, 0, 0, 3, 0, 0, 0};
  EXPECT_EQ(column_means(sparse), column_means(dense));
  EXPECT_NEAR(mean_column_variance(sparse), mean_column_variance(dense), 1e-15);
  EXPECT_EQ(summarize(sparse).min, 0.0f);
  EXPECT_EQ(summarize(sparse).max, 3.0f);
  EXPECT_FALSE(summarize(sparse).all_binary);
  EXPECT_THROW(sparse.float_view(), std::invalid_argument);
}

// The rows that a set holds out are the same whether it is dense or sparse.
TEST(SparsePart, IsHeldOutAsItsDenseRowsAre) {
  DataSet sparse{.spec = "sparse", .train = {}}, dense{.spec = "dense", .train = {}};
  constexpr std::int64_t kRows = 40, kCols = 3;
  CsrRows csr{{0}, {}, {}};
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kCols; ++j) {
      const auto value = static_cast<float>((i * 7 + j) % 4);
      dense.train.floats.push_back(value);
      if (value == 0) continue;
      csr.column.push_back(static_cast<std::uint32_t>(j));
      csr.value.push_back(value);
    }
    csr.begin.push_back(static_cast<std::int64_t>(csr.column.size()));
  }
  sparse.train.sparse = csr;
  for (DataSet* set : {&sparse, &dense}) set->train.rows = kRows, set->train.cols = kCols;
  sparse = hold_out(std::move(sparse), 0.3);
  dense = hold_out(std::move(dense), 0.3);
  const auto expect_equal = [](const DataPart& got, const DataPart& want) {
    ASSERT_EQ(got.rows, want.rows);
    ASSERT_EQ(got.sparse->begin.size(), static_cast<std::size_t>(got.rows) + 1);
    std::vector<float> rows(static_cast<std::size_t>(want.rows * want.cols));
    for (std::int64_t i = 0; i < got.rows; ++i) {
      for (std::int64_t e = got.sparse->begin[static_cast<std::size_t>(i)];
           e < got.sparse->begin[static_cast<std::size_t>(i) + 1]; ++e)
        rows[static_cast<std::size_t>(i * want.cols + got.sparse->column[static_cast<std::size_t>(e)])] =
            got.sparse->value[static_cast<std::size_t>(e)];
    }
    EXPECT_EQ(rows, want.floats);
  };
  expect_equal(sparse.train, dense.train);
  expect_equal(*sparse.valid, *dense.valid);
}

// What scipy writes, read here, where the Python packages of the tests are installed.
TEST(Npz, ReadsWhatScipyWrites) {
  const TempFolder folder;
  const std::string script = R"(
import sys, numpy, scipy.sparse
m = scipy.sparse.csr_matrix(numpy.array([[0, 2, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0]], dtype=sys.argv[2]))
scipy.sparse.save_npz(sys.argv[1], m if sys.argv[3] == 'matrix' else scipy.sparse.csr_array(m), compressed=True)
)";
  const std::string python = FELBO_PYTHON, file = folder.write("save.py", script);
  if (std::system((python + " -c 'import scipy.sparse' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "NOT CHECKED: scipy is not installed (scripts/install-deps.sh --test)";
  for (const char* type : {"uint8", "int32", "int64", "float32", "float64"}) {
    for (const char* kind : {"matrix", "array"}) {
      const std::string path = folder.path("scipy.npz");
      ASSERT_EQ(std::system((python + " " + file + " " + path + " " + type + " " + kind).c_str()), 0);
      expect_example(read_npz(path));
    }
  }
}

TEST(LevelShares, CountLevelsAndHalfARowMore) {
  DataPart part;
  part.rows = 4;
  part.cols = 2;
  part.bytes = {0, 2, 0, 2, 1, 2, 0, 0};
  part.divisor = 2;
  const std::vector<double> want{3.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5, 3.5 / 5.5};
  const std::vector<double> got = level_shares(part, 3);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-15) << i;
}

}  // namespace
}  // namespace felbo
