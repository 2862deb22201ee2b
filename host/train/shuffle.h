// The order in which an epoch visits the data.
#pragma once

#include <cstdint>
#include <vector>

namespace felbo {

/// A permutation of [0, n), a function of (seed, epoch) alone: Fisher and Yates' shuffle with unbiased
/// bounded integers (Lemire, "Fast random integer generation in an interval", 2019) from the noise counter.
/// Throws std::invalid_argument unless 0 <= n < 2^32.
std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t n);

}  // namespace felbo
