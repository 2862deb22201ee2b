#include "kernels/common/cuda/launch.h"
#include "kernels/likelihood/categorical.h"
#include "kernels/likelihood/likelihood.cuh"
#include "kernels/likelihood/multinomial.h"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace {

// Dimensions up to which a row is worth a warp, or a block. They decide the order of the sums, so they depend
// on the row alone. Beyond them a row is split over blocks.
constexpr std::int64_t kWarpPerRow = 1024, kBlockPerRow = 32768;
constexpr int kRowBlock = 256;

/// Parts of the workspace: totals of the own variances first, then those of the pieces of rows.
VarianceTotals* variance_totals(const CudaExec& exec) {
  return reinterpret_cast<VarianceTotals*>(exec.workspace().data());
}
RowTotals* piece_totals(const CudaExec& exec, std::int64_t count) {
  constexpr std::int64_t kOffset = 64;
  const auto bytes = static_cast<std::int64_t>(exec.workspace().size());
  FELBO_CHECK(kOffset + count * static_cast<std::int64_t>(sizeof(RowTotals)) <= bytes,
              "likelihood: {} pieces of rows do not fit a workspace of {} bytes", count, bytes);
  return reinterpret_cast<RowTotals*>(exec.workspace().data() + kOffset);
}

template <bool kGradient, class Data, class Source, class T>
void launch_rows(const CudaExec& exec, const Source& source, const LikelihoodArgsOf<T>& args) {
  const std::int64_t rows = args.output.rows, n = args.x.cols;
  if (n <= kWarpPerRow) {
    using Group = RowGroup<32>;
    launch(exec, likelihood_rows<Data, Source, T, kGradient, 32>, blocks_for(rows, Group::kRows),
           Group::kBlock, 0, source, args);
  } else if (n <= kBlockPerRow) {
    launch(exec, likelihood_rows<Data, Source, T, kGradient, kRowBlock>, blocks_for(rows, 1), kRowBlock, 0,
           source, args);
  } else {
    const std::int64_t pieces = blocks_of(n, kPieceDimensions);
    RowTotals* partial = piece_totals(exec, rows * pieces);
    launch(exec, likelihood_pieces<Data, Source, T, kGradient>, blocks_for(rows * pieces, 1), kPieceThreads,
           0, source, args, pieces, partial);
    launch(exec, likelihood_finish_pieces<Source, T>, blocks_for(rows, kFinishBlock), kFinishBlock, 0, source,
           args, pieces, partial);
  }
}

template <class Source, class T>
void run(const CudaExec& exec, const Source& source, const LikelihoodArgsOf<T>& args) {
  with_storage_of<FamilyOf<Source>>(args.x, [&]<class Data>(Data) {
    if (args.want_gradient) {
      launch_rows<true, Data>(exec, source, args);
    } else {
      launch_rows<false, Data>(exec, source, args);
    }
  });
}

template <class T>
void run_learned(const CudaExec& exec, const LogVarClamp& clamp, const LikelihoodArgsOf<T>& args) {
  run(exec, LearnedVarianceSource{args.own.data, clamp}, args);
  if (args.want_gradient) launch(exec, finish_learned_variance<T>, 1, kOwnBlock, 0, args, clamp);
}

template <class T>
void run_per_dimension(const CudaExec& exec, const LogVarClamp& clamp, const LikelihoodArgsOf<T>& args) {
  const std::int64_t n = args.x.cols;
  float *precision = args.scratch.data, *sums = precision + n;
  launch(exec, prepare_variances<PrecisionOf, float>, 1, kPrepareBlock, 0, args.own, clamp, PrecisionOf{},
         precision, variance_totals(exec));
  const std::int64_t column_blocks = blocks_for(n, kColumnBlock);
  if (args.want_gradient) {
    launch(exec, sum_columns<T>, blocks_for(blocks_of(args.output.rows, kRowsABlock) * column_blocks, 1),
           kColumnBlock, 0, args, precision, column_blocks, sums);
  }
  run(exec, VariancePerDimensionSource{precision, variance_totals(exec)}, args);
  if (args.want_gradient) {
    launch(exec, finish_variance_per_dimension<T>, static_cast<unsigned>(column_blocks), kColumnBlock, 0,
           args, clamp, sums);
  }
}

template <class T>
void run_gaussian(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args) {
  switch (which.variance) {
    case VarianceKind::kUnit:
      return run(exec, given_variance_source(1.0f), args);
    case VarianceKind::kFixed:
      return run(exec, given_variance_source(which.fixed_variance), args);
    case VarianceKind::kLearned:
      return run_learned(exec, which.clamp, args);
    case VarianceKind::kPerDimension:
      return run_per_dimension(exec, which.clamp, args);
    case VarianceKind::kPerElement:
      return run(exec, VariancePerElementSource{which.clamp}, args);
  }
}

template <class Family>
void mean_of_rows(const CudaExec& exec, View<const float, 2> output, View<float, 2> mean) {
  launch(exec, likelihood_mean_quads<Family>, blocks_for(mean.rows * quads(mean.cols), kMeanBlock),
         kMeanBlock, 0, output, mean);
}

template <class T>
void run_family(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args) {
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

}  // namespace

void likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  run_family(exec, which, args);
}
void likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<BFloat16>& args) {
  run_family(exec, which, args);
}

void likelihood_mean(const CudaExec& exec, const Likelihood& which, View<const float, 2> output,
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
