// Files of data: IDX, .npy, gzip, .npz.
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "host/data/array_file.h"
#include "host/data/test_gzip.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace felbo::fuzz {
namespace {

void check_sparse(const DataPart& part) {
  const CsrRows& csr = *part.sparse;
  const auto rows = static_cast<std::size_t>(part.rows);
  require(csr.begin.size() == rows + 1 && csr.begin.front() == 0, "where sparse rows begin");
  require(csr.begin.back() == static_cast<std::int64_t>(csr.column.size()), "as many columns as elements");
  require(csr.column.size() == csr.value.size(), "as many values as columns");
  for (std::size_t i = 0; i < rows; ++i) {
    require(csr.begin[i] <= csr.begin[i + 1], "sparse rows do not overlap");
    for (std::int64_t e = csr.begin[i]; e < csr.begin[i + 1]; ++e) {
      require(csr.column[e] < part.cols, "columns are in range");
      require(e == csr.begin[i] || csr.column[e - 1] < csr.column[e], "columns rise");
    }
  }
  for (const float v : csr.value) require(std::isfinite(v), "sparse values are finite");
}

void check_part(const DataPart& part) {
  require(part.rows > 0 && part.cols > 0, "there are rows and columns");
  if (part.is_sparse()) return check_sparse(part);
  const std::size_t values = part.is_bytes() ? part.bytes.size() : part.floats.size();
  require(part.bytes.empty() || part.floats.empty(), "bytes or floats, not both");
  require(static_cast<std::int64_t>(values) == part.rows * part.cols, "rows * columns values");
  require(part.shape == ImageShape{} || part.shape.height * part.shape.width == part.cols, "the picture");
  for (const float v : part.floats) require(std::isfinite(v), "values are finite");
}

void read(std::string_view bytes) {
  const MemoryFile file(bytes);
  accepts([&] { check_part(read_array_file(file.path())); });
}

/// A zip archive of uncompressed members (PKWARE's APPNOTE, 4.3).
class Archive {
 public:
  void add(const std::string& name, std::string_view content) {
    const auto sum = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())));
    std::string common = number(20, 2) + number(0, 8) + number(sum, 4) + number(content.size(), 4) +
                         number(content.size(), 4) + number(name.size(), 2) + number(0, 2);
    directory_ += "PK\x01\x02" + number(20, 2) + common + number(0, 10) + number(files_.size(), 4) + name;
    files_ += "PK\x03\x04" + common + name;
    files_ += content;
    ++count_;
  }

  std::string bytes() const {
    return files_ + directory_ + "PK\x05\x06" + number(0, 4) + number(count_, 2) + number(count_, 2) +
           number(directory_.size(), 4) + number(files_.size(), 4) + number(0, 2);
  }

 private:
  static std::string number(std::uint64_t value, int length) {
    std::string text;
    for (int i = 0; i < length; ++i) text += static_cast<char>(i < 8 ? value >> (8 * i) : 0);
    return text;
  }

  std::string files_, directory_;
  std::size_t count_ = 0;
};

std::string archive_of_members(std::string_view bytes) {
  Archive archive;
  for (const char* name : {"format", "shape", "indptr", "indices", "data"}) {
    std::size_t length = bytes.size();
    if (std::string_view(name) != "data") {
      length = bytes.size() < 2 ? 0
                                : static_cast<unsigned char>(bytes[0]) +
                                      std::size_t{256} * static_cast<unsigned char>(bytes[1]);
      bytes.remove_prefix(std::min<std::size_t>(2, bytes.size()));
      length = std::min(length, bytes.size());
    }
    archive.add(std::string(name) + ".npy", bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return archive.bytes();
}

}  // namespace

void idx(std::string_view bytes) { read(with_head(bytes, std::string_view("\0\0", 2))); }

void npy(std::string_view bytes) { read(with_head(bytes, "\x93NUMPY")); }

void gzip(std::string_view bytes) {
  if (bytes.starts_with("\x1f\x8b")) {
    read(bytes);
  } else {
    read(test::gzip(bytes));
  }
}

void npz(std::string_view bytes) {
  if (bytes.starts_with("PK")) {
    read(bytes);
  } else {
    read(archive_of_members(bytes));
  }
}

}  // namespace felbo::fuzz
