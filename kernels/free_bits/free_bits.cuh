// A block a dimension; its rows are dealt to the threads in turn.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/free_bits/free_bits_check.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {

inline constexpr int kFreeBitsBlock = 256;

__global__ void __launch_bounds__(kFreeBitsBlock) free_bits_columns(FreeBitsArgs a) {
  const std::int64_t d = blockIdx.x;
  double sum = 0.0;
  for (std::int64_t b = threadIdx.x; b < a.mu.rows; b += kFreeBitsBlock) {
    sum += static_cast<double>(reparameterize_math::kl(a.mu(b, d), clamp_log_var(a.log_var(b, d), a.clamp)));
  }
  sum = reduce_block<kFreeBitsBlock>(sum, Sum());
  if (threadIdx.x != 0) return;
  const auto kl = static_cast<float>(sum / static_cast<double>(a.mu.rows));
  a.kl(d) = kl;
  a.weight(d) = free_bits_weight(kl, a.threshold);
}

}  // namespace felbo
