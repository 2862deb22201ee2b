// Sums with a fixed order. A row is added up in kLanes interleaved partial sums, which compilers keep in
// vector registers of any width, and those are joined by a fixed tree; so the result depends on the row
// alone.
#pragma once

#include <cstdint>
#include <cstring>

namespace felbo {

inline constexpr int kLanes = 16;
/// Elements after which the partial sums move into a double, which keeps the error of long rows that of short
/// ones.
inline constexpr std::int64_t kLaneSpan = 1024;

/// Joins the partial sums: lanes 8 apart, then 4, 2, 1. By hand: compilers do it number by number.
inline float join_lanes(const float (&lane)[kLanes]) {
  static_assert(kLanes == 16);
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  Eight low, high;
  std::memcpy(&low, lane, sizeof low);
  std::memcpy(&high, lane + 8, sizeof high);
  const Eight eight = low + high;
  Four first, second;
  std::memcpy(&first, &eight, sizeof first);
  std::memcpy(&second, reinterpret_cast<const char*>(&eight) + sizeof first, sizeof second);
  const Four four = first + second;
  return (four[0] + four[2]) + (four[1] + four[3]);
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
