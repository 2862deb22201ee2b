// One part of a data set: rows of bytes, of floats, or of floats most of which are 0.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/common/check.h"
#include "kernels/common/view.h"

namespace felbo {

/// The picture that a row is, row by row; 0 x 0 where rows are not pictures.
struct ImageShape {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const ImageShape&) const = default;
};

/// Compressed sparse rows: row i has value[e] in column[e] for e = begin[i] ... begin[i + 1] - 1, and 0
/// elsewhere.
struct CsrRows {
  std::vector<std::int64_t> begin;    // (rows + 1), from 0, not falling
  std::vector<std::uint32_t> column;  // (elements) rising within a row
  std::vector<float> value;           // (elements)
};

/// The rows of one part (train, valid or test). Exactly one of `bytes`, `floats` and `sparse` holds them, the
/// first two as rows * cols values, row-major. Float values are finite.
struct DataPart {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  ImageShape shape;                 // height * width == cols, or 0 x 0
  std::vector<std::uint8_t> bytes;  // grey levels, or counts
  float divisor = 255.0f;           // of bytes: a model sees value / divisor; 1 for counts
  std::vector<float> floats;        // values as they stand
  std::optional<CsrRows> sparse;    // values as they stand
  /// log p(x) of each row in nats, summed over its columns, where the data's distribution is known exactly;
  /// else empty.
  std::vector<double> exact_log_px;

  bool is_bytes() const { return !bytes.empty(); }
  bool is_sparse() const { return sparse.has_value(); }
  /// (rows, cols); throws std::invalid_argument if the part holds floats.
  View<const std::uint8_t, 2> byte_view() const {
    FELBO_CHECK(is_bytes(), "the data are floats, not bytes");
    return {bytes.data(), rows, cols};
  }
  /// (rows, cols); throws std::invalid_argument if the part holds bytes, or sparse rows.
  View<const float, 2> float_view() const {
    FELBO_CHECK(!is_bytes(), "the data are bytes, not floats");
    FELBO_CHECK(!is_sparse(), "the data are sparse rows");
    FELBO_CHECK(static_cast<std::int64_t>(floats.size()) == rows * cols, "{} values for {} rows of {}",
                floats.size(), rows, cols);
    return {floats.data(), rows, cols};
  }
};

}  // namespace felbo
