// A pass over a row of log p(x|z) by a group of threads, for every family and every op that needs it: it
// reads each element of x and of the decoder's output once, adds up log p and writes the gradient.
#pragma once

#include "kernels/common/cuda/reduce.cuh"
#include "kernels/common/cuda/vector.cuh"
#include "kernels/likelihood/row.h"

namespace felbo {

/// Where one row lies, and whether its quads can be moved at once.
template <class Data, int kOutputs>
struct RowPointers {
  XRow<Data> x;
  const float* output;  // blocks of n columns, one an output
  float* grad;          // laid out likewise: where its gradient goes, over it or apart from it
  std::int64_t n;
  bool x_aligned;
  bool output_aligned[kOutputs], grad_aligned[kOutputs];

  __device__ bool all_aligned() const {
    bool all = x_aligned;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) all = all && output_aligned[k] && grad_aligned[k];
    return all;
  }
};

/// Without kGradient `grad` is not looked at.
template <bool kGradient, int kOutputs, class Data>
__device__ RowPointers<Data, kOutputs> row_pointers(const XRow<Data>& x, const float* output, float* grad,
                                                    std::int64_t n) {
  RowPointers<Data, kOutputs> row{x, output, grad, n, aligned(x.data), {}, {}};
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    row.output_aligned[k] = aligned(output + k * n);
    row.grad_aligned[k] = !kGradient || aligned(grad + k * n);
  }
  return row;
}

/// Four dimensions of a row, in registers.
template <int kOutputs>
struct RowQuad {
  float x[kQuad];
  float output[kOutputs][kQuad];
};

/// kWhole promises that the quad is whole and the row aligned.
template <bool kWhole, class Data, int kOutputs>
__device__ RowQuad<kOutputs> load_row_quad(const RowPointers<Data, kOutputs>& row, std::int64_t quad) {
  const std::int64_t col = kQuad * quad, left = kWhole ? kQuad : row.n - col;
  RowQuad<kOutputs> values;
  load_quad(row.x.data + col, left, kWhole || row.x_aligned, values.x);
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    load_quad(row.output + k * row.n + col, left, kWhole || row.output_aligned[k], values.output[k]);
  }
  return values;
}

/// Adds a quad to the totals and writes its gradient. Its sum goes on in double, so a row of any length is as
/// exact as a short one.
template <bool kGradient, bool kWhole, class Family, class Data>
__device__ void add_row_quad(const Family& family, const RowPointers<Data, Family::kOutputs>& row,
                             std::int64_t quad, RowQuad<Family::kOutputs> values, float grad_scale,
                             RowTotals& totals) {
  constexpr int kOutputs = Family::kOutputs;
  const std::int64_t col = kQuad * quad, left = kWhole ? kQuad : row.n - col;
  float log_p = 0.0f, excess = 0.0f, own = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    if (i >= left) continue;
    float in[kOutputs];
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) in[k] = values.output[k][i];
    const ElementTerms<kOutputs> terms = family(row.x.scale(values.x[i]), in, col + i);
    log_p += terms.log_p;
    if constexpr (Family::kExcess) excess = math::join_excess(excess, terms.excess);
    if constexpr (Family::kClamps) totals.clamped += terms.clamped;
    if constexpr (Family::kOwn == OwnParameters::kOne) own += terms.own;
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) values.output[k][i] = grad_scale * terms.grad[k];
  }
  if constexpr (Family::kExcess) log_p -= math::log1p(excess);
  totals.log_p += static_cast<double>(log_p);
  totals.own += static_cast<double>(own);
  if constexpr (kGradient) {
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
      store_quad(row.grad + k * row.n + col, left, kWhole || row.grad_aligned[k], values.output[k]);
    }
  }
}

/// Quads `first`, first + kThreads, ... below `end` of a row: all that one thread adds to it, in this order
/// whether or not they can be moved at once.
template <bool kGradient, int kThreads, class Family, class Data>
__device__ RowTotals pass_over_quads(const Family& family, const RowPointers<Data, Family::kOutputs>& row,
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

/// The same totals in every thread of the group. All threads of the block must call it.
template <class Group, class Family>
__device__ RowTotals reduce_totals(RowTotals totals) {
  totals.log_p = Group::reduce(totals.log_p, Sum());
  if constexpr (Family::kOwn == OwnParameters::kOne) totals.own = Group::reduce(totals.own, Sum());
  if constexpr (Family::kClamps) totals.clamped = Group::reduce(totals.clamped, Sum());
  return totals;
}

}  // namespace felbo
