// log p(x|z) of each row and, in the same pass, its gradient over the decoder's output.
//
// A family (bernoulli.h, gaussian.h) says what one element contributes; one row loop serves them all. The
// decoder gives `outputs` numbers a dimension, as blocks of X columns: a family of two has [first (X) |
// second (X)]. A family may also hold parameters of its own that no network produces (a learned variance):
// one, or one a dimension.
//
// log p(x|z) is in nats, summed over the X dimensions, normalising constants included. Rows of the output:
// sample s of datum b is row b * S + s; they share row b of x.
#pragma once

#include <string>

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/view.h"

namespace felbo {

enum class LikelihoodFamily { kBernoulli, kGaussian };
/// Where a Gaussian's variance comes from.
enum class VarianceKind { kUnit, kFixed, kLearned, kPerDimension, kPerElement };

/// Which p(x|z), chosen at run time.
struct Likelihood {
  LikelihoodFamily family = LikelihoodFamily::kBernoulli;
  VarianceKind variance = VarianceKind::kLearned;  // read for kGaussian only
  float fixed_variance = 1.0f;                     // of kFixed
  LogVarClamp clamp;  // of log-variances that are learned or come from the decoder

  /// Numbers that the decoder gives a dimension: 1, or 2 for a variance per element.
  int outputs() const;
  /// Parameters of the family's own for X dimensions: log-variances; 0, 1 or X.
  std::int64_t own_parameters(std::int64_t dimensions) const;
  /// Throws std::invalid_argument unless the bounds of log-variances and a fixed variance can be computed
  /// with.
  void check() const;
};

/// From `--likelihood` ("bernoulli", "gaussian") and `--variance` ("unit", "fixed:V", "learned",
/// "per-dimension", "per-element"; it must be one of these for a Bernoulli too, which does not read it).
/// Throws std::invalid_argument that lists the forms.
Likelihood likelihood_from_names(const std::string& likelihood, const std::string& variance,
                                 LogVarClamp clamp);

/// T: how the decoder's output and its gradient are stored. The arithmetic is in float.
template <class T>
struct LikelihoodArgsOf {
  View<const float, 2> x;    // (B, X) values of [0, 1] for a Bernoulli, any for a Gaussian
  int samples = 1;           // S
  View<T, 2> output;         // (B * S, outputs * X) in: the decoder's output; out, if gradients are wanted:
                             //     grad_scale * weight * d log p(x|z) / d output, written over it
  View<const float, 1> own;  // (own_parameters) log-variances
  bool want_gradient = true;
  float grad_scale = 1.0f;        // -1 / (B S) for the mean negative log-likelihood
  View<float, 1> log_px_given_z;  // (B * S) nats
  View<float, 1> grad_own;  // (own_parameters) grad_scale * sum over rows of weight * d log p(x|z) / d own
  View<float, 1> scratch;   // (likelihood_scratch) floats
  View<std::int32_t, 1> clamped;  // (B * S) log-variances of the row that were out of bounds (0 without any);
                                  //     row 0 also counts the family's own, each once a call
  View<const float, 1> weight;    // (B * S) of each row's gradients, beside grad_scale; those of a datum sum
                                  //     to 1. Empty: 1
};
using LikelihoodArgs = LikelihoodArgsOf<float>;

/// Floats of scratch for `rows` = B * S rows of X dimensions.
std::int64_t likelihood_scratch(const Likelihood& likelihood, std::int64_t rows, std::int64_t dimensions);

/// Without gradients, output and grad_own are left as they are. A NaN in x, output or own gives a NaN log p
/// of its rows. grad_own is the same for any number of threads: blocks of rows are summed, then the blocks in
/// order. Throws std::invalid_argument if shapes disagree.
void likelihood(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args);
void likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgs& args);
void likelihood(const CudaExec& exec, const Likelihood& which, const LikelihoodArgsOf<BFloat16>& args);

/// E[x|z] of each element from the decoder's output, for pictures: the probability of a Bernoulli, the mean
/// of a Gaussian. mean (R, X), output (R, outputs * X); they may not overlap. Throws std::invalid_argument if
/// shapes disagree.
void likelihood_mean(const CpuExec& exec, const Likelihood& which, View<const float, 2> output,
                     View<float, 2> mean);
void likelihood_mean(const CudaExec& exec, const Likelihood& which, View<const float, 2> output,
                     View<float, 2> mean);

}  // namespace felbo
