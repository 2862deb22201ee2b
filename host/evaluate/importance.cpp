#include "host/evaluate/importance.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Mean of log(1 - theta x): minus k-hat for a given theta, in the notation of Zhang and Stephens.
double mean_log(double theta, const std::vector<double>& x) {
  double sum = 0.0;
  for (const double v : x) sum += std::log1p(-theta * v);
  return sum / static_cast<double>(x.size());
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty()) return kNaN;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  const double below = *std::max_element(values.begin(), middle);
  return below == *middle ? *middle : (below + *middle) / 2.0;  // equal infinities too
}

}  // namespace

std::int64_t tail_length(std::int64_t samples) {
  const auto k = static_cast<double>(samples);
  return static_cast<std::int64_t>(std::ceil(std::min(k / 5.0, 3.0 * std::sqrt(k))));
}

WeightTail::WeightTail(std::int64_t samples) : keep_(0) {
  FELBO_CHECK(samples >= 1, "the weights of {} samples", samples);
  keep_ = static_cast<std::size_t>(tail_length(samples) + 1);
  heap_.reserve(keep_);
  max_ = -kInfinity;
}

void WeightTail::add(double log_w) {
  ++count_;
  if (log_w > max_) {
    const double shrink = std::exp(max_ - log_w);  // 0 for the first
    sum_ *= shrink;
    squares_ *= shrink * shrink;
    max_ = log_w;
  }
  // A weight of 0 adds nothing; NaN and infinity make the sums NaN.
  const double w = log_w == -kInfinity ? 0.0 : std::exp(log_w - max_);
  sum_ += w;
  squares_ += w * w;
  if (heap_.size() < keep_) {
    heap_.push_back(log_w);
    std::ranges::push_heap(heap_, std::greater());
  } else if (log_w > heap_.front()) {
    std::ranges::pop_heap(heap_, std::greater());
    heap_.back() = log_w;
    std::ranges::push_heap(heap_, std::greater());
  }
}

WeightDiagnostics WeightTail::diagnose() const {
  if (!(sum_ > 0.0) || !std::isfinite(max_)) return {kNaN, kNaN, kNaN};
  const auto n = static_cast<double>(count_);
  const double relative = n * squares_ / (sum_ * sum_) - 1.0;  // variance of the weights / mean^2
  WeightDiagnostics d{std::sqrt(std::max(0.0, relative) / (n - 1.0)), sum_ * sum_ / squares_, kNaN};
  if (count_ == 1) d.standard_error = kNaN;
  if (count_ < kFewestSamplesForKHat || heap_.size() < keep_) return d;
  std::vector<double> largest = heap_;
  std::ranges::sort(largest);
  // Log-weights are made of floats: differences below a few of their roundings are none.
  const double rounding = 8.0 * std::numeric_limits<float>::epsilon() * (1.0 + std::abs(max_));
  if (max_ - largest.front() <= rounding) {
    d.k_hat = -kInfinity;
    return d;
  }
  const double threshold = std::exp(largest.front() - max_);
  std::vector<double> excess;
  for (std::size_t i = 1; i < largest.size(); ++i) excess.push_back(std::exp(largest[i] - max_) - threshold);
  d.k_hat = fit_pareto_shape(excess);
  return d;
}

// The likelihood of a generalised Pareto distribution with its scale maximised over, averaged over a grid of
// theta = k / sigma (with the sign of k turned) that follows the data's first quartile; then k-hat is drawn
// towards 1/2 as if by 10 observations.
double fit_pareto_shape(const std::vector<double>& x) {
  FELBO_CHECK(x.size() >= 5, "a Pareto tail of {} weights; expected 5 or more", x.size());
  const auto n = static_cast<double>(x.size());
  const double quartile = x[static_cast<std::size_t>(n / 4.0 + 0.5) - 1];
  if (!(quartile > 0.0)) return kNaN;
  const int points = 30 + static_cast<int>(std::sqrt(n));
  std::vector<double> theta, log_likelihood;
  for (int j = 1; j <= points; ++j) {
    theta.push_back(1.0 / x.back() + (1.0 - std::sqrt(points / (j - 0.5))) / (3.0 * quartile));
    const double k = mean_log(theta.back(), x);
    log_likelihood.push_back(n * (std::log(-theta.back() / k) - k - 1.0));
  }
  const double best = *std::ranges::max_element(log_likelihood);
  double mass = 0.0, mean = 0.0;
  for (std::size_t j = 0; j < theta.size(); ++j) {
    const double weight = std::exp(log_likelihood[j] - best);
    mass += weight;
    mean += weight * theta[j];
  }
  const double k = mean_log(mean / mass, x);
  return (k * n + 10.0 * 0.5) / (n + 10.0);
}

WeightSummary summarize(const std::vector<WeightDiagnostics>& of_datum) {
  WeightSummary s;
  std::vector<double> k_hats, effective;
  std::vector<std::int64_t> bad;
  double squares = 0.0;
  for (std::size_t n = 0; n < of_datum.size(); ++n) {
    const WeightDiagnostics& d = of_datum[n];
    k_hats.push_back(d.k_hat);
    effective.push_back(d.effective_samples);
    squares += d.standard_error * d.standard_error;
    if (!(d.k_hat <= kReliableKHat)) bad.push_back(static_cast<std::int64_t>(n));
  }
  s.unreliable = static_cast<std::int64_t>(bad.size());
  s.k_hat_median = median(k_hats);
  s.effective_median = median(effective);
  s.effective_least = effective.empty() ? kNaN : *std::ranges::min_element(effective);
  s.sampling_error = std::sqrt(squares) / static_cast<double>(of_datum.size());
  const auto k_hat = [&](std::int64_t n) {
    const double k = k_hats[static_cast<std::size_t>(n)];
    return std::isnan(k) ? kInfinity : k;
  };
  std::ranges::stable_sort(bad, std::greater(), k_hat);
  bad.resize(std::min<std::size_t>(bad.size(), 10));
  s.worst = std::move(bad);
  return s;
}

}  // namespace felbo
