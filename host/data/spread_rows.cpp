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
               .sparse = {},
               .exact_log_px = {}};
  if (part.is_sparse()) few.sparse = CsrRows{{0}, {}, {}};
  const auto take_at = [&](const auto& from, auto& to, std::int64_t begin, std::int64_t size) {
    to.insert(to.end(), from.begin() + begin, from.begin() + begin + size);
  };
  const auto take = [&](const auto& from, auto& to, std::int64_t row, std::int64_t cols) {
    if (!from.empty()) take_at(from, to, row * cols, cols);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i * part.rows / count;
    take(part.bytes, few.bytes, row, part.cols);
    take(part.floats, few.floats, row, part.cols);
    take(part.exact_log_px, few.exact_log_px, row, 1);
    if (!few.sparse) continue;
    const std::int64_t begin = part.sparse->begin[static_cast<std::size_t>(row)],
                       size = part.sparse->begin[static_cast<std::size_t>(row) + 1] - begin;
    take_at(part.sparse->column, few.sparse->column, begin, size);
    take_at(part.sparse->value, few.sparse->value, begin, size);
    few.sparse->begin.push_back(static_cast<std::int64_t>(few.sparse->column.size()));
  }
  return few;
}

}  // namespace felbo
