// One thread eight elements: 16 bytes of bfloat16.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/round/round.h"

namespace felbo {

inline constexpr int kRoundBlock = 256;

__global__ void __launch_bounds__(kRoundBlock) round_runs(RoundArgs args) {
  constexpr int kRun = kRunOf<BFloat16>;
  const std::int64_t begin = kRun * (std::int64_t{blockIdx.x} * kRoundBlock + threadIdx.x);
  const std::int64_t left = args.from.size - begin;
  if (left <= 0) return;
  float values[kRun];
  load_run(args.from.data + begin, left, aligned<kRun>(args.from.data), values);
  store_run(args.to.data + begin, left, aligned<kRun>(args.to.data), values);
}

}  // namespace felbo
