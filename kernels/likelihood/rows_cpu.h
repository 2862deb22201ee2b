// The CPU's pass over all rows of a likelihood, and the gradient of a family's own parameters.
#pragma once

#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/row_cpu.h"

namespace felbo::rows_cpu {

inline constexpr std::int64_t kElementsAPiece = 4096;  // the least that is worth a thread

constexpr std::int64_t rows_a_block(OwnParameters own) {
  return own == OwnParameters::kPerDimension ? kRowsABlock : 1;
}
constexpr std::int64_t own_sums_a_block(OwnParameters own, std::int64_t dimensions) {
  return own == OwnParameters::kNone ? 0 : (own == OwnParameters::kOne ? 1 : dimensions);
}

/// Rows [begin, end), which share the partial sums `own_sums`. `row_constant`: nats that each row adds to the
/// sum of its elements.
template <bool kGradient, class Family>
void pass_over_block(const Family& family, double row_constant, const LikelihoodArgs& args,
                     std::int64_t begin, std::int64_t end, float* own_sums) {
  const std::int64_t n = args.x.cols;
  if (kGradient && Family::kOwn == OwnParameters::kPerDimension) std::fill_n(own_sums, n, 0.0f);
  for (std::int64_t r = begin; r < end; ++r) {
    const RowTotals totals =
        pass_over_row<kGradient>(family, n, args.x.row(r / args.samples), args.output.row(r),
                                 args.output.row(r), row_grad_scale(args, r), row_weight(args, r), own_sums);
    args.log_px_given_z(r) = static_cast<float>(totals.log_p + row_constant);
    args.clamped(r) = totals.clamped;
    if (kGradient && Family::kOwn == OwnParameters::kOne)
      *own_sums = row_weight(args, r) * static_cast<float>(totals.own);
  }
}

/// `partial_sums` of own parameters: one a row, or X a block of kRowsABlock rows.
template <bool kGradient, class Source>
void pass_over_rows(const CpuExec& exec, const Source& source, const LikelihoodArgs& args,
                    View<float, 1> partial_sums) {
  using Family = FamilyOf<Source>;
  constexpr std::int64_t kBlock = rows_a_block(Family::kOwn);
  const std::int64_t sums_a_block = own_sums_a_block(Family::kOwn, args.x.cols);
  const std::int64_t rows = args.output.rows;
  const std::int64_t grain = 1 + kElementsAPiece / (kBlock * args.x.cols);
  const Family family = source.family();
  const double row_constant = source.row_constant(args.x.cols);
  exec.parallel_for(blocks_of(rows, kBlock), grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = block * kBlock;
      pass_over_block<kGradient>(family, row_constant, args, begin, std::min(begin + kBlock, rows),
                                 partial_sums.data + block * sums_a_block);
    }
  });
  if (rows > 0) args.clamped(0) += source.own_clamped();
}

inline float grad_of_own(const LikelihoodArgs& args, const LogVarClamp& clamp, std::int64_t j,
                         double gradient) {
  return is_clamped(args.own(j), clamp) ? 0.0f : static_cast<float>(args.grad_scale * gradient);
}

/// f(begin, count) for pieces of the columns, on as many threads as `blocks` sums a column are worth.
template <class F>
void for_columns(const CpuExec& exec, std::int64_t columns, std::int64_t blocks, const F& f) {
  constexpr std::int64_t kColumns = 64;
  exec.parallel_for((columns + kColumns - 1) / kColumns, 1 + kElementsAPiece / (kColumns * (blocks + 1)),
                    [&](std::int64_t first, std::int64_t last) {
                      for (std::int64_t c = first * kColumns; c < std::min(last * kColumns, columns);
                           c += kColumns) {
                        f(c, std::min(kColumns, columns - c));
                      }
                    });
}

/// A parameter a dimension: the partial sums of all blocks, added in the order of the blocks.
template <class Family>
void finish_own_columns(const CpuExec& exec, const LogVarClamp& clamp, const LikelihoodArgs& args,
                        const Family& family, View<const float, 1> partial_sums) {
  const std::int64_t n = args.x.cols;
  const std::int64_t blocks = blocks_of(args.output.rows, kRowsABlock);
  for_columns(exec, n, blocks, [&](std::int64_t begin, std::int64_t count) {
    double sum[64] = {};
    for (std::int64_t block = 0; block < blocks; ++block) {
      const float* partial = partial_sums.data + block * n + begin;
      for (std::int64_t j = 0; j < count; ++j) sum[j] += static_cast<double>(partial[j]);
    }
    for (std::int64_t j = 0; j < count; ++j) {
      const double gradient = family.own_gradient(sum[j], sum_of_weights(args));
      args.grad_own(begin + j) = grad_of_own(args, clamp, begin + j, gradient);
    }
  });
}

/// One parameter: the first `count` partial sums, added in their order.
template <class Family>
void finish_own_one(const LogVarClamp& clamp, const LikelihoodArgs& args, const Family& family,
                    View<const float, 1> partial_sums, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(partial_sums(i));
  const double elements = sum_of_weights(args) * static_cast<double>(args.x.cols);
  args.grad_own(0) = grad_of_own(args, clamp, 0, family.own_gradient(sum, elements));
}

/// Calls prepare(j, log_var) with each own log-variance, clamped; their totals.
template <class Prepare>
VarianceTotals prepare_variances(View<const float, 1> own, const LogVarClamp& clamp, const Prepare& prepare) {
  VarianceTotals totals;
  const float* from = own.data;
#pragma GCC ivdep
  for (std::int64_t j = 0; j < own.size; ++j) {
    prepare(j, clamp_log_var(from[j], clamp));
    totals.clamped += is_clamped(from[j], clamp);
  }
  totals.sum_log_var = lane_sum(own.size, [&](std::int64_t j) { return clamp_log_var(from[j], clamp); });
  return totals;
}

}  // namespace felbo::rows_cpu
