#include "kernels/likelihood/multinomial.h"

#include <algorithm>

#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/row_cpu.h"
#include "kernels/likelihood/rows_cpu.h"
#include "kernels/likelihood/softmax_cpu.h"

namespace felbo {
namespace {

constexpr auto kForget = [](std::int64_t, float) {};

/// The counts of a row, added up in the order of lane_sum.
double count_of_row(const XRow<AnyStorage>& x, std::int64_t n) {
  double count = 0.0;
  float room[kLaneSpan];
  for (std::int64_t begin = 0; begin < n; begin += kLaneSpan) {
    const std::int64_t end = std::min(begin + kLaneSpan, n);
    const float* span = x.span(begin, end, room);
    count += lane_sum(end - begin, [span](std::int64_t j) { return span[j]; });
  }
  return count;
}

template <bool kGradient>
float log_p_of_row(const LikelihoodArgs& args, std::int64_t r) {
  const std::int64_t n = args.x.cols;
  const XRow<AnyStorage> x = args.x.row(r / args.samples);
  float* l = args.output.row(r);
  const auto count = static_cast<float>(count_of_row(x, n));
  const float max = softmax_cpu::largest(l, n);
  const float sum = softmax_cpu::sum_of_exponentials(l, n, max, kForget);
  const RowTotals totals = pass_over_row<kGradient>(MultinomialRow::of(max, sum, count), n, x, l, l,
                                                    row_grad_scale(args, r), row_weight(args, r), nullptr);
  return static_cast<float>(totals.log_p + MultinomialRow::constant(count));
}

template <bool kGradient>
void pass_over_rows(const CpuExec& exec, const LikelihoodArgs& args) {
  const std::int64_t grain = 1 + rows_cpu::kElementsAPiece / args.x.cols;
  exec.parallel_for(args.output.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      args.log_px_given_z(r) = log_p_of_row<kGradient>(args, r);
      args.clamped(r) = 0;
    }
  });
}

}  // namespace

void multinomial(const CpuExec& exec, const LikelihoodArgs& args) {
  if (args.want_gradient) {
    pass_over_rows<true>(exec, args);
  } else {
    pass_over_rows<false>(exec, args);
  }
}

void multinomial_mean(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t n = mean.cols;
  exec.parallel_for(mean.rows, 1 + rows_cpu::kElementsAPiece / n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* l = output.row(r);
      float* share = mean.row(r);
      const float sum = softmax_cpu::sum_of_exponentials(l, n, softmax_cpu::largest(l, n),
                                                         [share](std::int64_t j, float e) { share[j] = e; });
      for (std::int64_t j = 0; j < n; ++j) share[j] /= sum;
    }
  });
}

}  // namespace felbo
