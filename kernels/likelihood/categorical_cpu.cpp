#include "kernels/likelihood/categorical.h"

#include <algorithm>

#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/rows_cpu.h"
#include "kernels/likelihood/softmax_cpu.h"

namespace felbo {
namespace {

using categorical_math::gradient, categorical_math::level_of, categorical_math::log_p;

/// Levels from which a dimension is worth vectors of its own; below, sixteen dimensions go side by side.
constexpr int kManyLevels = 40;

/// log p of one dimension, and its gradient over the K logits.
template <bool kGradient>
float one_dimension(int K, float x, float* __restrict l, float grad_scale) {
  const int level = level_of(x, K);
  const float max = softmax_cpu::largest(l, K), shifted = math::add(l[level], -max);
  const float sum = softmax_cpu::sum_of_exponentials(l, K, max, [l](std::int64_t k, float e) {
    if (kGradient) l[k] = e;
  });
  if (kGradient) {
    const float inverse = 1.0f / sum, observed = l[level];
    for (int k = 0; k < K; ++k) l[k] = gradient(false, l[k], inverse, grad_scale);
    l[level] = gradient(true, observed, inverse, grad_scale);
  }
  return log_p(x, shifted, sum);
}

/// The same of kLanes dimensions side by side, added to `total`.
template <bool kGradient>
void some_dimensions(int K, const float* __restrict x, float* __restrict l, float grad_scale,
                     double (&total)[kLanes]) {
  float max[kLanes], shifted[kLanes], sum[kLanes] = {};
  int level[kLanes];
  for (int i = 0; i < kLanes; ++i) max[i] = l[i * K];
  for (int k = 1; k < K; ++k) {
    for (int i = 0; i < kLanes; ++i) max[i] = l[i * K + k] > max[i] ? l[i * K + k] : max[i];
  }
  for (int i = 0; i < kLanes; ++i) level[i] = level_of(x[i], K);
  for (int i = 0; i < kLanes; ++i) shifted[i] = math::add(l[i * K + level[i]], -max[i]);
  for (int k = 0; k < K; ++k) {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      const float e = math::exp_nonpositive(math::add(l[i * K + k], -max[i]));
      sum[i] += e;
    }
  }
  for (int i = 0; i < kLanes; ++i) total[i] += static_cast<double>(log_p(x[i], shifted[i], sum[i]));
  if (!kGradient) return;
  float inverse[kLanes];
  for (int i = 0; i < kLanes; ++i) inverse[i] = 1.0f / sum[i];
  for (int k = 0; k < K; ++k) {
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      const float e = math::exp_nonpositive(math::add(l[i * K + k], -max[i]));  // cheaper than kept far apart
      l[i * K + k] = gradient(k == level[i], e, inverse[i], grad_scale);
    }
  }
}

/// n dimensions, at most kLaneSpan, added to `total`.
template <bool kGradient>
void pass_over_span(int K, std::int64_t n, const float* x, float* l, float grad_scale,
                    double (&total)[kLanes]) {
  std::int64_t j = 0;
  if (K < kManyLevels) {
    for (; j + kLanes <= n; j += kLanes) some_dimensions<kGradient>(K, x + j, l + j * K, grad_scale, total);
  }
  for (; j < n; ++j)
    total[j % kLanes] += static_cast<double>(one_dimension<kGradient>(K, x[j], l + j * K, grad_scale));
}

/// log p of a row of n dimensions.
template <bool kGradient>
double pass_over_row(int K, std::int64_t n, const XRow<AnyStorage>& x, float* l, float grad_scale) {
  double total[kLanes] = {};
  float room[kLaneSpan];
  for (std::int64_t begin = 0; begin < n; begin += kLaneSpan) {
    const std::int64_t end = std::min(begin + kLaneSpan, n);
    pass_over_span<kGradient>(K, end - begin, x.span(begin, end, room), l + begin * K, grad_scale, total);
  }
  double sum = 0.0;
  for (const double part : total) sum += part;
  return sum;
}

template <bool kGradient>
void pass_over_rows(const CpuExec& exec, int K, const LikelihoodArgs& args) {
  const std::int64_t n = args.x.cols, grain = 1 + rows_cpu::kElementsAPiece / (n * K);
  exec.parallel_for(args.output.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const double log_p = pass_over_row<kGradient>(K, n, args.x.row(r / args.samples), args.output.row(r),
                                                    row_grad_scale(args, r));
      args.log_px_given_z(r) = static_cast<float>(log_p);
      args.clamped(r) = 0;
    }
  });
}

}  // namespace

void categorical(const CpuExec& exec, int categories, const LikelihoodArgs& args) {
  if (args.want_gradient) {
    pass_over_rows<true>(exec, categories, args);
  } else {
    pass_over_rows<false>(exec, categories, args);
  }
}

void categorical_mean(const CpuExec& exec, int categories, View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t grain = 1 + rows_cpu::kElementsAPiece / (mean.cols * categories);
  exec.parallel_for(mean.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      for (std::int64_t j = 0; j < mean.cols; ++j) {
        const float* logits = output.row(r) + j * categories;
        mean(r, j) =
            categorical_math::mean_level(logits, categories, softmax_cpu::largest(logits, categories));
      }
    }
  });
}

}  // namespace felbo
