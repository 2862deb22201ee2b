// One thread a run of pixels: four, which share the four words of a Philox block, or eight where x is wanted
// in bfloat16 too.
#pragma once

#include <type_traits>

#include "kernels/common/cuda/vector.cuh"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_math.h"

namespace felbo {

inline constexpr int kGatherBlock = 128;

/// Pixels a thread: what 16 bytes hold of the narrowest copy of x.
template <bool kRounded>
inline constexpr int kGatherRun = kRounded ? kRunOf<BFloat16> : kQuad;

template <class T, Binarize kBinarize, bool kRounded>
__global__ void __launch_bounds__(kGatherBlock) gather_runs(GatherArgs<T> args) {
  constexpr int kRun = kGatherRun<kRounded>;
  const std::int64_t per_row = (args.x.cols + kRun - 1) / kRun;
  const std::int64_t item = std::int64_t{blockIdx.x} * kGatherBlock + threadIdx.x;
  const std::int64_t row = item / per_row, run = item % per_row;
  if (row >= args.x.rows) return;
  const std::uint32_t datum = args.rows(row);
  const T* from = args.data.row(source_row(args.place.get(), row, datum));
  float* to = args.x.row(row);
  const std::int64_t col = kRun * run, left = args.x.cols - col;
  float x[kRun];
  load_run(from + col, left, aligned<kRun>(from), x);
#pragma unroll
  for (int first = 0; first < kRun; first += kQuad) {
    Words4 words{};
    if (kBinarize == Binarize::kDynamic)
      words = args.noise.words(datum, 0, static_cast<std::uint32_t>((col + first) / kQuad));
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      float& v = x[first + i];
      if constexpr (kBinarize == Binarize::kDynamic && std::is_same_v<T, std::uint8_t>) {
        if (args.divisor == gather_math::kByteDivisor) {
          v = gather_math::draw_byte(static_cast<std::uint32_t>(v), words[i]);
          continue;
        }
      }
      v = gather_math::intensity(v, args.divisor);
      if (kBinarize == Binarize::kThreshold) v = gather_math::threshold(v);
      if (kBinarize == Binarize::kDynamic) v = gather_math::draw(v, words[i]);
    }
  }
  store_run(to + col, left, aligned<kRun>(to), x);
  if constexpr (kRounded) {
    BFloat16* rounded = args.rounded.row(row);
    store_run(rounded + col, left, aligned<kRun>(rounded), x);
  }
}

}  // namespace felbo
