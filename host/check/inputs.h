// Reproducible inputs for parity checks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/common/bfloat16.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"
#include "kernels/common/view.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo::checks {

/// What every input of `felbo check` is made from: input arrays from kInputSeed and the numbers after it,
/// noise from kNoiseSeed, whose halves are both at work.
inline constexpr std::uint64_t kInputSeed = 1;
inline constexpr std::uint64_t kNoiseSeed = 0x123456789u;

/// Lengths of rows: one element, past a warp, past a block of threads, an odd one that tiles do not divide,
/// and one that is longer than any span that is summed at once.
inline constexpr std::int64_t kWidths[] = {1, 33, 257, 785, 4099};

/// Standard normals in host memory, times `scale`, plus `shift`; another `seed` gives other numbers.
template <class T = float>
void fill_normal(View<T, 2> out, std::uint64_t seed, float scale = 1.0f, float shift = 0.0f) {
  const NoiseStream stream{seed, 0, Purpose::kInit};
  for (std::int64_t i = 0; i < out.rows; ++i) {
    for (std::int64_t j = 0; j < out.cols; ++j) {
      const Normals4 n = normals_from_words(
          stream.words(static_cast<std::uint32_t>(i), 0, static_cast<std::uint32_t>(j / 4)));
      out(i, j) = static_cast<T>(shift + scale * n[static_cast<int>(j % 4)]);
    }
  }
}

/// Normals, made into what a likelihood may observe: themselves; values of [0, 1], two thirds of them 0 or 1;
/// levels of grey over 255; counts, from 0 to a few hundred; levels of K over K - 1.
inline void to_observations(View<float, 2> x, const Likelihood& which) {
  const Observations kind = which.observations();
  const float last = static_cast<float>(which.categories - 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (float* at = x.row(i); at != x.row(i) + x.cols; ++at) {
      const float unit = std::clamp(0.5f + *at, 0.0f, 1.0f);
      if (kind == Observations::kUnitInterval) *at = unit;
      if (kind == Observations::kGrey)
        *at = std::round(255.0f * std::clamp(0.5f + 0.4f * *at, 0.0f, 1.0f)) / 255.0f;
      if (kind == Observations::kLevels)
        *at = std::round(last * std::clamp(0.5f + 0.4f * *at, 0.0f, 1.0f)) / std::max(last, 1.0f);
      if (kind == Observations::kCounts) *at = std::floor(std::exp(1.4f * *at + 0.7f));
    }
  }
}

/// What makes x of the bytes of a likelihood's data, as the data sets have it: 1 for counts, K - 1 for
/// levels, else 255.
inline float byte_divisor(const Likelihood& which) {
  if (which.observations() == Observations::kCounts) return 1.0f;
  return which.observations() == Observations::kLevels
             ? std::max(static_cast<float>(which.categories - 1), 1.0f)
             : 255.0f;
}
/// An observation as Data stores it: rounded to a bfloat16 or to one of 256 bytes.
template <class Data>
Data stored_observation(float x, const Likelihood& which) {
  if constexpr (!std::is_same_v<Data, std::uint8_t>) {
    return static_cast<Data>(x);
  } else {
    return static_cast<Data>(std::round(std::clamp(byte_divisor(which) * x, 0.0f, 255.0f)));
  }
}
/// Observations as Data stores them, made from normals.
template <class Data>
void fill_observations(View<Data, 2> x, const Likelihood& which, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(x.rows * x.cols));
  const View<float, 2> floats(values.data(), x.rows, x.cols);
  fill_normal(floats, seed);
  to_observations(floats, which);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.cols; ++j) x(i, j) = stored_observation<Data>(floats(i, j), which);
  }
}
/// Stored observations as likelihood() takes them.
template <class Data>
XView x_view(View<Data, 2> x, const Likelihood& which) {
  if constexpr (std::is_same_v<std::remove_const_t<Data>, std::uint8_t>) {
    return {x, byte_divisor(which)};
  } else {
    return x;
  }
}

/// The elements of a view of host memory as doubles, row by row.
template <class T>
std::vector<double> to_double(View<T, 2> view) {
  using Number = std::conditional_t<std::is_same_v<std::remove_const_t<T>, BFloat16>, float, T>;
  std::vector<double> out;
  for (std::int64_t i = 0; i < view.rows; ++i) {
    for (std::int64_t j = 0; j < view.cols; ++j)
      out.push_back(static_cast<double>(static_cast<Number>(view(i, j))));
  }
  return out;
}

/// What stored observations stand for: a byte for the float that is nearest to its quotient.
template <class Data>
std::vector<double> to_x(View<Data, 2> view, const Likelihood& which) {
  std::vector<double> x = to_double(view);
  if constexpr (std::is_same_v<std::remove_const_t<Data>, std::uint8_t>) {
    for (double& v : x) v = static_cast<float>(v / static_cast<double>(byte_divisor(which)));
  }
  return x;
}

}  // namespace felbo::checks
