// Forward: a group of threads a row of z. It makes the row's eps once, in shared memory; then each of its
// warps, or parts of one, takes a row of L at a time. Backward: a group a datum, which adds the samples in
// their order.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/common/math.h"
#include "kernels/common/normal.h"
#include "kernels/covariance_factor/covariance_factor.h"

namespace felbo {

/// kThreads threads with the eps of kSpan columns of kSamples samples in shared memory. Wider rows are taken
/// a span at a time.
template <int kThreads>
struct CovarianceGroup {
  using Group = RowGroup<kThreads>;
  static constexpr int kLanes = kThreads < 32 ? kThreads : 32;  // work on one row of L
  static constexpr int kWarps = kThreads / kLanes;
  static constexpr int kSpan = kThreads == 8 ? 32 : kThreads == 32 ? 256 : 1024;
  static constexpr int kGroups = Group::kRows;  // a block

  __device__ static int lane() { return Group::thread() % kLanes; }
  __device__ static int warp() { return Group::thread() / kLanes; }
  /// All threads of the block must call it.
  __device__ static void wait() {
    if constexpr (kThreads <= 32) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }
  /// eps[0] ... are those of columns begin ... of a row of `cols`, as many as there are, up to kSpan.
  __device__ static void make_noise(const NoiseStream& noise, std::uint32_t datum, std::uint32_t sample,
                                    std::int64_t begin, std::int64_t cols, float* eps) {
    const std::int64_t left = cols - begin;
    for (int at = kQuad * Group::thread(); at < kSpan && at < left; at += kQuad * kThreads) {
      const Normals4 n =
          normals_from_words(noise.words(datum, sample, static_cast<std::uint32_t>((begin + at) / kQuad)));
#pragma unroll
      for (int i = 0; i < kQuad; ++i) eps[at + i] = n[i];
    }
  }
  /// Elements of row i of L from column `begin` on, up to kSpan.
  __device__ static int run(std::int64_t i, std::int64_t begin) {
    return i - begin < kSpan ? static_cast<int>(i - begin) : kSpan;
  }
};

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock) covariance_factor_rows(CovarianceFactorArgs a) {
  using Work = CovarianceGroup<kThreads>;
  using Group = typename Work::Group;
  __shared__ float noise_of[Work::kGroups][Work::kSpan];
  float* eps = noise_of[threadIdx.x / kThreads];
  const std::int64_t row = Group::row(), b = row / a.samples, cols = a.z.cols;
  const int s = static_cast<int>(row % a.samples), lane = Work::lane();
  const bool works = row < a.z.rows;
  const float* triangle = works ? a.factor.row(b) : nullptr;
  double squares = 0.0;
  for (std::int64_t begin = 0; begin < cols; begin += Work::kSpan) {
    Work::wait();  // the last span's may still be read
    if (works)
      Work::make_noise(a.noise, a.datum(b), a.first_sample + static_cast<std::uint32_t>(s), begin, cols, eps);
    Work::wait();
    for (std::int64_t i = begin + 1 + Work::warp(); i < cols; i += Work::kWarps) {
      float sum = 0.0f, square = 0.0f;
      if (works) {
        const float* l = triangle + below_diagonal(i) + begin;
        for (int j = lane; j < Work::run(i, begin); j += Work::kLanes) {
          sum = math::fma(l[j], eps[j], sum);
          square = math::fma(l[j], l[j], square);
        }
      }
      sum = reduce_lanes<Work::kLanes>(sum, Sum());
      if (works && lane == 0) a.z(row, i) = math::add(a.z(row, i), sum);
      squares += static_cast<double>(square);
    }
  }
  if (a.kl.empty()) return;
  squares = Group::reduce(squares, Sum());
  if (works && s == 0 && Group::thread() == 0) {
    a.kl(b) = static_cast<float>(static_cast<double>(a.kl(b)) + 0.5 * squares);
  }
}

/// Samples whose noise is in shared memory at a time, and the gradients in registers.
inline constexpr int kCovarianceSamples = 4;

template <int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    covariance_factor_grad(CovarianceFactorGradArgs a) {
  using Work = CovarianceGroup<kThreads>;
  __shared__ float noise_of[Work::kGroups][kCovarianceSamples][Work::kSpan];
  auto& eps = noise_of[threadIdx.x / kThreads];
  const std::int64_t b = Work::Group::row(), cols = a.grad_z.cols;
  const bool works = b < a.factor.rows;
  const float kl_scale = a.kl_scale.get();
  for (std::int64_t begin = 0; begin < cols; begin += Work::kSpan) {
    for (int first = 0; first < a.samples; first += kCovarianceSamples) {
      const int count = a.samples - first < kCovarianceSamples ? a.samples - first : kCovarianceSamples;
      Work::wait();  // the last samples' may still be read
      for (int s = 0; works && s < count; ++s) {
        const std::uint32_t sample = a.first_sample + static_cast<std::uint32_t>(first + s);
        Work::make_noise(a.noise, a.datum(b), sample, begin, cols, eps[s]);
      }
      Work::wait();
      if (!works) continue;
      const std::int64_t row = b * a.samples + first;
      for (std::int64_t i = begin + 1 + Work::warp(); i < cols; i += Work::kWarps) {
        const std::int64_t at = below_diagonal(i) + begin;
        const float* l = a.factor.row(b) + at;
        float *grad = a.grad_factor.row(b) + at, grad_z[kCovarianceSamples];
#pragma unroll
        for (int s = 0; s < kCovarianceSamples; ++s) grad_z[s] = s < count ? a.grad_z(row + s, i) : 0.0f;
        for (int j = Work::lane(); j < Work::run(i, begin); j += Work::kLanes) {
          float g = first == 0 ? math::mul(kl_scale, l[j]) : grad[j];
#pragma unroll
          for (int s = 0; s < kCovarianceSamples; ++s) {
            if (s < count) g = math::fma(grad_z[s], eps[s][j], g);
          }
          grad[j] = g;
        }
      }
    }
  }
}

}  // namespace felbo
