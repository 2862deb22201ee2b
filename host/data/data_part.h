// One part of a data set: rows of bytes or of floats.
#pragma once

#include <cstdint>
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

/// The rows of one part (train, valid or test). Exactly one of `bytes` and `floats` is non-empty and holds
/// rows * cols values, row-major. Float values are finite.
struct DataPart {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  ImageShape shape;                 // height * width == cols, or 0 x 0
  std::vector<std::uint8_t> bytes;  // grey levels, or counts
  float divisor = 255.0f;           // of bytes: a model sees value / divisor; 1 for counts
  std::vector<float> floats;        // values as they stand
  /// log p(x) of each row in nats, summed over its columns, where the data's distribution is known exactly;
  /// else empty.
  std::vector<double> exact_log_px;

  bool is_bytes() const { return !bytes.empty(); }
  /// (rows, cols); throws std::invalid_argument if the part holds floats.
  View<const std::uint8_t, 2> byte_view() const {
    FELBO_CHECK(is_bytes(), "the data are floats, not bytes");
    return {bytes.data(), rows, cols};
  }
  /// (rows, cols); throws std::invalid_argument if the part holds bytes.
  View<const float, 2> float_view() const {
    FELBO_CHECK(!is_bytes(), "the data are bytes, not floats");
    return {floats.data(), rows, cols};
  }
};

}  // namespace felbo
