#include "kernels/likelihood/likelihood.h"

#include "kernels/likelihood/categorical.h"
#include "kernels/likelihood/likelihood_check.h"
#include "kernels/likelihood/multinomial.h"
#include "kernels/likelihood/rows_cpu.h"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace {

template <class Source>
void run(const CpuExec& exec, const Source& source, const LikelihoodArgs& args,
         View<float, 1> partial_sums = {}) {
  if (args.want_gradient) {
    rows_cpu::pass_over_rows<true>(exec, source, args, partial_sums);
  } else {
    rows_cpu::pass_over_rows<false>(exec, source, args, partial_sums);
  }
}

void run_learned(const CpuExec& exec, const LogVarClamp& clamp, const LikelihoodArgs& args) {
  const LearnedVarianceSource source{args.own.data, clamp};
  run(exec, source, args, args.scratch);
  if (!args.want_gradient) return;
  rows_cpu::finish_own_one(clamp, args, source.family(), args.scratch, args.output.rows);
}

void run_per_dimension(const CpuExec& exec, const LogVarClamp& clamp, const LikelihoodArgs& args) {
  const std::int64_t n = args.x.cols;
  float* precision = args.scratch.data;
  const View<float, 1> sums = args.scratch.slice(n, args.scratch.size - n);
  const VarianceTotals totals = rows_cpu::prepare_variances(
      args.own, clamp, [=](std::int64_t j, float log_var) { precision[j] = math::exp(-log_var); });
  const VariancePerDimensionSource source{precision, &totals};
  run(exec, source, args, sums);
  if (args.want_gradient) rows_cpu::finish_own_columns(exec, clamp, args, source.family(), sums);
}

void run_gaussian(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  if (which.variance == VarianceKind::kLearned) return run_learned(exec, which.clamp, args);
  if (which.variance == VarianceKind::kPerDimension) return run_per_dimension(exec, which.clamp, args);
  with_gaussian_source(which, [&](const auto& source) { run(exec, source, args); });
}

template <class Family>
void mean_of_rows(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t grain = 1 + rows_cpu::kElementsAPiece / mean.cols;
  exec.parallel_for(mean.rows, grain, [&](std::int64_t begin, std::int64_t end) {
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
      return run(exec, BernoulliSource{}, args);
    case LikelihoodFamily::kGaussian:
      return run_gaussian(exec, which, args);
    case LikelihoodFamily::kCategorical:
      return categorical(exec, which.categories, args);
    case LikelihoodFamily::kMultinomial:
      return multinomial(exec, args);
    default:
      with_unit(which.family,
                [&]<class Family>(Unit<Family>) { unit_likelihood<Family>(exec, which, args); });
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
    case LikelihoodFamily::kCategorical:
      return categorical_mean(exec, which.categories, output, mean);
    case LikelihoodFamily::kMultinomial:
      return multinomial_mean(exec, output, mean);
    default:
      with_unit(which.family, [&]<class Family>(Unit<Family>) { unit_mean<Family>(exec, output, mean); });
  }
}

}  // namespace felbo
