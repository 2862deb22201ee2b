#include "kernels/likelihood/likelihood_work.h"

#include "kernels/likelihood/categorical.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/multinomial.h"
#include "kernels/likelihood/row.h"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace {

/// An own parameter's gradient is computed if there is one.
double operations_of(const ElementOperations& of, bool gradient, bool own) {
  return of.value + (gradient ? of.gradient : 0) + (gradient && own ? of.own : 0);
}

ElementOperations gaussian_operations(VarianceKind variance) {
  switch (variance) {
    case VarianceKind::kUnit:
    case VarianceKind::kFixed:
    case VarianceKind::kLearned:
      return GaussianOneVariance<OwnParameters::kOne>::kOperations;
    case VarianceKind::kPerDimension:
      return GaussianVariancePerDimension::kOperations;
    case VarianceKind::kPerElement:
      return GaussianVariancePerElement::kOperations;
  }
  return {};
}

}  // namespace

double likelihood_operations(const Likelihood& which, bool gradient) {
  const bool own = which.own_parameters(1) > 0;
  switch (which.family) {
    case LikelihoodFamily::kBernoulli:
      return operations_of(Bernoulli::kOperations, gradient, own);
    case LikelihoodFamily::kGaussian:
      return operations_of(gaussian_operations(which.variance), gradient, own);
    case LikelihoodFamily::kCategorical:
      return categorical_math::operations(which.categories, gradient);
    case LikelihoodFamily::kMultinomial:
      return operations_of(MultinomialRow::kOperations, gradient, own);
    default:
      return with_unit(which.family, [&]<class Family>(Unit<Family>) {
        if constexpr (Family::kSpread) {
          if (which.variance == VarianceKind::kPerElement)
            return operations_of(Family::kOperationsPerElement, gradient, own);
        }
        return operations_of(Family::kOperations, gradient, own);
      });
  }
}

Work likelihood_work(const Likelihood& which, std::int64_t rows, std::int64_t dimensions, bool gradient,
                     std::int64_t data_bytes) {
  const double numbers = (gradient ? 2.0 : 1.0) * which.outputs(), quotient = data_bytes == 1 ? 1.0 : 0.0;
  return work_of(rows * dimensions, static_cast<double>(data_bytes) + 4.0 * numbers,
                 likelihood_operations(which, gradient) + quotient);
}

Work likelihood_bf16_work(const Likelihood& which, std::int64_t rows, std::int64_t dimensions) {
  return work_of(rows * dimensions, 4.0 + 4.0 * which.outputs(), likelihood_operations(which, true));
}

}  // namespace felbo
