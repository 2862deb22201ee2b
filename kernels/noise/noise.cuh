// One thread makes the four normals of one Philox block.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/common/normal.h"
#include "kernels/noise/noise.h"

namespace felbo {

inline constexpr int kNormalFillBlock = 128;

__global__ void __launch_bounds__(kNormalFillBlock) normal_fill_quads(NormalFillArgs args) {
  const std::int64_t per_row = quads(args.out.cols);
  const std::int64_t item = std::int64_t{blockIdx.x} * kNormalFillBlock + threadIdx.x;
  const std::int64_t row = item / per_row, quad = item % per_row;
  if (row >= args.out.rows) return;
  const Normals4 normals = normals_from_words(args.stream.words(
      args.first_datum + static_cast<std::uint32_t>(row), args.sample, static_cast<std::uint32_t>(quad)));
  float* to = args.out.row(row);
  store_quad(to + kQuad * quad, args.out.cols - kQuad * quad, aligned(to), normals.n);
}

}  // namespace felbo
