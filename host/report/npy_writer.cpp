#include "host/report/npy_writer.h"

#include <fmt/ranges.h>

#include <bit>
#include <string>
#include <string_view>

#include "host/run/atomic_file.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

static_assert(std::endian::native == std::endian::little, "the arrays are written as little endian");

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMostDimensions = 32;  // of numpy 1; numpy 2 allows 64

void check_shape(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
                 std::size_t values) {
  FELBO_CHECK(shape.size() <= kMostDimensions, "{}: an array has at most {} dimensions, not {}",
              path.string(), kMostDimensions, shape.size());
  std::int64_t count = 1;
  bool fits = true;
  for (const std::int64_t extent : shape) {
    fits = fits && extent >= 0 && !__builtin_mul_overflow(count, extent, &count);
  }
  FELBO_CHECK(fits && static_cast<std::uint64_t>(count) == values, "{}: shape ({}) does not fit {} values",
              path.string(), fmt::join(shape, ", "), values);
}

/// The magic string, the version, the header's length and the header, padded so that the data is aligned.
std::string header_of(std::string_view type, const std::vector<std::int64_t>& shape) {
  const std::string_view comma = shape.size() == 1 ? "," : "";  // as Python writes a tuple of one
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                 fmt::join(shape, ", "), comma);
  constexpr std::size_t kPrefix = 10;
  const std::size_t used = kPrefix + text.size() + 1;
  text.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  text.push_back('\n');

  std::string header("\x93NUMPY\x01\x00", 8);
  header.push_back(static_cast<char>(text.size() & 0xff));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

template <class T>
void write_array(const std::filesystem::path& path, std::string_view type, std::span<const T> values,
                 const std::vector<std::int64_t>& shape) {
  check_shape(path, shape, values.size());
  AtomicFile file(path);
  file.write(header_of(type, shape));
  file.write(std::as_bytes(values));
  file.commit();
}

}  // namespace

void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape) {
  write_array(path, "<f4", values, shape);
}

void write_npy(const std::filesystem::path& path, std::span<const double> values,
               const std::vector<std::int64_t>& shape) {
  write_array(path, "<f8", values, shape);
}

void write_npy(const std::filesystem::path& path, std::span<const std::uint8_t> values,
               const std::vector<std::int64_t>& shape) {
  write_array(path, "|u1", values, shape);
}

}  // namespace felbo
