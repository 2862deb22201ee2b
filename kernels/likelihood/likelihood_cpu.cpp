#include <algorithm>
#include <cmath>

#include "kernels/common/lanes.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/row_cpu.h"

namespace felbo {
namespace {

constexpr std::int64_t kElementsAPiece = 4096;  // the least that is worth a thread

constexpr std::int64_t rows_a_block(OwnParameters own) {
  return own == OwnParameters::kPerDimension ? kRowsABlock : 1;
}
constexpr std::int64_t own_sums_a_block(OwnParameters own, std::int64_t dimensions) {
  return own == OwnParameters::kNone ? 0 : (own == OwnParameters::kOne ? 1 : dimensions);
}
/// A family with the numbers of one call folded in.
template <class Family>
struct Prepared {
  Family family;
  double row_constant;               // nats that each row adds to the sum of its elements
  std::int32_t own_clamped = 0;      // own log-variances out of bounds
  View<float, 1> partial_sums = {};  // of own parameters: one a row, or X a block of rows
};

/// Rows [begin, end), which share the partial sums `own_sums`.
template <bool kGradient, class Family>
void pass_over_block(const Prepared<Family>& prepared, const LikelihoodArgs& args, std::int64_t begin,
                     std::int64_t end, float* own_sums) {
  const std::int64_t n = args.x.cols;
  if (kGradient && Family::kOwn == OwnParameters::kPerDimension) std::fill_n(own_sums, n, 0.0f);
  for (std::int64_t r = begin; r < end; ++r) {
    const XRow<float> x{args.x.row(r / args.samples)};
    const RowTotals totals =
        pass_over_row<kGradient>(prepared.family, n, x, args.output.row(r), args.output.row(r),
                                 row_grad_scale(args, r), row_weight(args, r), own_sums);
    args.log_px_given_z(r) = static_cast<float>(totals.log_p + prepared.row_constant);
    args.clamped(r) = totals.clamped;
    if (kGradient && Family::kOwn == OwnParameters::kOne)
      *own_sums = row_weight(args, r) * static_cast<float>(totals.own);
  }
}

template <bool kGradient, class Family>
void pass_over_rows(const CpuExec& exec, const Prepared<Family>& prepared, const LikelihoodArgs& args) {
  constexpr std::int64_t kBlock = rows_a_block(Family::kOwn);
  const std::int64_t sums_a_block = own_sums_a_block(Family::kOwn, args.x.cols);
  const std::int64_t rows = args.output.rows;
  const std::int64_t grain = 1 + kElementsAPiece / (kBlock * args.x.cols);
  exec.parallel_for(blocks_of(rows, kBlock), grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = block * kBlock;
      pass_over_block<kGradient>(prepared, args, begin, std::min(begin + kBlock, rows),
                                 prepared.partial_sums.data + block * sums_a_block);
    }
  });
}

float grad_of_own(const LikelihoodArgs& args, const LogVarClamp& clamp, std::int64_t j, double gradient) {
  return is_clamped(args.own(j), clamp) ? 0.0f : static_cast<float>(args.grad_scale * gradient);
}

/// The partial sums of all rows, added in the order of the rows.
void finish_own(const CpuExec&, const Prepared<GaussianOneVariance<OwnParameters::kOne>>& prepared,
                const LogVarClamp& clamp, const LikelihoodArgs& args) {
  double sum = 0.0;
  for (std::int64_t r = 0; r < args.output.rows; ++r) sum += static_cast<double>(prepared.partial_sums(r));
  const double count = sum_of_weights(args) * static_cast<double>(args.x.cols);
  args.grad_own(0) = grad_of_own(args, clamp, 0, prepared.family.own_gradient(sum, count));
}

/// The partial sums of all blocks, added in the order of the blocks.
void finish_own(const CpuExec& exec, const Prepared<GaussianVariancePerDimension>& prepared,
                const LogVarClamp& clamp, const LikelihoodArgs& args) {
  constexpr std::int64_t kColumns = 64;
  const std::int64_t n = args.x.cols;
  const std::int64_t blocks = blocks_of(args.output.rows, kRowsABlock);
  const auto columns = [&](std::int64_t begin, std::int64_t count) {
    double sum[kColumns] = {};
    for (std::int64_t block = 0; block < blocks; ++block) {
      const float* partial = prepared.partial_sums.data + block * n + begin;
      for (std::int64_t j = 0; j < count; ++j) sum[j] += static_cast<double>(partial[j]);
    }
    for (std::int64_t j = 0; j < count; ++j) {
      const double gradient = prepared.family.own_gradient(sum[j], sum_of_weights(args));
      args.grad_own(begin + j) = grad_of_own(args, clamp, begin + j, gradient);
    }
  };
  exec.parallel_for((n + kColumns - 1) / kColumns, 1 + kElementsAPiece / (kColumns * (blocks + 1)),
                    [&](std::int64_t first, std::int64_t last) {
                      for (std::int64_t c = first * kColumns; c < std::min(last * kColumns, n);
                           c += kColumns) {
                        columns(c, std::min(kColumns, n - c));
                      }
                    });
}

template <class Family>
void run(const CpuExec& exec, const Prepared<Family>& prepared, const LogVarClamp& clamp,
         const LikelihoodArgs& args) {
  if (args.want_gradient) {
    pass_over_rows<true>(exec, prepared, args);
    if constexpr (Family::kOwn != OwnParameters::kNone) finish_own(exec, prepared, clamp, args);
  } else {
    pass_over_rows<false>(exec, prepared, args);
  }
  if (args.output.rows > 0) args.clamped(0) += prepared.own_clamped;
}

using GaussianGiven = GaussianOneVariance<OwnParameters::kNone>;
using GaussianLearned = GaussianOneVariance<OwnParameters::kOne>;

Prepared<GaussianGiven> prepare_given(float variance, const LikelihoodArgs& args) {
  const double sum = static_cast<double>(args.x.cols) * std::log(static_cast<double>(variance));
  return {{1.0f / variance}, gaussian_constant(args.x.cols, sum)};
}

Prepared<GaussianLearned> prepare_learned(const LogVarClamp& clamp, const LikelihoodArgs& args) {
  const float log_var = clamp_log_var(args.own(0), clamp);
  const double sum = static_cast<double>(args.x.cols) * static_cast<double>(log_var);
  return {{math::exp(-log_var)},
          gaussian_constant(args.x.cols, sum),
          is_clamped(args.own(0), clamp),
          args.scratch};
}

Prepared<GaussianVariancePerDimension> prepare_per_dimension(const LogVarClamp& clamp,
                                                             const LikelihoodArgs& args) {
  const std::int64_t n = args.x.cols;
  float* precision = args.scratch.data;
  const float* own = args.own.data;
  std::int32_t clamped = 0;
#pragma GCC ivdep
  for (std::int64_t j = 0; j < n; ++j) {
    precision[j] = math::exp(-clamp_log_var(own[j], clamp));
    clamped += is_clamped(own[j], clamp);
  }
  const double sum = lane_sum(n, [&](std::int64_t j) { return clamp_log_var(own[j], clamp); });
  return {{precision}, gaussian_constant(n, sum), clamped, args.scratch.slice(n, args.scratch.size - n)};
}

void run_gaussian(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  const LogVarClamp& clamp = which.clamp;
  switch (which.variance) {
    case VarianceKind::kUnit:
      return run(exec, prepare_given(1.0f, args), clamp, args);
    case VarianceKind::kFixed:
      return run(exec, prepare_given(which.fixed_variance, args), clamp, args);
    case VarianceKind::kLearned:
      return run(exec, prepare_learned(clamp, args), clamp, args);
    case VarianceKind::kPerDimension:
      return run(exec, prepare_per_dimension(clamp, args), clamp, args);
    case VarianceKind::kPerElement:
      return run(exec, Prepared<GaussianVariancePerElement>{{clamp}, gaussian_constant(args.x.cols, 0.0)},
                 clamp, args);
  }
}

template <class Family>
void mean_of_rows(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean) {
  exec.parallel_for(mean.rows, 1 + kElementsAPiece / mean.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* from = output.row(r);
      float* to = mean.row(r);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < mean.cols; ++j) to[j] = Family::mean(from[j]);
    }
  });
}

}  // namespace

void likelihood(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  check(which, args);
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
      return run(exec, Prepared<Bernoulli>{{}, 0.0}, which.clamp, args);
    case LikelihoodFamily::kGaussian:
      return run_gaussian(exec, which, args);
  }
}

void likelihood_mean(const CpuExec& exec, const Likelihood& which, View<const float, 2> output,
                     View<float, 2> mean) {
  check_mean(which, output, mean);
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
      return mean_of_rows<Bernoulli>(exec, output, mean);
    case LikelihoodFamily::kGaussian:
      return mean_of_rows<GaussianVariancePerElement>(exec, output, mean);
  }
}

}  // namespace felbo
