// The CUDA loops for a family of unit.h: the row kernel of likelihood.cuh for rows up to a block each, once
// for all log-spreads that rows share and once for those of the decoder; and the gradient of shared ones, by
// columns.
#pragma once

#include <cmath>

#include "kernels/common/cuda/launch.h"
#include "kernels/likelihood/likelihood.cuh"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace unit_cuda {

template <class Family>
using Where = std::conditional_t<Family::kSpread, SpreadAnywhere<typename Family::Spread>, SpreadNowhere>;

template <class Family>
struct SharedSource {
  Family family_;
  Where<Family> spread;
  const VarianceTotals* totals;  // of `owned` own log-spreads, or null
  std::int64_t owned;
  double given;  // log-spread

  FELBO_HD SharedSpread<Family, Where<Family>, OwnParameters::kNone> family() const {
    return {family_, spread};
  }
  __device__ double row_constant(std::int64_t n) const {
    const double each = totals == nullptr ? given : totals->sum_log_var / static_cast<double>(owned);
    return static_cast<double>(n) * (family_.constant() + static_cast<double>(Family::kLogVarFactor) * each);
  }
  __device__ std::int32_t own_clamped() const { return totals == nullptr ? 0 : totals->clamped; }
};

template <class Family>
struct PerElementSource {
  Family family_;
  LogVarClamp clamp;
  FELBO_HD SpreadPerElement<Family> family() const { return {family_, clamp}; }
  __device__ double row_constant(std::int64_t n) const { return static_cast<double>(n) * family_.constant(); }
  __device__ std::int32_t own_clamped() const { return 0; }
};

template <class Family>
struct SpreadOf {
  __device__ typename Family::Spread operator()(float log_var) const { return Family::spread_of(log_var); }
};

// --- The gradient of own log-spreads

inline constexpr int kSumBlock = 128, kOneBlock = 1024;

/// Sums over blocks of kRowsABlock rows, a thread a column. It reads the decoder's output before the row
/// kernel writes the gradient over it.
template <class Family, class T>
__global__ void __launch_bounds__(kSumBlock)
    sum_own_columns(SharedSource<Family> source, LikelihoodArgsOf<T> args, std::int64_t column_blocks,
                    float* sums) {
  constexpr int kLocations = Family::kLocations;
  const auto family = source.family();
  const std::int64_t n = args.x.cols, block = blockIdx.x / column_blocks;
  const std::int64_t j = blockIdx.x % column_blocks * kSumBlock + threadIdx.x;
  if (j >= n) return;
  const std::int64_t begin = block * kRowsABlock;
  const std::int64_t end = begin + kRowsABlock < args.output.rows ? begin + kRowsABlock : args.output.rows;
  float sum = 0.0f;
  for (std::int64_t r = begin; r < end; ++r) {
    float output[kLocations];
#pragma unroll
    for (int k = 0; k < kLocations; ++k) output[k] = static_cast<float>(args.output(r, k * n + j));
    sum += row_weight(args, r) * family(args.x(r / args.samples, j), output, j).own;
  }
  sums[block * n + j] = sum;
}

/// A log-spread a dimension: the sums of all blocks of rows, a thread a column.
template <class Family, class T>
__global__ void __launch_bounds__(kSumBlock)
    finish_own_columns(LikelihoodArgsOf<T> args, LogVarClamp clamp, const float* sums) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kSumBlock + threadIdx.x, n = args.x.cols;
  if (j >= n) return;
  double sum = 0.0;
  for (std::int64_t block = 0; block < blocks_of(args.output.rows, kRowsABlock); ++block) {
    sum += static_cast<double>(sums[block * n + j]);
  }
  using Shared = SharedSpread<Family, Where<Family>, OwnParameters::kNone>;
  args.grad_own(j) = grad_of_own(args, clamp, j, Shared::own_gradient(sum, sum_of_weights(args)));
}

/// One log-spread: the first `count` sums, by one block.
template <class Family, class T>
__global__ void __launch_bounds__(kOneBlock)
    finish_own_one(LikelihoodArgsOf<T> args, LogVarClamp clamp, const float* sums, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < count; i += kOneBlock) sum += static_cast<double>(sums[i]);
  sum = reduce_block<kOneBlock>(sum, Sum());
  using Shared = SharedSpread<Family, Where<Family>, OwnParameters::kNone>;
  const double elements = sum_of_weights(args) * static_cast<double>(args.x.cols);
  if (threadIdx.x == 0) {
    args.grad_own(0) = grad_of_own(args, clamp, 0, Shared::own_gradient(sum, elements));
  }
}

// --- Launchers

// Dimensions up to which a row is worth a warp; beyond, a block. It decides the order of the sums, so it
// depends on the row alone.
inline constexpr std::int64_t kWarpPerUnitRow = 1024;
inline constexpr int kUnitRowBlock = 256;

template <bool kGradient, class Data, class Source, class T>
void launch_rows(const CudaExec& exec, const Source& source, const LikelihoodArgsOf<T>& args) {
  using Group = RowGroup<32>;
  const std::int64_t rows = args.output.rows;
  if (args.x.cols <= kWarpPerUnitRow) {
    launch(exec, likelihood_rows<Data, Source, T, kGradient, 32>, blocks_for(rows, Group::kRows),
           Group::kBlock, 0, source, args);
  } else {
    launch(exec, likelihood_rows<Data, Source, T, kGradient, kUnitRowBlock>, blocks_for(rows, 1),
           kUnitRowBlock, 0, source, args);
  }
}

template <class Source, class T>
void run_rows(const CudaExec& exec, const Source& source, const LikelihoodArgsOf<T>& args) {
  with_storage_of<FamilyOf<Source>>(args.x, [&]<class Data>(Data) {
    if (args.want_gradient) {
      launch_rows<true, Data>(exec, source, args);
    } else {
      launch_rows<false, Data>(exec, source, args);
    }
  });
}

/// A given spread is worked out here; own ones on the device.
template <class Family, class T>
SharedSource<Family> prepare(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args) {
  using Spread = typename Family::Spread;
  SharedSource<Family> source{Family::of(which), {}, nullptr, args.own.size, 0.0};
  if (args.own.size == 0) {
    if (which.variance == VarianceKind::kFixed) source.given = std::log(double{which.fixed_variance});
    source.spread = {nullptr, 0, Family::spread_of(static_cast<float>(source.given))};
    return source;
  }
  auto* spread = reinterpret_cast<Spread*>(args.scratch.data);  // floats, as are all members of a spread
  auto* totals = reinterpret_cast<VarianceTotals*>(exec.workspace().data());
  launch(exec, prepare_variances<SpreadOf<Family>, Spread>, 1, kPrepareBlock, 0, args.own, which.clamp,
         SpreadOf<Family>{}, spread, totals);
  source.spread = {spread, which.variance == VarianceKind::kPerDimension ? 1 : 0, {}};
  source.totals = totals;
  return source;
}

template <class Family, class T>
void run_own(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args,
             const SharedSource<Family>& source) {
  const std::int64_t n = args.x.cols, blocks = blocks_of(args.output.rows, kRowsABlock);
  const std::int64_t column_blocks = blocks_for(n, kSumBlock);
  float* sums = args.scratch.data + kSpreadFloats<Family> * n;
  launch(exec, sum_own_columns<Family, T>, blocks_for(blocks * column_blocks, 1), kSumBlock, 0, source, args,
         column_blocks, sums);
  run_rows(exec, source, args);
  if (which.variance == VarianceKind::kPerDimension) {
    launch(exec, finish_own_columns<Family, T>, static_cast<unsigned>(column_blocks), kSumBlock, 0, args,
           which.clamp, sums);
  } else {
    launch(exec, finish_own_one<Family, T>, 1, kOneBlock, 0, args, which.clamp, sums, n * blocks);
  }
}

inline constexpr int kUnitMeanBlock = 128;

template <class Family>
__global__ void __launch_bounds__(kUnitMeanBlock)
    unit_mean_elements(View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kUnitMeanBlock + threadIdx.x, n = mean.cols;
  const std::int64_t r = item / n, j = item % n;
  if (r >= mean.rows) return;
  float location[Family::kLocations];
#pragma unroll
  for (int k = 0; k < Family::kLocations; ++k) location[k] = output(r, k * n + j);
  mean(r, j) = Family::mean(location);
}

}  // namespace unit_cuda

template <class Family, class T>
void unit_likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args) {
  using namespace unit_cuda;
  if constexpr (!Family::kSpread) {
    run_rows(exec, SharedSource<Family>{Family::of(which), {}, nullptr, 0, 0.0}, args);
  } else if (which.variance == VarianceKind::kPerElement) {
    run_rows(exec, PerElementSource<Family>{Family::of(which), which.clamp}, args);
  } else {
    const SharedSource<Family> source = prepare<Family>(exec, which, args);
    if (args.want_gradient && args.own.size > 0) {
      run_own(exec, which, args, source);
    } else {
      run_rows(exec, source, args);
    }
  }
}

template <class Family>
void unit_mean(const CudaExec& exec, View<const float, 2> output, View<float, 2> mean) {
  using namespace unit_cuda;
  launch(exec, unit_mean_elements<Family>, blocks_for(mean.rows * mean.cols, kUnitMeanBlock), kUnitMeanBlock,
         0, output, mean);
}

#define FELBO_INSTANTIATE_UNIT_CUDA(Family)                                                         \
  template void unit_likelihood<Family>(const CudaExec&, const Likelihood&, const LikelihoodArgs&); \
  template void unit_likelihood<Family>(const CudaExec&, const Likelihood&,                         \
                                        const LikelihoodArgsOf<BFloat16>&);                         \
  template void unit_mean<Family>(const CudaExec&, View<const float, 2>, View<float, 2>)

}  // namespace felbo
