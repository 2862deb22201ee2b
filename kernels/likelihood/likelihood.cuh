// One row kernel for every family. A group of threads passes over a row, or over a piece of a long one: it
// reads each element of x and of the decoder's output once, adds up log p and writes the gradient over the
// output.
//
// Bytes an element in floats: 12 for one output a dimension, 20 for two.
#pragma once

#include <utility>

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/likelihood/bernoulli.h"
#include "kernels/likelihood/gaussian.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_check.h"

namespace felbo {

// --- Where a family's numbers come from: from the host, or from parameters in device memory. A source makes
// the family in registers and knows what each row of n dimensions adds to log p.

struct BernoulliSource {
  __device__ Bernoulli family() const { return {}; }
  __device__ double row_constant(std::int64_t) const { return 0.0; }
  __device__ std::int32_t own_clamped() const { return 0; }
};

struct GivenVarianceSource {
  float precision;
  double log_var;
  __device__ GaussianOneVariance<OwnParameters::kNone> family() const { return {precision}; }
  __device__ double row_constant(std::int64_t n) const {
    return gaussian_constant(n, static_cast<double>(n) * log_var);
  }
  __device__ std::int32_t own_clamped() const { return 0; }
};

struct LearnedVarianceSource {
  const float* own;
  LogVarClamp clamp;
  __device__ float log_var() const { return clamp_log_var(*own, clamp); }
  __device__ GaussianOneVariance<OwnParameters::kOne> family() const { return {math::exp(-log_var())}; }
  __device__ double row_constant(std::int64_t n) const {
    return gaussian_constant(n, static_cast<double>(n) * static_cast<double>(log_var()));
  }
  __device__ std::int32_t own_clamped() const { return is_clamped(*own, clamp); }
};

/// What prepare_variances found in the own log-variances.
struct VarianceTotals {
  double sum_log_var;
  std::int32_t clamped;
};

struct VariancePerDimensionSource {
  const float* precision;
  const VarianceTotals* totals;
  __device__ GaussianVariancePerDimension family() const { return {precision}; }
  __device__ double row_constant(std::int64_t n) const { return gaussian_constant(n, totals->sum_log_var); }
  __device__ std::int32_t own_clamped() const { return totals->clamped; }
};

struct VariancePerElementSource {
  LogVarClamp clamp;
  __device__ GaussianVariancePerElement family() const { return {clamp}; }
  __device__ double row_constant(std::int64_t n) const { return gaussian_constant(n, 0.0); }
  __device__ std::int32_t own_clamped() const { return 0; }
};

template <class Source>
using FamilyOf = decltype(std::declval<const Source&>().family());

inline constexpr int kPrepareBlock = 1024;

/// precision = exp(-log_var) of each dimension. One block.
__global__ void __launch_bounds__(kPrepareBlock)
    prepare_variances(View<const float, 1> own, LogVarClamp clamp, float* precision, VarianceTotals* totals) {
  double sum = 0.0;
  std::int32_t clamped = 0;
  for (std::int64_t j = threadIdx.x; j < own.size; j += kPrepareBlock) {
    const float log_var = clamp_log_var(own(j), clamp);
    precision[j] = math::exp(-log_var);
    sum += static_cast<double>(log_var);
    clamped += is_clamped(own(j), clamp);
  }
  sum = reduce_block<kPrepareBlock>(sum, Sum());
  clamped = reduce_block<kPrepareBlock>(clamped, Sum());
  if (threadIdx.x == 0) *totals = {sum, clamped};
}

// --- The pass over rows

/// What a row, or a piece of one, adds up to.
struct RowTotals {
  double log_p = 0.0;
  double own = 0.0;
  std::int32_t clamped = 0;
};

/// Where one row lies, and whether its quads can be moved at once.
template <int kOutputs>
struct RowPointers {
  const float* x;
  float* output;  // blocks of n columns, one an output
  std::int64_t n;
  bool x_aligned;
  bool output_aligned[kOutputs];

  __device__ bool all_aligned() const {
    bool all = x_aligned;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) all = all && output_aligned[k];
    return all;
  }
};

template <int kOutputs>
__device__ RowPointers<kOutputs> row_pointers(const LikelihoodArgs& args, std::int64_t r) {
  RowPointers<kOutputs> row{args.x.row(r / args.samples), args.output.row(r), args.x.cols, false, {}};
  row.x_aligned = aligned(row.x);
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) row.output_aligned[k] = aligned(row.output + k * row.n);
  return row;
}

/// Four dimensions of a row, in registers.
template <int kOutputs>
struct RowQuad {
  float x[kQuad];
  float output[kOutputs][kQuad];
};

/// kWhole promises that the quad is whole and the row aligned.
template <bool kWhole, int kOutputs>
__device__ RowQuad<kOutputs> load_row_quad(const RowPointers<kOutputs>& row, std::int64_t quad) {
  const std::int64_t col = kQuad * quad, left = kWhole ? kQuad : row.n - col;
  RowQuad<kOutputs> values;
  load_quad(row.x + col, left, kWhole || row.x_aligned, values.x);
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    load_quad(row.output + k * row.n + col, left, kWhole || row.output_aligned[k], values.output[k]);
  }
  return values;
}

/// Adds a quad to the totals and writes its gradient. Its sum goes on in double, so a row of any length is as
/// exact as a short one.
template <bool kGradient, bool kWhole, class Family>
__device__ void add_row_quad(const Family& family, const RowPointers<Family::kOutputs>& row,
                             std::int64_t quad, RowQuad<Family::kOutputs> values, float grad_scale,
                             RowTotals& totals) {
  constexpr int kOutputs = Family::kOutputs;
  const std::int64_t col = kQuad * quad, left = kWhole ? kQuad : row.n - col;
  float log_p = 0.0f, own = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    if (i >= left) continue;
    float in[kOutputs];
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) in[k] = values.output[k][i];
    const ElementTerms<kOutputs> terms = family(values.x[i], in, col + i);
    log_p += terms.log_p;
    if constexpr (Family::kClamps) totals.clamped += terms.clamped;
    if constexpr (Family::kOwn == OwnParameters::kOne) own += terms.own;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) values.output[k][i] = grad_scale * terms.grad[k];
  }
  totals.log_p += static_cast<double>(log_p);
  totals.own += static_cast<double>(own);
  if constexpr (kGradient) {
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
      store_quad(row.output + k * row.n + col, left, kWhole || row.output_aligned[k], values.output[k]);
    }
  }
}

/// Quads `first`, first + kThreads, ... below `end` of a row: all that one thread adds to it, in this order
/// whether or not they can be moved at once.
template <bool kGradient, int kThreads, class Family>
__device__ RowTotals pass_over_quads(const Family& family, const RowPointers<Family::kOutputs>& row,
                                     std::int64_t first, std::int64_t end, float grad_scale) {
  RowTotals totals;
  std::int64_t quad = first;
  if (row.all_aligned()) {
    // Two quads at a time, so that the loads of the second are under way when the first is worked on.
    const std::int64_t whole = row.n / kQuad < end ? row.n / kQuad : end;
    for (; quad + kThreads < whole; quad += 2 * kThreads) {
      const auto a = load_row_quad<true>(row, quad), b = load_row_quad<true>(row, quad + kThreads);
      add_row_quad<kGradient, true>(family, row, quad, a, grad_scale, totals);
      add_row_quad<kGradient, true>(family, row, quad + kThreads, b, grad_scale, totals);
    }
  }
  for (; quad < end; quad += kThreads) {
    add_row_quad<kGradient, false>(family, row, quad, load_row_quad<false>(row, quad), grad_scale, totals);
  }
  return totals;
}

/// By one thread a row: what the row comes to.
template <class Source>
__device__ void finish_row(const Source& source, const LikelihoodArgs& args, std::int64_t r,
                           const RowTotals& totals) {
  args.log_px_given_z(r) = static_cast<float>(totals.log_p + source.row_constant(args.x.cols));
  args.clamped(r) = totals.clamped + (r == 0 ? source.own_clamped() : 0);
  if constexpr (FamilyOf<Source>::kOwn == OwnParameters::kOne) {
    if (args.want_gradient) args.scratch(r) = static_cast<float>(totals.own);
  }
}

template <class Group, class Family>
__device__ RowTotals reduce_totals(RowTotals totals) {
  totals.log_p = Group::reduce(totals.log_p, Sum());
  if constexpr (Family::kOwn == OwnParameters::kOne) totals.own = Group::reduce(totals.own, Sum());
  if constexpr (Family::kClamps) totals.clamped = Group::reduce(totals.clamped, Sum());
  return totals;
}

/// warp_per_row for kThreads = 32, block_per_row above.
template <class Source, bool kGradient, int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock)
    likelihood_rows(Source source, LikelihoodArgs args) {
  using Group = RowGroup<kThreads>;
  using Family = FamilyOf<Source>;
  const std::int64_t r = Group::row();
  RowTotals totals;
  if (r < args.output.rows) {
    const auto row = row_pointers<Family::kOutputs>(args, r);
    totals = pass_over_quads<kGradient, kThreads>(source.family(), row, Group::thread(), quads(row.n),
                                                  args.grad_scale);
  }
  totals = reduce_totals<Group, Family>(totals);
  if (r < args.output.rows && Group::thread() == 0) finish_row(source, args, r, totals);
}

// split_rows: a block a piece of a row, and then a thread a row that adds its pieces in order.

inline constexpr int kPieceThreads = 256;
inline constexpr std::int64_t kPieceQuads = 4096;

template <class Source, bool kGradient>
__global__ void __launch_bounds__(kPieceThreads)
    likelihood_pieces(Source source, LikelihoodArgs args, std::int64_t pieces_a_row, RowTotals* partial) {
  using Group = RowGroup<kPieceThreads>;
  using Family = FamilyOf<Source>;
  const std::int64_t r = Group::row() / pieces_a_row, piece = Group::row() % pieces_a_row;
  const auto row = row_pointers<Family::kOutputs>(args, r);
  const std::int64_t begin = piece * kPieceQuads, last = quads(row.n);
  const std::int64_t end = begin + kPieceQuads < last ? begin + kPieceQuads : last;
  RowTotals totals = pass_over_quads<kGradient, kPieceThreads>(source.family(), row, begin + Group::thread(),
                                                               end, args.grad_scale);
  totals = reduce_totals<Group, Family>(totals);
  if (Group::thread() == 0) partial[Group::row()] = totals;
}

inline constexpr int kFinishBlock = 128;

template <class Source>
__global__ void __launch_bounds__(kFinishBlock)
    likelihood_finish_pieces(Source source, LikelihoodArgs args, std::int64_t pieces_a_row,
                             const RowTotals* partial) {
  const std::int64_t r = std::int64_t{blockIdx.x} * kFinishBlock + threadIdx.x;
  if (r >= args.output.rows) return;
  RowTotals totals;
  for (std::int64_t piece = 0; piece < pieces_a_row; ++piece) {
    const RowTotals& part = partial[r * pieces_a_row + piece];
    totals.log_p += part.log_p;
    totals.own += part.own;
    totals.clamped += part.clamped;
  }
  finish_row(source, args, r, totals);
}

// --- The gradient of a family's own parameters

__device__ inline float grad_of_own(const LikelihoodArgs& args, const LogVarClamp& clamp, std::int64_t j,
                                    double gradient) {
  return is_clamped(args.own(j), clamp) ? 0.0f : static_cast<float>(args.grad_scale * gradient);
}

inline constexpr int kOwnBlock = 1024;

/// One learned variance: the sums of all rows, by one block.
__global__ void __launch_bounds__(kOwnBlock) finish_learned_variance(LikelihoodArgs args, LogVarClamp clamp) {
  double sum = 0.0;
  for (std::int64_t r = threadIdx.x; r < args.output.rows; r += kOwnBlock) {
    sum += static_cast<double>(args.scratch(r));
  }
  sum = reduce_block<kOwnBlock>(sum, Sum());
  const double count = static_cast<double>(args.output.rows) * static_cast<double>(args.x.cols);
  if (threadIdx.x == 0) args.grad_own(0) = grad_of_own(args, clamp, 0, gaussian_own_gradient(sum, count));
}

inline constexpr int kColumnBlock = 128;

/// A variance a dimension: sums over blocks of kRowsABlock rows, a thread a column. It reads the decoder's
/// output before the row kernel writes the gradient over it.
__global__ void __launch_bounds__(kColumnBlock)
    sum_columns(LikelihoodArgs args, const float* precision, std::int64_t column_blocks, float* sums) {
  const GaussianVariancePerDimension family{precision};
  const std::int64_t block = blockIdx.x / column_blocks;
  const std::int64_t j = blockIdx.x % column_blocks * kColumnBlock + threadIdx.x;
  if (j >= args.x.cols) return;
  const std::int64_t begin = block * kRowsABlock;
  const std::int64_t end = begin + kRowsABlock < args.output.rows ? begin + kRowsABlock : args.output.rows;
  float sum = 0.0f;
  for (std::int64_t r = begin; r < end; ++r) {
    const float output[1] = {args.output(r, j)};
    sum += family(args.x(r / args.samples, j), output, j).own;
  }
  sums[block * args.x.cols + j] = sum;
}

__global__ void __launch_bounds__(kColumnBlock)
    finish_variance_per_dimension(LikelihoodArgs args, LogVarClamp clamp, const float* sums) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kColumnBlock + threadIdx.x;
  if (j >= args.x.cols) return;
  double sum = 0.0;
  for (std::int64_t block = 0; block < blocks_of(args.output.rows, kRowsABlock); ++block) {
    sum += static_cast<double>(sums[block * args.x.cols + j]);
  }
  args.grad_own(j) =
      grad_of_own(args, clamp, j, gaussian_own_gradient(sum, static_cast<double>(args.output.rows)));
}

// --- The mean

inline constexpr int kMeanBlock = 128;

template <class Family>
__global__ void __launch_bounds__(kMeanBlock)
    likelihood_mean_quads(View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t per_row = quads(mean.cols);
  const std::int64_t item = std::int64_t{blockIdx.x} * kMeanBlock + threadIdx.x;
  const std::int64_t r = item / per_row, col = kQuad * (item % per_row), left = mean.cols - col;
  if (r >= mean.rows) return;
  float values[kQuad];
  load_quad(output.row(r) + col, left, aligned(output.row(r)), values);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) values[i] = Family::mean(values[i]);
  store_quad(mean.row(r) + col, left, aligned(mean.row(r)), values);
}

}  // namespace felbo
