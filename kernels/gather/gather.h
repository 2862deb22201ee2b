// One minibatch: rows of a data set by index, converted to float and binarised on the way.
//
//   v = data(rows[i], j) / divisor
//   none:       x(i, j) = v
//   threshold:  x(i, j) = 1 if v >= 1/2, else 0
//   dynamic:    x(i, j) = 1 if u < v, else 0, with u uniform in [0, 1) on a grid of 2^-24, named by
//               (seed, step, datum rows[i], element j): a Bernoulli draw with the grey value as its
//               probability (Salakhutdinov and Murray, "On the quantitative analysis of deep belief
//               networks", ICML 2008).
//
// Rows that the host has gathered already, one batch behind another, are read from where the batch stands
// (`place`); rows[i] then only names the noise.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

enum class Binarize { kNone, kThreshold, kDynamic };

template <class T>
struct GatherArgs {
  View<const T, 2> data;              // (N, X) uint8 or float
  View<const std::uint32_t, 1> rows;  // (B) indices into the data, each below N
  float divisor = 1.0f;               // 255 for bytes that stand for intensities
  Binarize binarize = Binarize::kNone;
  NoiseStream noise;                              // read by dynamic binarisation only
  View<float, 2> x;                               // (B, X)
  View<BFloat16, 2> rounded{};                    // (B, X) x in bfloat16, for products; may be empty
  Scalar<std::int64_t> place = std::int64_t{-1};  // at least 0: datum rows[i] is row place + i of the data
};

/// The row of the data that row i of a batch is made of.
FELBO_HD inline std::int64_t source_row(std::int64_t place, std::int64_t i, std::uint32_t datum) {
  return place < 0 ? std::int64_t{datum} : place + i;
}

/// Throws std::invalid_argument if shapes disagree or the divisor is not positive and finite. Row indices and
/// the place are trusted. A NaN in the data gives a NaN whatever the binarisation.
void gather(const CpuExec& exec, const GatherArgs<std::uint8_t>& args);
void gather(const CpuExec& exec, const GatherArgs<float>& args);
void gather(const CudaExec& exec, const GatherArgs<std::uint8_t>& args);
void gather(const CudaExec& exec, const GatherArgs<float>& args);

}  // namespace felbo
