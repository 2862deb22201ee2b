#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "host/data/dataset.h"
#include "kernels/common/noise_stream.h"

namespace felbo {
namespace {

/// Marks the `count` rows that come first when all rows are sorted by a random key that depends on nothing
/// but the row's number.
std::vector<bool> choose_rows(std::int64_t rows, std::int64_t count) {
  const NoiseStream stream{/*seed=*/0, /*step=*/0, Purpose::kSplit};
  std::vector<std::pair<std::uint64_t, std::int64_t>> keys(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    const Words4 words =
        stream.words(static_cast<std::uint32_t>(i), /*sample=*/0, static_cast<std::uint32_t>(i >> 32));
    keys[i] = {std::uint64_t{words[0]} << 32 | words[1], i};
  }
  std::nth_element(keys.begin(), keys.begin() + count, keys.end());
  std::vector<bool> chosen(static_cast<std::size_t>(rows), false);
  for (std::int64_t k = 0; k < count; ++k) chosen[keys[k].second] = true;
  return chosen;
}

/// Moves the chosen rows of `width` values from `from`, which keeps the others, to the returned vector.
template <class T>
std::vector<T> move_rows(std::vector<T>& from, const std::vector<bool>& chosen, std::int64_t count,
                         std::int64_t width) {
  if (from.empty()) return {};
  std::vector<T> moved;
  moved.reserve(static_cast<std::size_t>(count * width));
  auto keep = from.begin();
  for (std::size_t row = 0; row < chosen.size(); ++row) {
    const auto begin = from.begin() + static_cast<std::int64_t>(row) * width;
    if (chosen[row]) {
      moved.insert(moved.end(), begin, begin + width);
    } else {
      keep = std::copy(begin, begin + width, keep);
    }
  }
  from.erase(keep, from.end());
  return moved;
}

/// The same of sparse rows.
std::optional<CsrRows> move_sparse(std::optional<CsrRows>& from, const std::vector<bool>& chosen) {
  if (!from) return std::nullopt;
  CsrRows kept{{0}, {}, {}}, moved{{0}, {}, {}};
  for (std::size_t row = 0; row < chosen.size(); ++row) {
    CsrRows& to = chosen[row] ? moved : kept;
    const std::int64_t begin = from->begin[row], end = from->begin[row + 1];
    to.column.insert(to.column.end(), from->column.begin() + begin, from->column.begin() + end);
    to.value.insert(to.value.end(), from->value.begin() + begin, from->value.begin() + end);
    to.begin.push_back(static_cast<std::int64_t>(to.column.size()));
  }
  from = std::move(kept);
  return moved;
}

}  // namespace

DataSet hold_out(DataSet set, double valid_fraction) {
  FELBO_CHECK(valid_fraction >= 0.0 && valid_fraction <= 0.9,
              "the fraction of rows to hold out is {}; expected 0 to 0.9", valid_fraction);
  if (set.valid || set.test || valid_fraction == 0.0) return set;
  DataPart& train = set.train;
  const std::int64_t count = std::llround(valid_fraction * static_cast<double>(train.rows));
  FELBO_CHECK(count >= 1 && count < train.rows,
              "{}: holding out {} of {} rows leaves {} to train on and {} to judge by; each needs at least "
              "one: choose "
              "another fraction or give more data",
              set.spec, valid_fraction, train.rows, train.rows - count, count);
  const std::vector<bool> chosen = choose_rows(train.rows, count);
  DataPart valid;
  valid.rows = count;
  valid.cols = train.cols;
  valid.shape = train.shape;
  valid.divisor = train.divisor;
  valid.bytes = move_rows(train.bytes, chosen, count, train.cols);
  valid.floats = move_rows(train.floats, chosen, count, train.cols);
  valid.sparse = move_sparse(train.sparse, chosen);
  valid.exact_log_px = move_rows(train.exact_log_px, chosen, count, 1);
  train.rows -= count;
  set.valid = std::move(valid);
  return set;
}

}  // namespace felbo
