// The comparator that judges every fast implementation against its double reference, in the tests and in
// `felbo check`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/common/bfloat16.h"
#include "kernels/common/view.h"

namespace felbo::checks {

inline constexpr double kEps = std::numeric_limits<float>::epsilon();  // 2^-23

/// The most that storing a float of this magnitude as T changes it: nothing, or half a unit in the last of
/// bfloat16's 8 bits.
template <class T>
double storage_error(double magnitude) {
  if (std::is_same_v<T, float> || magnitude == 0.0 || !std::isfinite(magnitude)) return 0.0;
  return std::ldexp(1.0, std::max(std::ilogb(magnitude), -126) - 8);
}

/// Collects element-wise comparisons. An element passes only if |got - want| <= tolerance, so a NaN on either
/// side fails. Comparing nothing is a failure.
class Parity {
 public:
  /// Names the case that the following comparisons belong to, for messages.
  void begin_case(const std::string& label);

  /// `got` against `want`, row by row, with a tolerance an element.
  void compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
               const std::vector<double>& tolerance);
  void compare(const std::string& what, View<const float, 1> got, const std::vector<double>& want,
               const std::vector<double>& tolerance);
  /// The same for what is stored in bfloat16: storage_error() comes on top of the tolerance.
  void compare(const std::string& what, View<const BFloat16, 2> got, const std::vector<double>& want,
               const std::vector<double>& tolerance);
  /// The same tolerance for all elements.
  void compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
               double tolerance);
  /// Element (i, j) of the array `what`.
  void element(const std::string& what, std::int64_t i, std::int64_t j, double got, double want,
               double tolerance);
  /// A failure that is no element's.
  void fail(const std::string& message);

  bool ok() const { return compared_ > 0 && failed_ == 0; }
  std::int64_t cases() const { return cases_; }
  std::int64_t compared() const { return compared_; }
  std::int64_t failed() const { return failed_; }
  /// Largest error as a share of its tolerance; infinity where a NaN, or an error that has no tolerance,
  /// failed.
  double worst() const { return worst_; }
  /// Whether no element had a tolerance: all had to be equal.
  bool exact() const { return exact_; }
  /// The first failure: case, array, place, got, want, tolerance. Empty if there was none.
  const std::string& first_failure() const { return first_failure_; }
  /// The first failures, a line each, and how many there were.
  std::string report() const;

 private:
  std::string label_;
  std::int64_t cases_ = 0;
  std::int64_t compared_ = 0;
  std::int64_t failed_ = 0;
  double worst_ = 0.0;
  bool exact_ = true;
  std::string first_failure_, report_;
};

}  // namespace felbo::checks
