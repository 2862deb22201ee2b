#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/data/dataset.h"

namespace felbo {
namespace {

/// Calls f(view, unit): the rows, and the value that a model sees as 1 (a whole number).
template <class F>
auto with_rows(const DataPart& part, const F& f) {
  return part.is_bytes() ? f(part.byte_view(), static_cast<int>(part.divisor)) : f(part.float_view(), 1);
}

/// Column means in the units of the stored values.
template <class T>
std::vector<double> raw_column_means(View<const T, 2> rows) {
  std::vector<double> means(static_cast<std::size_t>(rows.cols), 0.0);
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    for (std::int64_t j = 0; j < rows.cols; ++j) means[j] += rows(i, j);
  }
  for (double& mean : means) mean /= static_cast<double>(rows.rows);
  return means;
}

}  // namespace

DataSummary summarize(const DataPart& part) {
  return with_rows(part, [](auto rows, int unit) {
    const auto begin = rows.data, end = rows.data + rows.rows * rows.cols;
    const auto [min, max] = std::minmax_element(begin, end);
    const auto scale = static_cast<float>(unit);
    const bool binary = std::all_of(begin, end, [unit](auto v) { return v == 0 || v == unit; });
    return DataSummary{static_cast<float>(*min) / scale, static_cast<float>(*max) / scale, binary};
  });
}

std::vector<double> column_means(const DataPart& part) {
  return with_rows(part, [](auto rows, int unit) {
    std::vector<double> means = raw_column_means(rows);
    for (double& mean : means) mean /= unit;
    return means;
  });
}

double mean_column_variance(const DataPart& part) {
  return with_rows(part, [](auto rows, int unit) {
    const std::vector<double> means = raw_column_means(rows);
    double total = 0.0;
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      double row = 0.0;
      for (std::int64_t j = 0; j < rows.cols; ++j) row += (rows(i, j) - means[j]) * (rows(i, j) - means[j]);
      total += row;
    }
    return total / (static_cast<double>(rows.rows) * static_cast<double>(rows.cols)) /
           (double{1} * unit * unit);
  });
}

}  // namespace felbo
