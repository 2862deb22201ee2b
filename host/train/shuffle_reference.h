// The order of an epoch, transcribed from the papers: Fisher and Yates' shuffle (Knuth, The Art of Computer
// Programming, volume 2, algorithm 3.4.2P) with the bounded integers of Lemire ("Fast random integer
// generation in an interval", 2019, algorithm 5).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/noise/noise_reference.h"

namespace felbo::reference {

/// A permutation of [0, n), n below 2^31. Its words are those of purpose 1, the epoch as the step, one after
/// another: docs/notation.md, "Noise".
inline std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < n; ++i) order.push_back(i);
  std::uint32_t used = 0;
  const std::uint64_t two_to_32 = std::uint64_t{1} << 32;
  for (std::uint32_t last = n; last-- > 1;) {
    const std::uint64_t bound = last + 1;
    std::uint64_t product = 0;
    do {
      product = word(seed, epoch, 1, 0, 0, used++) * bound;
    } while (product % two_to_32 < two_to_32 % bound);
    std::swap(order[last], order[product / two_to_32]);
  }
  return order;
}

}  // namespace felbo::reference
