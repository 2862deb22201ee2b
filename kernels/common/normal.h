// Standard normals and uniforms from random words, equal bit for bit on host and device.
#pragma once

#include "kernels/common/math.h"
#include "kernels/common/philox.h"

namespace felbo {

/// A uniform in [0, 1) on a grid of 2^-24, exactly representable: compare it with a probability.
FELBO_HD inline float uniform_from_word(std::uint32_t word) {
  return math::mul(static_cast<float>(word >> 8), 5.9604644775390625e-8f);
}

/// Two standard normals by Box and Muller (1958): radius from one word, angle from the other. |value| <= 6.8.
struct NormalPair {
  float first;
  float second;
};
FELBO_HD inline NormalPair normals_from_words(std::uint32_t radius_word, std::uint32_t angle_word) {
  // (w + 1/2) / 2^32 in (0, 1].
  const float u =
      math::fma(static_cast<float>(radius_word), 2.3283064365386963e-10f, 1.1641532182693481e-10f);
  const float radius = math::sqrt(math::mul(-2.0f, math::log_normal(u)));
  // The nearest quarter turn, and an angle of -1/2 ... 1/2 quarter around it.
  const std::uint32_t quarter = (angle_word + 0x20000000u) >> 30;
  const std::int32_t around = static_cast<std::int32_t>(angle_word << 2);
  const math::CosSin a =
      math::cos_sin_quarter(math::mul(static_cast<float>(around), 2.3283064365386963e-10f));
  const bool odd = quarter & 1u;
  const std::int32_t cos_sign = static_cast<std::int32_t>((quarter ^ (quarter >> 1)) << 31);
  const std::int32_t sin_sign = static_cast<std::int32_t>((quarter >> 1) << 31);
  const float c = math::from_bits(math::bits(odd ? a.sin : a.cos) ^ cos_sign);
  const float s = math::from_bits(math::bits(odd ? a.cos : a.sin) ^ sin_sign);
  return {math::mul(radius, c), math::mul(radius, s)};
}

/// Four standard normals from the four words of one Philox call.
struct Normals4 {
  float n[4];
  FELBO_HD float operator[](int i) const { return n[i]; }
};
FELBO_HD inline Normals4 normals_from_words(const Words4& words) {
  const NormalPair a = normals_from_words(words.w[0], words.w[1]);
  const NormalPair b = normals_from_words(words.w[2], words.w[3]);
  return {{a.first, a.second, b.first, b.second}};
}

}  // namespace felbo
