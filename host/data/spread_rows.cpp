#include "host/data/spread_rows.h"

namespace felbo {

DataPart spread_rows(const DataPart& part, std::int64_t count) {
  FELBO_CHECK(count >= 1 && count <= part.rows, "count must be between 1 and the {} rows there are, got {}",
              part.rows, count);
  DataPart few{.rows = count,
               .cols = part.cols,
               .shape = part.shape,
               .bytes = {},
               .divisor = part.divisor,
               .floats = {},
               .exact_log_px = {}};
  const auto take = [&](const auto& from, auto& to, std::int64_t row, std::int64_t cols) {
    if (!from.empty()) to.insert(to.end(), from.begin() + row * cols, from.begin() + (row + 1) * cols);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i * part.rows / count;
    take(part.bytes, few.bytes, row, part.cols);
    take(part.floats, few.floats, row, part.cols);
    take(part.exact_log_px, few.exact_log_px, row, 1);
  }
  return few;
}

}  // namespace felbo
