// One row kernel for every family. A group of threads passes over a row, or over a piece of a long one
// (row.cuh), and writes the gradient over the decoder's output.
//
// Bytes an element: 8 for each output of a dimension, 4 in bfloat16, and those of x, which is stored as
// float, bfloat16 or uint8. So 12 for one output where all are floats, 5 with bytes and the output in
// bfloat16.
#pragma once

#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/row.cuh"

namespace felbo {

inline constexpr int kPrepareBlock = 1024;

/// What elements need of each own log-variance, made by `prepare`. One block.
template <class Prepare, class Number>
__global__ void __launch_bounds__(kPrepareBlock)
    prepare_variances(View<const float, 1> own, LogVarClamp clamp, Prepare prepare, Number* prepared,
                      VarianceTotals* totals) {
  double sum = 0.0;
  std::int32_t clamped = 0;
  for (std::int64_t j = threadIdx.x; j < own.size; j += kPrepareBlock) {
    const float log_var = clamp_log_var(own(j), clamp);
    prepared[j] = prepare(log_var);
    sum += static_cast<double>(log_var);
    clamped += is_clamped(own(j), clamp);
  }
  sum = reduce_block<kPrepareBlock>(sum, Sum());
  clamped = reduce_block<kPrepareBlock>(clamped, Sum());
  if (threadIdx.x == 0) *totals = {sum, clamped};
}

struct PrecisionOf {
  __device__ float operator()(float log_var) const { return math::exp(-log_var); }
};

// --- The pass over rows

/// Calls f(Data()) with what a kernel of `Family` shall take x for: its storage, or any. Light elements wait
/// for memory alone, so floats have a kernel in which nothing is asked.
template <class Family, class F>
void with_storage_of(const XView& x, const F& f) {
  if constexpr (loads_ahead<Family>()) {
    if (x.storage == XStorage::kFloat) return f(float{});
  }
  f(AnyStorage{});
}

/// Row r, x taken for Data.
template <bool kGradient, class Family, class Data, class T>
__device__ auto row_pointers(const LikelihoodArgsOf<T>& args, std::int64_t r) {
  T* output = args.output.row(r);
  const auto x = args.x.row(r / args.samples).template as<Data>();
  return row_pointers<kGradient, Family::kOutputs, Data, T>(x, output, output, args.x.cols);
}

/// By one thread a row: what the row comes to.
template <class Source, class T>
__device__ void finish_row(const Source& source, const LikelihoodArgsOf<T>& args, std::int64_t r,
                           const RowTotals& totals) {
  args.log_px_given_z(r) = static_cast<float>(totals.log_p + source.row_constant(args.x.cols));
  args.clamped(r) = totals.clamped + (r == 0 ? source.own_clamped() : 0);
  if constexpr (FamilyOf<Source>::kOwn == OwnParameters::kOne) {
    if (args.want_gradient) args.scratch(r) = row_weight(args, r) * static_cast<float>(totals.own);
  }
}

/// warp_per_row for kThreads = 32, block_per_row above.
template <class Data, class Source, class T, bool kGradient, int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock,
                                  kResidentThreadsOf<FamilyOf<Source>> / RowGroup<kThreads>::kBlock)
    likelihood_rows(Source source, LikelihoodArgsOf<T> args) {
  using Group = RowGroup<kThreads>;
  using Family = FamilyOf<Source>;
  const std::int64_t r = Group::row();
  RowTotals totals;
  if (r < args.output.rows) {
    const float grad_scale = kGradient ? row_grad_scale(args, r) : 0.0f;
    const auto row = row_pointers<kGradient, Family, Data>(args, r);
    totals = pass_over_runs<kGradient, kThreads>(source.family(), row, Group::thread(), runs<T>(row.n),
                                                 grad_scale);
  }
  totals = reduce_totals<Group, Family>(totals);
  if (r < args.output.rows && Group::thread() == 0) finish_row(source, args, r, totals);
}

// split_rows: a block a piece of a row, and then a thread a row that adds its pieces in order.

inline constexpr int kPieceThreads = 256;
inline constexpr std::int64_t kPieceDimensions = 16384;

template <class Data, class Source, class T, bool kGradient>
__global__ void __launch_bounds__(kPieceThreads)
    likelihood_pieces(Source source, LikelihoodArgsOf<T> args, std::int64_t pieces_a_row,
                      RowTotals* partial) {
  using Group = RowGroup<kPieceThreads>;
  using Family = FamilyOf<Source>;
  const std::int64_t r = Group::row() / pieces_a_row, piece = Group::row() % pieces_a_row;
  const auto row = row_pointers<kGradient, Family, Data>(args, r);
  constexpr std::int64_t kPieceRuns = kPieceDimensions / kRunOf<T>;
  const std::int64_t begin = piece * kPieceRuns, last = runs<T>(row.n);
  const std::int64_t end = begin + kPieceRuns < last ? begin + kPieceRuns : last;
  RowTotals totals = pass_over_runs<kGradient, kPieceThreads>(source.family(), row, begin + Group::thread(),
                                                              end, row_grad_scale(args, r));
  totals = reduce_totals<Group, Family>(totals);
  if (Group::thread() == 0) partial[Group::row()] = totals;
}

inline constexpr int kFinishBlock = 128;

template <class Source, class T>
__global__ void __launch_bounds__(kFinishBlock)
    likelihood_finish_pieces(Source source, LikelihoodArgsOf<T> args, std::int64_t pieces_a_row,
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

template <class T>
__device__ float grad_of_own(const LikelihoodArgsOf<T>& args, const LogVarClamp& clamp, std::int64_t j,
                             double gradient) {
  return is_clamped(args.own(j), clamp) ? 0.0f : static_cast<float>(args.grad_scale * gradient);
}

inline constexpr int kOwnBlock = 1024;

/// One learned variance: the sums of all rows, by one block.
template <class T>
__global__ void __launch_bounds__(kOwnBlock)
    finish_learned_variance(LikelihoodArgsOf<T> args, LogVarClamp clamp) {
  double sum = 0.0;
  for (std::int64_t r = threadIdx.x; r < args.output.rows; r += kOwnBlock) {
    sum += static_cast<double>(args.scratch(r));
  }
  sum = reduce_block<kOwnBlock>(sum, Sum());
  const double count = sum_of_weights(args) * static_cast<double>(args.x.cols);
  if (threadIdx.x == 0) args.grad_own(0) = grad_of_own(args, clamp, 0, gaussian_own_gradient(sum, count));
}

inline constexpr int kColumnBlock = 128;

/// A variance a dimension: sums over blocks of kRowsABlock rows, a thread a column. It reads the decoder's
/// output before the row kernel writes the gradient over it.
template <class T>
__global__ void __launch_bounds__(kColumnBlock)
    sum_columns(LikelihoodArgsOf<T> args, const float* precision, std::int64_t column_blocks, float* sums) {
  const GaussianVariancePerDimension family{precision};
  const std::int64_t block = blockIdx.x / column_blocks;
  const std::int64_t j = blockIdx.x % column_blocks * kColumnBlock + threadIdx.x;
  if (j >= args.x.cols) return;
  const std::int64_t begin = block * kRowsABlock;
  const std::int64_t end = begin + kRowsABlock < args.output.rows ? begin + kRowsABlock : args.output.rows;
  float sum = 0.0f;
  for (std::int64_t r = begin; r < end; ++r) {
    const float output[1] = {static_cast<float>(args.output(r, j))};
    sum += row_weight(args, r) * family(args.x(r / args.samples, j), output, j).own;
  }
  sums[block * args.x.cols + j] = sum;
}

template <class T>
__global__ void __launch_bounds__(kColumnBlock)
    finish_variance_per_dimension(LikelihoodArgsOf<T> args, LogVarClamp clamp, const float* sums) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kColumnBlock + threadIdx.x;
  if (j >= args.x.cols) return;
  double sum = 0.0;
  for (std::int64_t block = 0; block < blocks_of(args.output.rows, kRowsABlock); ++block) {
    sum += static_cast<double>(sums[block * args.x.cols + j]);
  }
  args.grad_own(j) = grad_of_own(args, clamp, j, gaussian_own_gradient(sum, sum_of_weights(args)));
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
