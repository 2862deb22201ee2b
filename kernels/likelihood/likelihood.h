// log p(x|z) of each row and, in the same pass, its gradient over the decoder's output.
//
// A family (bernoulli.h, gaussian.h, those of unit.h) says what one element contributes; one row loop serves
// them all. The decoder gives `outputs` numbers a dimension, as blocks of X columns: a family of two has
// [first (X) | second (X)]. A family may also hold parameters of its own that no network produces (a learned
// variance): one, or one a dimension.
//
// The variance, or what stands in its place, is named log_var in all of them: the logarithm of a Gaussian's
// sigma^2, a Laplace's b^2, a Student's t's sigma^2, a logistic's s^2 (the squared scale), or of a negative
// binomial's dispersion alpha (Var = mu + alpha mu^2). It comes last among a dimension's outputs.
//
// A categorical gives K logits a dimension. They lie side by side, (X, K): the logits of dimension j are
// columns j K ... j K + K - 1. So the softmax of a dimension is one run of memory: a GPU's lanes hold it in
// registers between its sum and its gradient, and on a CPU it stays in the first cache.
//
// log p(x|z) is in nats, summed over the X dimensions, normalising constants included. Rows of the output:
// sample s of datum b is row b * S + s; they share row b of x.
#pragma once

#include <string>

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/view.h"
#include "kernels/likelihood/x_view.h"

namespace felbo {

enum class LikelihoodFamily {
  kBernoulli,
  kGaussian,
  kLaplace,
  kStudentT,
  kDiscretizedLogistic,
  kContinuousBernoulli,
  kPoisson,
  kNegativeBinomial,
  kZeroInflatedNegativeBinomial,
  kCategorical,
  kMultinomial
};
/// Which x a family gives a probability: any number; [0, 1]; level / 255 with the level one of 0 ... 255; 0,
/// 1, 2, ...; level / (K - 1) with the level one of 0 ... K - 1 (0 for K = 1). A Bernoulli's [0, 1] stands
/// for 0 and 1.
enum class Observations { kReal, kUnitInterval, kGrey, kCounts, kLevels };
/// Where a variance comes from.
enum class VarianceKind { kUnit, kFixed, kLearned, kPerDimension, kPerElement };

/// Which p(x|z), chosen at run time.
struct Likelihood {
  LikelihoodFamily family = LikelihoodFamily::kBernoulli;
  VarianceKind variance = VarianceKind::kLearned;  // read for families with a variance only
  float fixed_variance = 1.0f;                     // of kFixed
  LogVarClamp clamp;                // of log-variances that are learned or come from the decoder
  float degrees_of_freedom = 5.0f;  // of kStudentT
  int categories = 0;               // K of kCategorical

  /// Whether there is a variance, or something in its place.
  bool has_variance() const;
  Observations observations() const;
  /// Numbers that the decoder gives a dimension besides a variance: 1, 2 where zeros have a source of their
  /// own, or a categorical's K.
  int locations() const;
  /// Numbers that the decoder gives a dimension: the locations, and 1 more for a variance per element.
  int outputs() const;
  /// Parameters of the family's own for X dimensions: log-variances; 0, 1 or X.
  std::int64_t own_parameters(std::int64_t dimensions) const;
  /// Throws std::invalid_argument unless the bounds of log-variances, a fixed variance, the degrees of
  /// freedom and the number of categories can be computed with.
  void check() const;
};

/// From `--likelihood` (likelihood_names()), `--variance` ("unit", "fixed:V", "learned", "per-dimension",
/// "per-element"; it must be one of these for a Bernoulli too, which does not read it),
/// `--degrees-of-freedom` (read by a Student's t) and `--categories` (read by a categorical). Throws
/// std::invalid_argument that lists the forms.
Likelihood likelihood_from_names(const std::string& likelihood, const std::string& variance,
                                 LogVarClamp clamp, float degrees_of_freedom = 5.0f, int categories = 256);
/// The most that `--categories` may be.
inline constexpr int kMostCategories = 65536;
/// "bernoulli, gaussian, ... or ..."
std::string likelihood_names();
/// The family that `--likelihood` names. Throws std::invalid_argument that lists them.
LikelihoodFamily likelihood_family_from_name(const std::string& name);

/// T: how the decoder's output and its gradient are stored. The arithmetic is in float.
template <class T>
struct LikelihoodArgsOf {
  XView x;                   // (B, X) values as observations() says, stored as float, uint8 or bfloat16
                             //     (x_view.h); others give finite nonsense
  int samples = 1;           // S
  View<T, 2> output;         // (B * S, outputs * X) in: the decoder's output; out, if gradients are wanted:
                             //     grad_scale * weight * d log p(x|z) / d output, written over it
  View<const float, 1> own;  // (own_parameters) log-variances
  bool want_gradient = true;
  float grad_scale = 1.0f;        // -1 / (B S) for the mean negative log-likelihood
  View<float, 1> log_px_given_z;  // (B * S) nats
  View<float, 1> grad_own;  // (own_parameters) grad_scale * sum over rows of weight * d log p(x|z) / d own
  View<float, 1> scratch;   // (likelihood_scratch) floats
  View<std::int32_t, 1>
      clamped;                  // (B * S) log-variances, log rates and log means of the row that were out of
                                //     bounds (0 without any); row 0 also counts the family's own, each once
                                //     a call
  View<const float, 1> weight;  // (B * S) of each row's gradients, beside grad_scale; those of a datum sum
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

/// E[x|z] of each element from the decoder's output, for pictures. A Student's t gives its location, also
/// where it has no mean (nu <= 1); a discretised logistic its location, held to [0, 1]; a multinomial the
/// shares E[x / N], since how many counts a row has is no part of the model. mean (R, X), output
/// (R, outputs * X); they may not overlap. Throws std::invalid_argument if shapes disagree.
void likelihood_mean(const CpuExec& exec, const Likelihood& which, View<const float, 2> output,
                     View<float, 2> mean);
void likelihood_mean(const CudaExec& exec, const Likelihood& which, View<const float, 2> output,
                     View<float, 2> mean);

}  // namespace felbo
