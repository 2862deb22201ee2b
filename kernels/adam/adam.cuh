// One thread four parameters, one pass.
#pragma once

#include "kernels/adam/adam.h"
#include "kernels/adam/adam_math.h"
#include "kernels/common/cuda/vector.cuh"

namespace felbo {

inline constexpr int kAdamBlock = 256;

__global__ void __launch_bounds__(kAdamBlock) adam_quads(AdamArgs args) {
  const std::int64_t begin = kQuad * (std::int64_t{blockIdx.x} * kAdamBlock + threadIdx.x);
  const std::int64_t left = args.parameter.size - begin;
  if (left <= 0) return;
  const AdamStep step = args.step.get();
  const float scale = args.scale.get();
  if (scale == 0.0f) return;
  float parameter[kQuad], gradient[kQuad], m[kQuad], v[kQuad];
  load_quad(args.parameter.data + begin, left, aligned(args.parameter.data), parameter);
  load_quad(args.gradient.data + begin, left, aligned(args.gradient.data), gradient);
  load_quad(args.m.data + begin, left, aligned(args.m.data), m);
  load_quad(args.v.data + begin, left, aligned(args.v.data), v);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const float g = math::mul(scale, gradient[i]);
    m[i] = adam_math::first_moment(step, m[i], g);
    v[i] = adam_math::second_moment(step, v[i], g);
    parameter[i] = adam_math::parameter(step, parameter[i], m[i], v[i]);
  }
  store_quad(args.m.data + begin, left, aligned(args.m.data), m);
  store_quad(args.v.data + begin, left, aligned(args.v.data), v);
  store_quad(args.parameter.data + begin, left, aligned(args.parameter.data), parameter);
  if (!args.rounded.empty())
    store_quad(args.rounded.data + begin, left, aligned(args.rounded.data), parameter);
}

}  // namespace felbo
