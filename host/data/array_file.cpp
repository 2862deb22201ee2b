#include "host/data/array_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string_view>

#include "host/data/idx.h"
#include "host/data/npy.h"
#include "host/data/npz.h"

namespace felbo {
namespace {

/// Rows and columns, once the sizes are known to be usable and rows * cols * 4 to fit 63 bits.
DataPart part_of_shape(const std::string& path, const std::vector<std::int64_t>& sizes) {
  FELBO_CHECK(sizes.size() == 2 || sizes.size() == 3,
              "{}: the array has {} dimension{}; expected 2 (rows x columns) or 3 (rows x height x width){}",
              path, sizes.size(), sizes.size() == 1 ? "" : "s",
              sizes.size() == 1 ? ". Is it a file of labels?" : "");
  std::int64_t values = 1;
  bool fits = true;
  for (const std::int64_t size : sizes) {
    FELBO_CHECK(size > 0, "{}: the array is {}: it has no {}; there is nothing to read", path,
                fmt::join(sizes, " x "), sizes[0] == 0 ? "rows" : "columns");
    fits = fits && !__builtin_mul_overflow(values, size, &values);
  }
  FELBO_CHECK(fits && values <= std::numeric_limits<std::int64_t>::max() / 8,
              "{}: the header says {} values, more than any file holds; the header is damaged", path,
              fmt::join(sizes, " x "));
  DataPart part;
  part.rows = sizes[0];
  part.cols = values / sizes[0];
  if (sizes.size() == 3) part.shape = {sizes[1], sizes[2]};
  return part;
}

void swap_bytes(std::vector<float>& values) {
  for (float& v : values) v = std::bit_cast<float>(__builtin_bswap32(std::bit_cast<std::uint32_t>(v)));
}

void check_finite(const std::string& path, const DataPart& part) {
  for (std::size_t i = 0; i < part.floats.size(); ++i) {
    if (std::isfinite(part.floats[i])) continue;
    const auto at = static_cast<std::int64_t>(i);
    throw std::invalid_argument(fmt::format(
        "{}: row {}, column {} (counted from 0) is {}; every value must be finite: drop or repair such rows",
        path, at / part.cols, at % part.cols, part.floats[i]));
  }
}

}  // namespace

DataPart read_array(ByteSource& source, const ArrayHeader& header) {
  DataPart part = part_of_shape(source.path(), header.sizes);
  const std::int64_t count = part.rows * part.cols;
  if (header.type == ArrayHeader::Type::kUint8) {
    part.bytes = source.read_values<std::uint8_t>(count, "values");
  } else {
    part.floats = source.read_values<float>(count, "values");
    if (header.big_endian != (std::endian::native == std::endian::big)) swap_bytes(part.floats);
  }
  source.expect_end();
  check_finite(source.path(), part);
  return part;
}

DataPart read_array_file(const std::string& path) {
  ByteSource source(path);
  const std::string& head = source.head();
  FELBO_CHECK(!head.empty(), "{}: the file is empty", path);
  if (is_npy(head)) return read_array(source, read_npy_header(source));
  if (is_idx(head)) return read_array(source, read_idx_header(source));
  if (is_zip(head)) return read_npz(path);
  throw std::invalid_argument(fmt::format(
      "{}: not a data file: it begins with {:02x}, expected an IDX file (00 00 TYPE DIMENSIONS), a .npy file "
      "(93 'NUMPY'), either of them gzipped (1f 8b), or a .npz file of sparse rows (50 4b)",
      path,
      fmt::join(
          std::vector<unsigned char>(head.begin(), head.begin() + std::min<std::size_t>(head.size(), 4)),
          " ")));
}

}  // namespace felbo
