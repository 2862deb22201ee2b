// The CPU's pass over a row of log p(x|z): one loop for every family and every op that needs it.
#pragma once

#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/common/math.h"
#include "kernels/likelihood/row.h"

namespace felbo {

/// Elements between what a row's loop works on and the lines that it asks for: a page, beyond which
/// processors hardly look ahead by themselves. So much arithmetic an element fills the window in which it
/// would load early: without, an array out of the caches takes the time of the memory and that of the
/// arithmetic in turn.
inline constexpr std::int64_t kRowAhead = 1024;

/// Partial sums of one span of a row.
static_assert(kLaneSpan / kLanes <= kMostFactors);
struct RowLanes {
  float log_p[kLanes] = {};
  float own[kLanes] = {};
  std::int32_t clamped[kLanes] = {};
  float excess[kLanes] = {};  // of the product of the factors

  template <bool kExcess>
  void add_to(RowTotals& totals) {
    if constexpr (kExcess) {
      for (int l = 0; l < kLanes; ++l) log_p[l] -= math::log1p(excess[l]);
    }
    totals.log_p += static_cast<double>(join_lanes(log_p));
    totals.own += static_cast<double>(join_lanes(own));
    for (const std::int32_t count : clamped) totals.clamped += count;
  }
};

/// Adds element j to lane l of the sums; writes its gradient if kGradient.
template <bool kGradient, class Family>
FELBO_HD_INLINE void add_element(const Family& family, std::int64_t n, float x, const float* output,
                                 float* grad, float grad_scale, float weight, float* own_sums, std::int64_t j,
                                 int l, RowLanes& lanes) {
  float in[Family::kOutputs];
  for (int k = 0; k < Family::kOutputs; ++k) in[k] = output[k * n + j];
  const auto terms = family(x, in, j);
  lanes.log_p[l] += terms.log_p;
  if constexpr (Family::kExcess) lanes.excess[l] = math::join_excess(lanes.excess[l], terms.excess);
  if constexpr (Family::kClamps) lanes.clamped[l] += terms.clamped;
  if constexpr (kGradient) {
    for (int k = 0; k < Family::kOutputs; ++k) grad[k * n + j] = grad_scale * terms.grad[k];
    if constexpr (Family::kOwn == OwnParameters::kOne) lanes.own[l] += terms.own;
    if constexpr (Family::kOwn == OwnParameters::kPerDimension) own_sums[j] += weight * terms.own;
  }
}

/// One row of n dimensions, summed in the order of lane_sum. If kGradient, writes grad_scale * d log p /
/// d output to `grad`, which is `output` itself or apart from it, and adds weight times the row's to
/// `own_sums` for a family with parameters a dimension.
template <bool kGradient, class Family, class Data>
RowTotals pass_over_row(Family family, std::int64_t n, const XRow<Data>& x, const float* output, float* grad,
                        float grad_scale, float weight, float* own_sums) {
  RowTotals totals;
  float room[kLaneSpan];
  for (std::int64_t begin = 0; begin < n; begin += kLaneSpan) {
    const std::int64_t end = std::min(begin + kLaneSpan, n);
    const float* x_span = x.span(begin, end, room);
    // An x that is made in `room` is short in memory, and not asked for.
    const float* x_ahead = (x_span == room ? output + begin : x_span) + kRowAhead;
    RowLanes lanes;
    std::int64_t j = begin;
    // Elements do not touch one another, whether or not `grad` is `output`.
#pragma GCC ivdep
    for (; j + kLanes <= end; j += kLanes) {
      __builtin_prefetch(x_ahead + (j - begin));
      for (int k = 0; k < Family::kOutputs; ++k) {
        __builtin_prefetch(output + k * n + j + kRowAhead);
        if (kGradient) __builtin_prefetch(grad + k * n + j + kRowAhead, 1);
      }
#pragma GCC ivdep
      for (int l = 0; l < kLanes; ++l) {
        add_element<kGradient>(family, n, x_span[j + l - begin], output, grad, grad_scale, weight, own_sums,
                               j + l, l, lanes);
      }
    }
#pragma GCC ivdep
    for (int l = 0; j < end; ++j, ++l) {
      add_element<kGradient>(family, n, x_span[j - begin], output, grad, grad_scale, weight, own_sums, j, l,
                             lanes);
    }
    lanes.template add_to<Family::kExcess>(totals);
  }
  return totals;
}

}  // namespace felbo
