// A CPU that notes what it is given to do: what a training step, or a row of the benchmarks, is made of.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "host/data/resident_data.h"
#include "host/exec/buffer.h"
#include "host/exec/replay.h"
#include "kernels/adam/adam.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/counts/counts.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/dense/dense.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/free_bits/free_bits.h"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_csr.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/log_counts/log_counts.h"
#include "kernels/minibatch/minibatch.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/noise/noise.h"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/objective/objective.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/round/round.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo {

/// No CpuExec, and none can be made of it without a word: an op that is missing below does not compile for
/// it, and so is never run without being noted.
class CountedExec {
 public:
  explicit CountedExec(int threads) : cpu_(threads), ops_(std::make_shared<std::vector<std::string>>()) {}
  const CpuExec& cpu() const { return cpu_; }
  int threads() const { return cpu_.threads(); }
  void note(const char* op) const { ops_->push_back(op); }
  /// The ops so far, in their order, copies and fills among them.
  std::vector<std::string>& ops() const { return *ops_; }

 private:
  CpuExec cpu_;
  std::shared_ptr<std::vector<std::string>> ops_;
};

template <class T>
class Buffer<CountedExec, T> : public Buffer<CpuExec, T> {
 public:
  Buffer() = default;
  Buffer(const CountedExec& exec, std::int64_t size) : Buffer<CpuExec, T>(exec.cpu(), size) {}
};

template <>
class Replay<CountedExec> {
 public:
  template <class F>
  void operator()(const CountedExec&, const F& enqueue) {
    enqueue();
  }
};

/// What the host waits for is no op.
template <class T>
void upload(const CountedExec& exec, std::type_identity_t<std::span<const T>> from, View<T, 1> to) {
  upload<T>(exec.cpu(), from, to);
}
template <class T>
void download(const CountedExec& exec, View<T, 1> from,
              std::type_identity_t<std::span<std::remove_const_t<T>>> to) {
  download<T>(exec.cpu(), from, to);
}
template <class T>
void copy(const CountedExec& exec, std::type_identity_t<View<const T, 1>> from, View<T, 1> to) {
  exec.note("copy");
  copy<T>(exec.cpu(), from, to);
}
template <class T>
void zero(const CountedExec& exec, View<T, 1> memory) {
  exec.note("zero");
  zero<T>(exec.cpu(), memory);
}

#define FELBO_COUNTED_OP(op, Args)                            \
  inline void op(const CountedExec& exec, const Args& args) { \
    exec.note(#op);                                           \
    op(exec.cpu(), args);                                     \
  }
FELBO_COUNTED_OP(adam, AdamArgs)
FELBO_COUNTED_OP(add_counts, AddCountsArgs)
FELBO_COUNTED_OP(add_gradient, AddGradientArgs)
FELBO_COUNTED_OP(add_non_finite, AddNonFiniteArgs)
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
FELBO_COUNTED_OP(gather, GatherArgs<std::uint8_t>)
FELBO_COUNTED_OP(gather, GatherArgs<float>)
FELBO_COUNTED_OP(gather, GatherCsrArgs)
FELBO_COUNTED_OP(gaussian_kl, GaussianKlArgs)
FELBO_COUNTED_OP(gaussian_kl_backward, GaussianKlGradArgs)
FELBO_COUNTED_OP(guard_step, GuardStepArgs)
FELBO_COUNTED_OP(importance_weights, ImportanceWeightsArgs)
FELBO_COUNTED_OP(log_counts, LogCountsArgs)
FELBO_COUNTED_OP(log_mean_exp_update, LogMeanExpArgs)
FELBO_COUNTED_OP(mixture_prior, MixturePriorArgs)
FELBO_COUNTED_OP(mixture_prior_backward, MixturePriorGradArgs)
FELBO_COUNTED_OP(next_minibatch, NextMinibatchArgs)
FELBO_COUNTED_OP(normal_cdf, NormalCdfArgs)
FELBO_COUNTED_OP(normal_cdf_backward, NormalCdfGradArgs)
FELBO_COUNTED_OP(normal_fill, NormalFillArgs)
FELBO_COUNTED_OP(planar_flow, PlanarFlowArgs)
FELBO_COUNTED_OP(planar_flow_backward, PlanarFlowGradArgs)
FELBO_COUNTED_OP(repeat_log_var, RepeatLogVarArgs)
FELBO_COUNTED_OP(reparameterize, ReparameterizeArgs)
FELBO_COUNTED_OP(reparameterize_backward, ReparameterizeGradArgs)
FELBO_COUNTED_OP(round_to_bfloat16, RoundArgs)
FELBO_COUNTED_OP(sampled_kl, SampledKlArgs)
FELBO_COUNTED_OP(sum_log_var_grad, SumLogVarGradArgs)
#undef FELBO_COUNTED_OP
inline void likelihood(const CountedExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  exec.note("likelihood");
  likelihood(exec.cpu(), which, args);
}
inline void likelihood_mean(const CountedExec& exec, const Likelihood& which, View<const float, 2> output,
                            View<float, 2> mean) {
  exec.note("likelihood_mean");
  likelihood_mean(exec.cpu(), which, output, mean);
}
template <class Data>
void elbo_loss(const CountedExec& exec, const Likelihood& which, const ElboLossArgs<Data>& args) {
  exec.note("elbo_loss");
  elbo_loss(exec.cpu(), which, args);
}
inline std::int64_t dense_aux_bytes(const CountedExec& exec, Activation activation, std::int64_t rows,
                                    std::int64_t cols, std::int64_t element = sizeof(float)) {
  return dense_aux_bytes(exec.cpu(), activation, rows, cols, element);
}

}  // namespace felbo
