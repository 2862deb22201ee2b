// A few data for what is too slow on all of them.
#pragma once

#include "host/data/data_part.h"

namespace felbo {

/// `count` rows spread evenly over the part, in their order: row floor(i rows / count) for i = 0 ... count
/// - 1. A prefix would not do, where sets are sorted by class. Throws std::invalid_argument unless count is
/// between 1 and the number of rows.
DataPart spread_rows(const DataPart& part, std::int64_t count);

}  // namespace felbo
