// Running error analysis (Wilkinson; Higham, "Accuracy and stability of numerical algorithms", section 3.3):
// a value in double beside a bound of how far a float that was computed by the same operations may be from
// it. For ops whose errors depend on the data too much for a tolerance written down beforehand.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include "host/check/parity.h"
#include "kernels/common/view.h"

namespace felbo::checks {

/// A float that was computed: the value it stands for, and the most it may be off. One that is an input is
/// not off.
struct Computed {
  double value = 0.0, error = 0.0;

  constexpr Computed(double value = 0.0, double error = 0.0) : value(value), error(error) {}
  double magnitude() const { return std::abs(value) + error; }
};

/// As it stands after a rounding to float, or after `k` times that. (A rounding is half a kEps.) What is
/// below the smallest normal number may become 0.
inline Computed rounded(Computed a, double k = 1.0) {
  return {a.value, a.error + k * kEps * a.magnitude() + FLT_MIN};
}

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

// What a reference that is written for any scalar needs besides. Functions as kernels have them: within a few
// ulp. Comparisons are those of the values: what f's branches differ by where they meet is the caller's care.

inline Computed& operator+=(Computed& a, Computed b) { return a = a + b; }
inline Computed& operator-=(Computed& a, Computed b) { return a = a - b; }
inline bool operator==(Computed a, Computed b) { return a.value == b.value && a.error == b.error; }
inline bool operator<(Computed a, Computed b) { return a.value < b.value; }
inline bool operator>(Computed a, Computed b) { return a.value > b.value; }
inline bool operator<=(Computed a, Computed b) { return a.value <= b.value; }
inline bool operator>=(Computed a, Computed b) { return a.value >= b.value; }

/// Within 2 ulp, and a rounding of the argument: e^a / e^b may be computed as e^(a - b).
inline Computed exp(Computed a) {
  return smooth(std::exp(a.value), std::exp(a.value + a.error), a, 3 + std::abs(a.value));
}
/// Within 4 ulp.
inline Computed expm1(Computed a) { return smooth(std::expm1(a.value), std::exp(a.value + a.error), a, 5); }
/// Within 3 ulp, or of 1 + x within 3 ulp of x. Infinitely far off where a may be 0.
inline Computed log(Computed a) {
  return smooth(std::log(a.value), 1.0 / std::max(0.0, a.value - a.error), a, 4);
}
inline Computed sqrt(Computed a) {
  return smooth(std::sqrt(a.value), 0.5 / std::sqrt(std::max(0.0, a.value - a.error)), a, 1);
}
/// Within 8 ulp; tanh'' is at most 0.77.
inline Computed tanh(Computed a) {
  const double value = std::tanh(a.value);
  return smooth(value, std::min(1.0, 1 - value * value + 0.77 * a.error), a, 8);
}
/// Within 6 + a^2 ulp, as normal_cdf() is (of a normal, a^2 is half its square), and 1 of what 2 - erfc is.
inline Computed erfc(Computed a) {
  const double slope = 2 * std::numbers::inv_sqrtpi, own = (6 + a.value * a.value) * kEps;
  return {std::erfc(a.value),
          slope * a.error + own * std::erfc(std::abs(a.value)) + (a.value < 0 ? 2 * kEps : 0.0)};
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

template <>
inline constexpr felbo::checks::Computed std::numbers::pi_v<felbo::checks::Computed>{std::numbers::pi};
template <>
inline constexpr felbo::checks::Computed std::numbers::sqrt2_v<felbo::checks::Computed>{std::numbers::sqrt2};
