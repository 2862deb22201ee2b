// A gathered pixel, transcribed from the formulas in gather.h.
#pragma once

#include <cstdint>

#include "kernels/gather/gather.h"
#include "kernels/noise/noise_reference.h"

namespace felbo::reference {

/// x for one value of the data. The intensity is a float in every precision of the reference: rounding the
/// quotient of two floats to double first does not change the float.
template <class T>
T gather_pixel(T data, float divisor, Binarize binarize, const NoiseStream& noise, std::uint32_t datum,
               std::uint32_t element) {
  const T v = static_cast<float>(data / divisor);
  if (binarize == Binarize::kNone || v != v) return v;
  if (binarize == Binarize::kThreshold) return v >= T(0.5) ? 1 : 0;
  const std::uint32_t drawn =
      word(noise.seed, noise.step.get(), static_cast<std::uint32_t>(noise.purpose), datum, 0, element);
  const T u = T(drawn / 256) / T(16777216);
  return u < v ? 1 : 0;
}

}  // namespace felbo::reference
