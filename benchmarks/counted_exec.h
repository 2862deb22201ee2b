// A CPU that notes which ops it is given: what a step is made of.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/data/resident_data.h"
#include "host/exec/buffer.h"
#include "host/exec/replay.h"
#include "kernels/adam/adam.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/counts/counts.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/dense/dense.h"
#include "kernels/free_bits/free_bits.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/log_counts/log_counts.h"
#include "kernels/minibatch/minibatch.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/objective/objective.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo {

class CountedExec : public CpuExec {
 public:
  explicit CountedExec(int threads) : CpuExec(threads), ops_(std::make_shared<std::vector<std::string>>()) {}
  const CpuExec& cpu() const { return *this; }
  void note(const char* op) const { ops_->push_back(op); }
  /// The ops so far, in their order.
  std::vector<std::string>& ops() const { return *ops_; }

 private:
  std::shared_ptr<std::vector<std::string>> ops_;
};

template <class T>
class Buffer<CountedExec, T> : public Buffer<CpuExec, T> {
 public:
  using Buffer<CpuExec, T>::Buffer;
};
template <>
class Replay<CountedExec> : public Replay<CpuExec> {};

template <>
class ResidentData<CountedExec> : public ResidentData<CpuExec> {
 public:
  using ResidentData<CpuExec>::ResidentData;

  void gather_rows(const CountedExec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    exec.note("gather");
    ResidentData<CpuExec>::gather_rows(exec, rows, binarize, noise, x, rounded);
  }
};

// Every op that a training step may take; one that is missing here would not be counted.
#define FELBO_COUNTED_OP(op, Args)                            \
  inline void op(const CountedExec& exec, const Args& args) { \
    exec.note(#op);                                           \
    op(exec.cpu(), args);                                     \
  }
FELBO_COUNTED_OP(adam, AdamArgs)
FELBO_COUNTED_OP(add_counts, AddCountsArgs)
FELBO_COUNTED_OP(add_gradient, AddGradientArgs)
FELBO_COUNTED_OP(conditional_density, ConditionalDensityArgs)
FELBO_COUNTED_OP(conditional_density_backward, ConditionalDensityGradArgs)
FELBO_COUNTED_OP(conditional_draw, ConditionalDrawArgs)
FELBO_COUNTED_OP(conditional_draw_backward, ConditionalDrawGradArgs)
FELBO_COUNTED_OP(covariance_factor, CovarianceFactorArgs)
FELBO_COUNTED_OP(covariance_factor_backward, CovarianceFactorGradArgs)
FELBO_COUNTED_OP(dense, DenseArgs)
FELBO_COUNTED_OP(dense_backward, DenseGradArgs)
FELBO_COUNTED_OP(elbo, ElboArgs)
FELBO_COUNTED_OP(free_bits, FreeBitsArgs)
FELBO_COUNTED_OP(gaussian_kl, GaussianKlArgs)
FELBO_COUNTED_OP(gaussian_kl_backward, GaussianKlGradArgs)
FELBO_COUNTED_OP(guard_step, GuardStepArgs)
FELBO_COUNTED_OP(importance_weights, ImportanceWeightsArgs)
FELBO_COUNTED_OP(log_counts, LogCountsArgs)
FELBO_COUNTED_OP(mixture_prior, MixturePriorArgs)
FELBO_COUNTED_OP(mixture_prior_backward, MixturePriorGradArgs)
FELBO_COUNTED_OP(next_minibatch, NextMinibatchArgs)
FELBO_COUNTED_OP(normal_cdf, NormalCdfArgs)
FELBO_COUNTED_OP(normal_cdf_backward, NormalCdfGradArgs)
FELBO_COUNTED_OP(planar_flow, PlanarFlowArgs)
FELBO_COUNTED_OP(planar_flow_backward, PlanarFlowGradArgs)
FELBO_COUNTED_OP(repeat_log_var, RepeatLogVarArgs)
FELBO_COUNTED_OP(reparameterize, ReparameterizeArgs)
FELBO_COUNTED_OP(reparameterize_backward, ReparameterizeGradArgs)
FELBO_COUNTED_OP(sampled_kl, SampledKlArgs)
FELBO_COUNTED_OP(sum_log_var_grad, SumLogVarGradArgs)
#undef FELBO_COUNTED_OP
inline void likelihood(const CountedExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  exec.note("likelihood");
  likelihood(exec.cpu(), which, args);
}

}  // namespace felbo
