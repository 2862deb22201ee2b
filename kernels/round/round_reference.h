// Rounding to bfloat16 as IEEE 754 words it, by arithmetic on doubles.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace felbo::reference {

/// The multiple of the unit in the last of 8 bits that is nearest to x, the even one of two; below 2^-126 the
/// unit stays that of the smallest normal number. Infinite from half a unit beyond the largest one on.
template <class T>
T to_bfloat16(T x) {
  if (!std::isfinite(x) || x == 0) return x;
  const T unit = std::ldexp(T(1), std::max(std::ilogb(x), -126) - 7);
  const T multiple = x / unit;  // exact: a power of two
  T nearest = std::floor(multiple);
  const T beyond = multiple - nearest;
  if (beyond > T(0.5) || (beyond == T(0.5) && std::fmod(nearest, T(2)) != 0)) nearest += 1;
  const T rounded = nearest * unit;
  return std::abs(rounded) < std::ldexp(T(1), 128) ? rounded
                                                   : std::copysign(std::numeric_limits<T>::infinity(), x);
}

}  // namespace felbo::reference
