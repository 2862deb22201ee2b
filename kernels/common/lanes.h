// Sums with a fixed order. A row is added up in kLanes interleaved partial sums, which compilers keep in
// vector registers of any width, and those are joined by a fixed tree; so the result depends on the row
// alone.
#pragma once

#include <cstdint>

namespace felbo {

inline constexpr int kLanes = 16;
/// Elements after which the partial sums move into a double, which keeps the error of long rows that of short
/// ones.
inline constexpr std::int64_t kLaneSpan = 1024;

/// Joins the partial sums: lanes 8 apart, then 4, 2, 1.
inline float join_lanes(const float (&lane)[kLanes]) {
  float sum[kLanes];
  for (int l = 0; l < kLanes; ++l) sum[l] = lane[l];
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) sum[l] += sum[l + width];
  }
  return sum[0];
}

/// Sum of term(j) over j in [0, n): the error is below (kLaneSpan / kLanes + 4) * eps(float) * sum |term(j)|.
/// `term` is called once for each j, in blocks of kLanes, and may have side effects on element j.
template <class Term>
double lane_sum(std::int64_t n, const Term& term) {
  double total = 0.0;
  for (std::int64_t begin = 0; begin < n; begin += kLaneSpan) {
    const std::int64_t end = begin + kLaneSpan < n ? begin + kLaneSpan : n;
    float lane[kLanes] = {};
    std::int64_t j = begin;
    for (; j + kLanes <= end; j += kLanes) {
      for (int l = 0; l < kLanes; ++l) lane[l] += term(j + l);
    }
    for (int l = 0; j < end; ++j, ++l) lane[l] += term(j);
    total += static_cast<double>(join_lanes(lane));
  }
  return total;
}

}  // namespace felbo
