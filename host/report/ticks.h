// Where an axis has its ticks, and what stands at them.
#pragma once

#include <string>
#include <vector>

namespace felbo::report {

/// The range of an axis, lo < hi.
struct Range {
  double lo = 0.0;
  double hi = 1.0;
};

/// Takes in one more value; NaN and infinities are passed over. `empty` until one has been taken.
struct Extent {
  double lo = 0.0;
  double hi = 0.0;
  bool empty = true;

  void add(double value);
  /// The values with a margin of `share` of their span on both sides; a single value gets room around it.
  Range padded(double share) const;
  /// The same by factors, for values above 0.
  Range padded_by_factor(double factor) const;
};

/// Multiples of 1, 2 or 5 times a power of ten inside the range, at most `most` (at least 2) of them.
std::vector<double> linear_ticks(Range range, int most);
/// The same, whole numbers only: for epochs and ranks.
std::vector<double> whole_ticks(Range range, int most);
/// Powers of ten inside a range above 0, each 10^k-th if there are more than `most`; 1, 2 and 5 times them
/// where fewer than three powers are inside.
std::vector<double> log_ticks(Range range, int most);

/// The ticks as text, all with the places that their distance needs.
std::vector<std::string> tick_labels(const std::vector<double>& ticks);
/// The ticks of a logarithmic axis, each by itself.
std::vector<std::string> log_tick_labels(const std::vector<double>& ticks);

}  // namespace felbo::report
