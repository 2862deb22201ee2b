// How well a score tells two sets of data apart.
#pragma once

#include <span>

namespace felbo {

/// The area under the receiver operating characteristic, and what another sample of both sets would move it
/// by.
struct Auroc {
  double area = 0.0;  // the chance that a datum of the first set scores higher than one of the second
  double standard_error = 0.0;  // NaN if a set has a single datum
};

/// Of all pairs, those in which the first set's datum scores higher, ties counted half (Mann and Whitney
/// 1947), in O(n log n) by mid-ranks; the standard error by DeLong, DeLong and Clarke-Pearson (Biometrics 44,
/// 1988). Infinite scores are scores. Throws std::invalid_argument if a set is empty or holds a NaN, with its
/// number.
Auroc auroc(std::span<const double> first, std::span<const double> second);

}  // namespace felbo
