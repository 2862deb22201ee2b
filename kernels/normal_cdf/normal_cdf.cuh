// One thread 16 bytes.
#pragma once

#include "kernels/common/cuda/vector.cuh"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/normal_cdf/normal_cdf_math.h"

namespace felbo {

inline constexpr int kNormalCdfBlock = 256;

template <class T>
__global__ void __launch_bounds__(kNormalCdfBlock) normal_cdf_runs(NormalCdfArgsOf<T> args) {
  constexpr int kRun = kRunOf<T>;
  const std::int64_t begin = kRun * (std::int64_t{blockIdx.x} * kNormalCdfBlock + threadIdx.x);
  const std::int64_t left = args.z.size - begin;
  if (left <= 0) return;
  float values[kRun];
  load_run(args.z.data + begin, left, aligned<kRun>(args.z.data), values);
#pragma unroll
  for (int i = 0; i < kRun; ++i) values[i] = normal_cdf_math::cdf(values[i]);
  store_run(args.u.data + begin, left, aligned<kRun>(args.u.data), values);
}

template <class T>
__global__ void __launch_bounds__(kNormalCdfBlock) normal_cdf_grad_runs(NormalCdfGradArgsOf<T> args) {
  constexpr int kRun = kRunOf<T>;
  const std::int64_t begin = kRun * (std::int64_t{blockIdx.x} * kNormalCdfBlock + threadIdx.x);
  const std::int64_t left = args.z.size - begin;
  if (left <= 0) return;
  float z[kRun], grad[kRun];
  load_run(args.z.data + begin, left, aligned<kRun>(args.z.data), z);
  load_run(args.grad.data + begin, left, aligned<kRun>(args.grad.data), grad);
#pragma unroll
  for (int i = 0; i < kRun; ++i) grad[i] = normal_cdf_math::gradient(z[i], grad[i]);
  store_run(args.grad.data + begin, left, aligned<kRun>(args.grad.data), grad);
}

}  // namespace felbo
