// NumPy's array files (.npy version 1.0,
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace felbo {

/// Writes a row-major array that numpy.load reads back: dtype `<f4`, `<f8` or `|u1`, C order, data aligned to
/// 64 bytes. `shape` is any number of extents (none: a scalar) whose product is the number of values. By an
/// AtomicFile: `path` holds its old content or all of the new. Throws std::invalid_argument if the shape
/// does not fit the values, and as AtomicFile does.
void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape);
void write_npy(const std::filesystem::path& path, std::span<const double> values,
               const std::vector<std::int64_t>& shape);
void write_npy(const std::filesystem::path& path, std::span<const std::uint8_t> values,
               const std::vector<std::int64_t>& shape);

}  // namespace felbo
