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

}  // namespace felbo::checks
