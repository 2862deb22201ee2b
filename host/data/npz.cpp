#include "host/data/npz.h"

#include <fmt/format.h>
#include <stdio.h>
#include <zip.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>

#include "host/data/byte_source.h"
#include "host/data/npy.h"

namespace felbo {
namespace {

static_assert(std::endian::native == std::endian::little, "members are little-endian and read as they are");

struct DiscardArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Archive = std::unique_ptr<zip_t, DiscardArchive>;

Archive open_archive(const std::string& path) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string why = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw std::invalid_argument(fmt::format(
      "{}: not a whole .npz archive ({}); it is truncated or damaged: fetch, copy or save it again", path,
      why));
}

/// A member that is being read, as a stream of the C library.
struct MemberStream {
  zip_file_t* file = nullptr;
  std::string error;  // what libzip says of a damaged member

  static ssize_t read(void* cookie, char* to, std::size_t count) {
    auto* self = static_cast<MemberStream*>(cookie);
    const zip_int64_t got = zip_fread(self->file, to, count);
    if (got < 0) self->error = zip_file_strerror(self->file);
    return got;
  }
  static int close(void* cookie) { return zip_fclose(static_cast<MemberStream*>(cookie)->file); }
};

/// Calls f(source) with the member's bytes; they must all be read there.
template <class F>
auto with_member(const std::string& path, const Archive& archive, const std::string& name, const F& f) {
  const std::string file = name + ".npy", where = path + ": " + file;
  const zip_int64_t index = zip_name_locate(archive.get(), file.c_str(), 0);
  FELBO_CHECK(
      index >= 0,
      "{}: the archive has no {}; expected sparse rows as scipy.sparse.save_npz(FILE, matrix.tocsr()) "
      "writes them (of a dense array save a .npy with numpy.save)",
      path, file);
  constexpr std::int64_t kMostTimes = 64;  // sparse rows have little left to compress
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path));
  MemberStream stream{zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(index), 0), {}};
  FELBO_CHECK(stream.file != nullptr, "{}: cannot be read ({})", where, zip_strerror(archive.get()));
  std::FILE* opened = fopencookie(&stream, "rb", {MemberStream::read, nullptr, nullptr, MemberStream::close});
  if (opened == nullptr) throw std::bad_alloc();
  ByteSource source(where, opened, most_expanded(size, kMostTimes));
  try {
    auto result = f(source);
    source.expect_end();
    return result;
  } catch (const std::runtime_error&) {
    FELBO_CHECK(stream.error.empty(), "{}: the archive is damaged ({}); fetch or copy it again", where,
                stream.error);
    throw;
  }
}

/// The number of values of a member that must be a vector.
std::int64_t length_of(const ByteSource& source, const NpyHeader& header) {
  FELBO_CHECK(header.shape.size() == 1, "{}: {} dimensions; expected a vector", source.path(),
              header.shape.size());
  return header.shape[0];
}

std::string read_format(ByteSource& source) {
  const NpyHeader header = read_npy_text(source);
  const bool wide = header.type.starts_with("<U");
  const bool is_text = wide || header.type.starts_with("|S");
  std::int64_t length = 0;
  if (is_text) length = std::atoll(header.type.c_str() + 2);
  FELBO_CHECK(is_text && header.shape.empty() && length >= 1 && length <= 16,
              "{}: type '{}'; expected the name of a sparse format", source.path(), header.type);
  const std::int64_t step = wide ? 4 : 1;
  const std::vector<char> bytes = source.read_values<char>(length * step, "the name");
  std::string name;
  for (std::size_t i = 0; i < bytes.size(); i += static_cast<std::size_t>(step)) {
    if (bytes[i] != '\0') name += bytes[i];
  }
  return name;
}

/// Whole numbers of a member: int32 or int64. `count` of them, where that is known.
std::vector<std::int64_t> read_integers(ByteSource& source, std::int64_t count = -1) {
  const NpyHeader header = read_npy_text(source);
  const std::int64_t length = length_of(source, header);
  FELBO_CHECK(count < 0 || length == count, "{}: {} values; expected {}", source.path(), length, count);
  if (header.type == "<i8") return source.read_values<std::int64_t>(length, "values");
  FELBO_CHECK(header.type == "<i4", "{}: type '{}'; expected int32 or int64", source.path(), header.type);
  const std::vector<std::int32_t> narrow = source.read_values<std::int32_t>(length, "values");
  return {narrow.begin(), narrow.end()};
}

/// A matrix on its way in.
struct Matrix {
  std::string path;
  std::int64_t rows = 0, cols = 0;
  CsrRows csr;

  std::int64_t elements() const { return csr.begin.back(); }
  /// Of an element.
  std::int64_t row_of(std::int64_t e) const {
    return std::upper_bound(csr.begin.begin(), csr.begin.end(), e) - csr.begin.begin() - 1;
  }
};

void read_shape(Matrix& m, const Archive& archive) {
  const auto shape = with_member(m.path, archive, "shape", [](ByteSource& s) { return read_integers(s, 2); });
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  FELBO_CHECK(shape[0] >= 1 && shape[1] >= 1 && shape[0] <= kMost && shape[1] <= kMost,
              "{}: the matrix is {} x {}; expected 1 to {} rows and as many columns", m.path, shape[0],
              shape[1], kMost);
  m.rows = shape[0];
  m.cols = shape[1];
}

void read_begin(Matrix& m, const Archive& archive) {
  m.csr.begin =
      with_member(m.path, archive, "indptr", [&](ByteSource& s) { return read_integers(s, m.rows + 1); });
  FELBO_CHECK(m.csr.begin[0] == 0, "{}: indptr begins with {}, not 0; the file is damaged", m.path,
              m.csr.begin[0]);
  for (std::int64_t i = 0; i < m.rows; ++i) {
    const std::int64_t begin = m.csr.begin[i], end = m.csr.begin[i + 1];
    FELBO_CHECK(begin <= end, "{}: indptr falls from {} to {} at row {} (from 0); the file is damaged",
                m.path, begin, end, i);
  }
  const double room = static_cast<double>(m.rows) * static_cast<double>(m.cols);
  FELBO_CHECK(static_cast<double>(m.elements()) <= room,
              "{}: {} elements in a matrix of {} x {}; the file is damaged", m.path, m.elements(), m.rows,
              m.cols);
}

void read_columns(Matrix& m, const Archive& archive) {
  m.csr.column = with_member(m.path, archive, "indices", [&](ByteSource& source) {
    const std::vector<std::int64_t> wide = read_integers(source, m.elements());
    std::vector<std::uint32_t> columns(wide.size());
    for (std::size_t e = 0; e < wide.size(); ++e) {
      FELBO_CHECK(wide[e] >= 0 && wide[e] < m.cols,
                  "{}: row {} (from 0) has an element in column {}; the matrix has {} columns", m.path,
                  m.row_of(static_cast<std::int64_t>(e)), wide[e], m.cols);
      columns[e] = static_cast<std::uint32_t>(wide[e]);
    }
    return columns;
  });
}

/// Whether a value survives as a float: whole numbers exactly, others within its range.
template <class T>
bool is_kept(T value, float kept) {
  if constexpr (std::is_integral_v<T>) {
    constexpr double kBeyond = 9223372036854775808.0;  // 2^63: no integer of 64 bits
    return static_cast<double>(kept) < kBeyond && static_cast<T>(kept) == value;
  } else {
    return std::isfinite(kept) || !std::isfinite(value);  // others are reported as what they are
  }
}

/// Values of T as floats.
template <class T>
std::vector<float> read_as(const Matrix& m, ByteSource& source) {
  std::vector<T> values = source.read_values<T>(m.elements(), "values");
  if constexpr (!std::is_same_v<T, float>) {
    std::vector<float> floats(values.size());
    for (std::size_t e = 0; e < values.size(); ++e) {
      floats[e] = static_cast<float>(values[e]);
      FELBO_CHECK(is_kept(values[e], floats[e]), "{}: row {}, column {} (from 0): {} does not fit float32",
                  m.path, m.row_of(static_cast<std::int64_t>(e)), m.csr.column[e], values[e]);
    }
    return floats;
  } else {
    return values;
  }
}

void read_values(Matrix& m, const Archive& archive) {
  m.csr.value = with_member(m.path, archive, "data", [&](ByteSource& source) {
    const NpyHeader header = read_npy_text(source);
    const std::int64_t length = length_of(source, header);
    FELBO_CHECK(length == m.elements(), "{}: {} values for {} elements", source.path(), length, m.elements());
    if (header.type == "|u1" || header.type == "|b1") return read_as<std::uint8_t>(m, source);
    if (header.type == "<i4") return read_as<std::int32_t>(m, source);
    if (header.type == "<i8") return read_as<std::int64_t>(m, source);
    if (header.type == "<f8") return read_as<double>(m, source);
    FELBO_CHECK(
        header.type == "<f4",
        "{}: type '{}' is not supported; expected bool, uint8, int32, int64, float32 or float64: save "
        "matrix.astype('float32') instead",
        source.path(), header.type);
    return read_as<float>(m, source);
  });
  for (std::size_t e = 0; e < m.csr.value.size(); ++e) {
    FELBO_CHECK(
        std::isfinite(m.csr.value[e]),
        "{}: row {}, column {} (counted from 0) is {}; every value must be finite: drop or repair such "
        "rows",
        m.path, m.row_of(static_cast<std::int64_t>(e)), m.csr.column[e], m.csr.value[e]);
  }
}

bool columns_rise(const CsrRows& csr, std::int64_t begin, std::int64_t end) {
  for (std::int64_t e = begin + 1; e < end; ++e) {
    if (csr.column[e - 1] >= csr.column[e]) return false;
  }
  return true;
}

/// Sorts each row by column, and adds up elements of the same place. Throws std::invalid_argument if a sum is
/// beyond a float, or one of whole numbers not exact.
void put_in_order(const std::string& path, CsrRows& csr) {
  std::int64_t begin = 0, to = 0;
  for (std::size_t i = 0; i + 1 < csr.begin.size(); ++i) {
    const std::int64_t end = csr.begin[i + 1];
    std::vector<std::pair<std::uint32_t, float>> row;
    for (std::int64_t e = begin; e < end; ++e) row.emplace_back(csr.column[e], csr.value[e]);
    std::ranges::stable_sort(row, {}, &std::pair<std::uint32_t, float>::first);
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (k > 0 && row[k].first == row[k - 1].first) {
        const double a = static_cast<double>(csr.value[to - 1]), b = static_cast<double>(row[k].second);
        const auto sum = static_cast<float>(a + b);
        const bool whole = a == std::floor(a) && b == std::floor(b);
        FELBO_CHECK(
            std::isfinite(sum) && (!whole || static_cast<double>(sum) == a + b),
            "{}: row {}, column {} (from 0): elements of the same place add up to {}, which does not fit "
            "float32",
            path, i, row[k].first, a + b);
        csr.value[to - 1] = sum;
      } else {
        csr.column[to] = row[k].first;
        csr.value[to++] = row[k].second;
      }
    }
    begin = end;
    csr.begin[i + 1] = to;
  }
  csr.column.resize(static_cast<std::size_t>(to));
  csr.value.resize(static_cast<std::size_t>(to));
}

bool in_order(const CsrRows& csr) {
  for (std::size_t i = 0; i + 1 < csr.begin.size(); ++i) {
    if (!columns_rise(csr, csr.begin[i], csr.begin[i + 1])) return false;
  }
  return true;
}

}  // namespace

bool is_zip(std::string_view head) { return head.starts_with("PK"); }

DataPart read_npz(const std::string& path) {
  const Archive archive = open_archive(path);
  const std::string format = with_member(path, archive, "format", read_format);
  FELBO_CHECK(format == "csr",
              "{}: a sparse matrix of format {}; expected csr: save it with scipy.sparse.save_npz(FILE, "
              "matrix.tocsr())",
              path, format);
  Matrix m{path, 0, 0, {}};
  read_shape(m, archive);
  read_begin(m, archive);
  read_columns(m, archive);
  read_values(m, archive);
  if (!in_order(m.csr)) put_in_order(m.path, m.csr);
  DataPart part;
  part.rows = m.rows;
  part.cols = m.cols;
  part.sparse = std::move(m.csr);
  return part;
}

}  // namespace felbo
