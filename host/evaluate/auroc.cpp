#include "host/evaluate/auroc.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/common/check.h"

namespace felbo {
namespace {

void check_scores(std::span<const double> scores, const char* which) {
  FELBO_CHECK(!scores.empty(), "the {} set has no scores", which);
  for (std::size_t n = 0; n < scores.size(); ++n)
    FELBO_CHECK(!std::isnan(scores[n]), "the score of datum {} of the {} set is not a number", n, which);
}

/// For each of `scores`, the share of `others` (sorted) below it, ties counted half.
std::vector<double> shares_below(std::span<const double> scores, const std::vector<double>& others) {
  std::vector<double> shares;
  for (const double score : scores) {
    const auto [lo, hi] = std::ranges::equal_range(others, score);
    const auto below = static_cast<double>(lo - others.begin()), ties = static_cast<double>(hi - lo);
    shares.push_back((below + 0.5 * ties) / static_cast<double>(others.size()));
  }
  return shares;
}

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  std::ranges::sort(copy);
  return copy;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Of the mean of `values`.
double squared_error(const std::vector<double>& values) {
  const double mean = mean_of(values), n = static_cast<double>(values.size());
  double squares = 0.0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return n > 1 ? squares / (n - 1.0) / n : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Auroc auroc(std::span<const double> first, std::span<const double> second) {
  check_scores(first, "first");
  check_scores(second, "second");
  const std::vector<double> of_first = shares_below(first, sorted(second));
  const std::vector<double> of_second = shares_below(second, sorted(first));
  return {mean_of(of_first), std::sqrt(squared_error(of_first) + squared_error(of_second))};
}

}  // namespace felbo
