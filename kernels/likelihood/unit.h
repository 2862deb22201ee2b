// The families that have a translation unit each (<family>_cpu.cpp, <family>_cuda.cu), so that adding one
// leaves the others as they are compiled. They say what an element contributes (spread.h); unit_cpu.h and
// unit.cuh hold the loops.
#pragma once

#include <stdexcept>

#include "kernels/likelihood/continuous_bernoulli.h"
#include "kernels/likelihood/discretized_logistic.h"
#include "kernels/likelihood/laplace.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/negative_binomial.h"
#include "kernels/likelihood/poisson.h"
#include "kernels/likelihood/student_t.h"
#include "kernels/likelihood/zero_inflated_negative_binomial.h"

namespace felbo {

template <class Family>
struct Unit {};

/// Whether the family is one of with_unit()'s.
constexpr bool is_unit(LikelihoodFamily family) {
  switch (family) {
    case LikelihoodFamily::kBernoulli:
    case LikelihoodFamily::kGaussian:
    case LikelihoodFamily::kCategorical:
    case LikelihoodFamily::kMultinomial:
      return false;
    default:
      return true;
  }
}

/// The list: calls f(Unit<Family>{}).
template <class F>
auto with_unit(LikelihoodFamily family, const F& f) {
  switch (family) {
    case LikelihoodFamily::kLaplace:
      return f(Unit<Laplace>{});
    case LikelihoodFamily::kStudentT:
      return f(Unit<StudentT>{});
    case LikelihoodFamily::kDiscretizedLogistic:
      return f(Unit<DiscretizedLogistic>{});
    case LikelihoodFamily::kContinuousBernoulli:
      return f(Unit<ContinuousBernoulli>{});
    case LikelihoodFamily::kPoisson:
      return f(Unit<Poisson>{});
    case LikelihoodFamily::kNegativeBinomial:
      return f(Unit<NegativeBinomial>{});
    case LikelihoodFamily::kZeroInflatedNegativeBinomial:
      return f(Unit<ZeroInflatedNegativeBinomial>{});
    case LikelihoodFamily::kBernoulli:
    case LikelihoodFamily::kGaussian:
    case LikelihoodFamily::kCategorical:
    case LikelihoodFamily::kMultinomial:
      break;
  }
  throw std::logic_error("a family without a translation unit of its own");
}

/// Floats that the spread of one dimension takes in scratch; 0 without a spread.
template <class Family>
inline constexpr std::int64_t kSpreadFloats =
    Family::kSpread ? static_cast<std::int64_t>(sizeof(typename Family::Spread) / sizeof(float)) : 0;

// Instantiated in the family's translation units. The arguments have been checked.
template <class Family>
void unit_likelihood(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args);
template <class Family, class T>
void unit_likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<T>& args);
template <class Family>
void unit_mean(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean);
template <class Family>
void unit_mean(const CudaExec& exec, View<const float, 2> output, View<float, 2> mean);

}  // namespace felbo
