#include <algorithm>
#include <cmath>
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

DataSummary summarize_sparse(const DataPart& part) {
  const std::vector<float>& values = part.sparse->value;
  const bool has_zeros =
      static_cast<double>(values.size()) < static_cast<double>(part.rows) * static_cast<double>(part.cols);
  const float other = has_zeros || values.empty() ? 0.0f : values[0];
  DataSummary s{other, other, true};
  for (const float v : values) {
    s.min = std::min(s.min, v);
    s.max = std::max(s.max, v);
    s.all_binary = s.all_binary && (v == 0.0f || v == 1.0f);
  }
  return s;
}

std::vector<double> sparse_means(const DataPart& part) {
  std::vector<double> means(static_cast<std::size_t>(part.cols), 0.0);
  const CsrRows& csr = *part.sparse;
  for (std::size_t e = 0; e < csr.value.size(); ++e)
    means[csr.column[e]] += static_cast<double>(csr.value[e]);
  for (double& mean : means) mean /= static_cast<double>(part.rows);
  return means;
}

/// The squares of the elements' differences from the column's mean, and of the mean from the zeros.
double sparse_variance(const DataPart& part) {
  const std::vector<double> means = sparse_means(part);
  const CsrRows& csr = *part.sparse;
  double total = 0.0;
  std::vector<std::int64_t> present(means.size(), 0);
  for (std::size_t e = 0; e < csr.value.size(); ++e) {
    const double difference = static_cast<double>(csr.value[e]) - means[csr.column[e]];
    total += difference * difference;
    ++present[csr.column[e]];
  }
  for (std::size_t j = 0; j < means.size(); ++j)
    total += static_cast<double>(part.rows - present[j]) * means[j] * means[j];
  return total / (static_cast<double>(part.rows) * static_cast<double>(part.cols));
}

}  // namespace

DataSummary summarize(const DataPart& part) {
  if (part.is_sparse()) return summarize_sparse(part);
  return with_rows(part, [](auto rows, int unit) {
    const auto begin = rows.data, end = rows.data + rows.rows * rows.cols;
    const auto [min, max] = std::minmax_element(begin, end);
    const auto scale = static_cast<float>(unit);
    const bool binary = std::all_of(begin, end, [unit](auto v) { return v == 0 || v == unit; });
    return DataSummary{static_cast<float>(*min) / scale, static_cast<float>(*max) / scale, binary};
  });
}

std::vector<double> level_shares(const DataPart& part, int levels) {
  const auto last = static_cast<double>(std::max(levels - 1, 1));
  std::vector<double> shares(static_cast<std::size_t>(part.cols * levels), 0.5);
  with_rows(part, [&](auto rows, int unit) {
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      for (std::int64_t j = 0; j < rows.cols; ++j) {
        const std::int64_t level = std::llround(last * static_cast<double>(rows(i, j)) / unit);
        shares[static_cast<std::size_t>(j * levels + std::clamp<std::int64_t>(level, 0, levels - 1))] += 1.0;
      }
    }
  });
  for (double& share : shares) share /= static_cast<double>(part.rows) + 0.5 * levels;
  return shares;
}

std::vector<double> column_means(const DataPart& part) {
  if (part.is_sparse()) return sparse_means(part);
  return with_rows(part, [](auto rows, int unit) {
    std::vector<double> means = raw_column_means(rows);
    for (double& mean : means) mean /= unit;
    return means;
  });
}

double mean_column_variance(const DataPart& part) {
  if (part.is_sparse()) return sparse_variance(part);
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
