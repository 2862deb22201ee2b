// One minibatch of a data set that is held as compressed sparse rows (CSR), made dense: the rest of a step
// sees the same x as from gather.h, bit for bit, and nothing but the batch is ever dense.
//
//   v = value[e] of the element e of row rows[i] with column[e] = j, of which there is one at most, or 0
//   where
//       there is none; then x(i, j) from v as in gather.h, by the same words of noise
//
// Zeros stay zero whatever the binarisation, so elements are all that is read.
#pragma once

#include "kernels/gather/gather.h"

namespace felbo {

struct GatherCsrArgs {
  View<const std::int64_t, 1> begin;    // (N + 1) row i has the elements begin[i] ... begin[i + 1] - 1
  View<const std::uint32_t, 1> column;  // (elements) of each, below X, in rising order within a row
  View<const float, 1> value;           // (elements)
  View<const std::uint32_t, 1> rows;    // (B) indices into the data, each below N
  Binarize binarize = Binarize::kNone;
  NoiseStream noise;                              // read by dynamic binarisation only
  View<float, 2> x;                               // (B, X)
  View<BFloat16, 2> rounded{};                    // (B, X) x in bfloat16, for products; may be empty
  Scalar<std::int64_t> place = std::int64_t{-1};  // at least 0: datum rows[i] is row place + i of the data
};

/// Throws std::invalid_argument if shapes disagree. Indices and the place are trusted. A NaN in the data
/// gives a NaN whatever the binarisation.
void gather(const CpuExec& exec, const GatherCsrArgs& args);
void gather(const CudaExec& exec, const GatherCsrArgs& args);

}  // namespace felbo
