// A block a chunk of the gradient, then one block that adds up the chunks' sums and judges.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/step_guard/step_guard.h"
#include "kernels/step_guard/step_guard_math.h"

namespace felbo {

inline constexpr int kSquaresBlock = 256;
inline constexpr int kSquaresQuads =
    static_cast<int>(step_guard_math::kChunk) / (kSquaresBlock * kQuad);  // a thread
static_assert(kSquaresQuads * kSquaresBlock * kQuad == step_guard_math::kChunk);

__global__ void __launch_bounds__(kSquaresBlock) square_chunks(GuardStepArgs args) {
  const std::int64_t chunk = std::int64_t{blockIdx.x} * step_guard_math::kChunk;
  const bool vector = aligned(args.gradient.data);
  double sum = 0.0;
#pragma unroll
  for (int q = 0; q < kSquaresQuads; ++q) {
    const std::int64_t begin = chunk + kQuad * (std::int64_t{q} * kSquaresBlock + threadIdx.x);
    float g[kQuad];
    load_quad(args.gradient.data + begin, args.gradient.size - begin, vector, g);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }
  sum = reduce_block<kSquaresBlock>(sum, Sum());
  if (threadIdx.x == 0) args.partial(blockIdx.x) = sum;
}

inline constexpr int kJudgeBlock = 256;

/// Thread t adds the sums of chunks t, t + kJudgeBlock, ...
__global__ void __launch_bounds__(kJudgeBlock) judge_step(GuardStepArgs args) {
  double squares = 0.0;
  for (std::int64_t c = threadIdx.x; c < args.partial.size; c += kJudgeBlock) squares += args.partial(c);
  squares = reduce_block<kJudgeBlock>(squares, Sum());
  if (threadIdx.x != 0) return;
  step_guard_math::judge(args, squares);
  step_guard_math::clear(args);
}

}  // namespace felbo
