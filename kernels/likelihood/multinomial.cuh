// Two passes over a row by a warp or a block: the sums first, then log p and the gradient by the pass of
// row.cuh. Between them the row stays in the cache.
//
// Bytes an element: 8 of the logits and their gradient, 4 in bfloat16, and those that x is stored in.
#pragma once

#include "kernels/likelihood/likelihood.cuh"
#include "kernels/likelihood/multinomial.h"
#include "kernels/likelihood/softmax.cuh"

namespace felbo {

/// What the first pass finds.
struct MultinomialSums {
  RunningSum exponentials;
  double count = 0.0;
};

template <int kThreads, class T>
__device__ MultinomialSums multinomial_sums(const LikelihoodArgsOf<T>& args, std::int64_t r, int thread) {
  constexpr int kRun = kRunOf<T>;
  const XRow<AnyStorage> x = args.x.row(r / args.samples);
  const T* logits = args.output.row(r);
  const std::int64_t n = args.x.cols;
  const bool counts_aligned = x_aligned<kRun>(x), logits_aligned = aligned<kRun>(logits);
  MultinomialSums sums;
  for (std::int64_t run = thread; run < runs<T>(n); run += kThreads) {
    const std::int64_t col = kRun * run;
    XRun<AnyStorage, kRun> stored;
    float counts[kRun], values[kRun];
    load_x(x, col, n - col, counts_aligned, stored);
    load_run(logits + col, n - col, logits_aligned, values);
    x_of_run(x, stored, counts);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sums.count += static_cast<double>(counts[i]);
    sums.exponentials.add(values, n - col);
  }
  return sums;
}

/// warp_per_row for kThreads = 32, block_per_row above.
template <bool kGradient, int kThreads, class T>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock,
                                  kResidentThreadsOf<MultinomialRow> / RowGroup<kThreads>::kBlock)
    multinomial_rows(LikelihoodArgsOf<T> args) {
  using Group = RowGroup<kThreads>;
  const std::int64_t r = Group::row();
  const bool idle = r >= args.output.rows;
  MultinomialSums sums;
  if (!idle) sums = multinomial_sums<kThreads>(args, r, Group::thread());
  const auto reduce = [](auto value, auto op) { return Group::reduce(value, op); };
  sums.exponentials.join_by(reduce);
  const auto count = static_cast<float>(reduce(sums.count, Sum()));
  RowTotals totals;
  if (!idle) {
    const auto family =
        MultinomialRow::of(sums.exponentials.max, static_cast<float>(sums.exponentials.total), count);
    const auto row = row_pointers<kGradient, MultinomialRow, AnyStorage>(args, r);
    totals = pass_over_runs<kGradient, kThreads>(family, row, Group::thread(), runs<T>(row.n),
                                                 kGradient ? row_grad_scale(args, r) : 0.0f);
  }
  totals = reduce_totals<Group, MultinomialRow>(totals);
  if (idle || Group::thread() != 0) return;
  args.log_px_given_z(r) = static_cast<float>(totals.log_p + MultinomialRow::constant(count));
  args.clamped(r) = 0;
}

/// The shares of a row, a block each.
inline constexpr int kShareBlock = 256;
__global__ void __launch_bounds__(kShareBlock)
    multinomial_shares(View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t r = blockIdx.x, n = mean.cols;
  RunningSum sum;
  for (std::int64_t j = threadIdx.x; j < n; j += kShareBlock) {
    const float logit[1] = {output(r, j)};
    sum.add(logit, 1);
  }
  sum.join_by([](auto value, auto op) { return reduce_block<kShareBlock>(value, op); });
  const float inverse = 1.0f / static_cast<float>(sum.total);
  for (std::int64_t j = threadIdx.x; j < n; j += kShareBlock)
    mean(r, j) = math::mul(math::exp_nonpositive(math::add(output(r, j), -sum.max)), inverse);
}

}  // namespace felbo
