// Running error analysis (Wilkinson; Higham, "Accuracy and stability of numerical algorithms", section 3.3):
// a value in double beside a bound of how far a float that was computed by the same operations may be from
// it. For ops whose errors depend on the data too much for a tolerance written down beforehand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "host/check/parity.h"
#include "kernels/common/view.h"

namespace felbo::checks {

/// A float that was computed: the value it stands for, and the most it may be off. One that is an input is
/// not off.
struct Computed {
  double value = 0.0, error = 0.0;

  Computed(double value = 0.0, double error = 0.0) : value(value), error(error) {}
  double magnitude() const { return std::abs(value) + error; }
};

/// As it stands after a rounding to float, or after `k` times that. (A rounding is half a kEps.)
inline Computed rounded(Computed a, double k = 1.0) { return {a.value, a.error + k * kEps * a.magnitude()}; }

inline Computed operator-(Computed a) { return {-a.value, a.error}; }
inline Computed operator+(Computed a, Computed b) { return rounded({a.value + b.value, a.error + b.error}); }
inline Computed operator-(Computed a, Computed b) { return a + -b; }
inline Computed operator*(Computed a, Computed b) {
  return rounded(
      {a.value * b.value, std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error});
}
/// Infinitely far off where b may be 0.
inline Computed operator/(Computed a, Computed b) {
  const double least = std::max(0.0, std::abs(b.value) - b.error), value = a.value / b.value;
  return rounded({value, (a.error + std::abs(value) * b.error) / least});
}

/// f(a) for a smooth f whose slope is at most `slope` near a, computed within k roundings of its value.
inline Computed smooth(double value, double slope, Computed a, double k) {
  return rounded({value, slope * a.error}, k);
}

using ComputedRow = std::vector<Computed>;

/// A sum of products in any order whose partial sums have at most 16 (k - 8) terms: k roundings of the
/// magnitudes.
inline Computed dot(const ComputedRow& a, const ComputedRow& b, double k) {
  Computed sum;
  double magnitude = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum.value += a[i].value * b[i].value;
    const double error = std::abs(a[i].value) * b[i].error + b[i].magnitude() * a[i].error;
    sum.error += error;
    magnitude += std::abs(a[i].value * b[i].value) + error;
  }
  sum.error += k * kEps * magnitude;
  return sum;
}

/// Inputs: the elements of a row.
template <class T>
ComputedRow exact(View<T, 2> view, std::int64_t row, std::int64_t begin, std::int64_t count) {
  ComputedRow out;
  for (std::int64_t i = 0; i < count; ++i) out.emplace_back(static_cast<double>(view(row, begin + i)));
  return out;
}

}  // namespace felbo::checks
