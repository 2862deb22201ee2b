// Probabilities of statistics as large as those seen, were the numbers what they should be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace felbo::statistics {

/// P(|Z| > |z|) for Z ~ N(0, 1).
inline double p_of_normal(double z) { return std::erfc(std::abs(z) / std::sqrt(2.0)); }

/// P(D_n > d), D_n the largest distance between the distribution function and that of n draws: Kolmogorov's
/// limit at Stephens' (1970) argument.
inline double p_of_kolmogorov(double d, double n) {
  const double t = d * (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n));
  double p = 0.0;
  for (int k = 1; k <= 100; ++k) p += (k % 2 == 1 ? 2.0 : -2.0) * std::exp(-2.0 * k * k * t * t);
  return t < 0.2 ? 1.0 : std::clamp(p, 0.0, 1.0);
}

/// P(X > x) for a chi-square of f degrees of freedom: the upper incomplete gamma function of f / 2, by its
/// series or its continued fraction (Press et al., Numerical Recipes, 6.2).
inline double p_of_chi_square(double x, double f) {
  const double a = f / 2, y = x / 2;
  if (y <= 0) return 1.0;
  const double front = std::exp(a * std::log(y) - y - std::lgamma(a));
  if (y < a + 1) {
    double term = 1 / a, sum = term;
    for (double k = a + 1; term > 1e-17 * sum; ++k) sum += term *= y / k;
    return 1.0 - front * sum;
  }
  double b = y + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int k = 1; k < 100000; ++k) {
    const double numerator = -k * (k - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    h *= c * d;
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return front * h;
}

/// The chance of a count at least as far out as `count` of n trials of probability p, on either side.
inline double p_of_binomial(std::int64_t count, std::int64_t n, double p) {
  if (p <= 0 || p >= 1) return count == (p <= 0 ? 0 : n) ? 1.0 : 0.0;
  double below = 0.0, above = 0.0;  // both with `count` itself
  for (std::int64_t k = 0; k <= n; ++k) {
    const double mass = std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0) +
                                 k * std::log(p) + (n - k) * std::log1p(-p));
    if (k <= count) below += mass;
    if (k >= count) above += mass;
  }
  return std::min(1.0, 2 * std::min(below, above));
}

/// What a test finds: many p-values of which each alone must be smaller than `alarm` / their number to count.
/// By Bonferroni's inequality right numbers raise an alarm with probability `alarm` at most.
class Findings {
 public:
  void add(std::string what, double p) {
    ++count_;
    if (std::isnan(p)) p = 0.0;
    if (p < smallest_) smallest_ = p, what_ = std::move(what);
  }
  int count() const { return count_; }
  /// Whether something is wrong.
  bool alarm(double alarm) const { return smallest_ * count_ < alarm; }
  std::string text() const {
    return std::to_string(count_) + " p-values, the smallest " + std::to_string(std::log10(smallest_)) +
           " (log10): " + what_;
  }

 private:
  int count_ = 0;
  double smallest_ = 2.0;
  std::string what_;
};

/// Pearson's chi-square of counts that should all be equal.
inline double p_of_equal_counts(const std::vector<int>& counts) {
  double total = 0.0, sum = 0.0;
  for (const int c : counts) total += c;
  const double expected = total / static_cast<double>(counts.size());
  for (const int c : counts) sum += (c - expected) * (c - expected) / expected;
  return p_of_chi_square(sum, static_cast<double>(counts.size()) - 1);
}

}  // namespace felbo::statistics
