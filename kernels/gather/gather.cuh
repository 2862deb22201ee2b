// One thread four pixels, which share the four words of a Philox block.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_math.h"

namespace felbo {

inline constexpr int kGatherBlock = 128;

template <class T, Binarize kBinarize>
__global__ void __launch_bounds__(kGatherBlock) gather_quads(GatherArgs<T> args) {
  const std::int64_t per_row = quads(args.x.cols);
  const std::int64_t item = std::int64_t{blockIdx.x} * kGatherBlock + threadIdx.x;
  const std::int64_t row = item / per_row, quad = item % per_row;
  if (row >= args.x.rows) return;
  const std::uint32_t datum = args.rows(row);
  const T* from = args.data.row(datum);
  float* to = args.x.row(row);
  const std::int64_t col = kQuad * quad, left = args.x.cols - col;
  float x[kQuad];
  load_quad(from + col, left, aligned(from), x);
  Words4 words{};
  if (kBinarize == Binarize::kDynamic) words = args.noise.words(datum, 0, static_cast<std::uint32_t>(quad));
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    x[i] = gather_math::intensity(x[i], args.divisor);
    if (kBinarize == Binarize::kThreshold) x[i] = gather_math::threshold(x[i]);
    if (kBinarize == Binarize::kDynamic) x[i] = gather_math::draw(x[i], words[i]);
  }
  store_quad(to + col, left, aligned(to), x);
}

}  // namespace felbo
