// For the tests of `felbo check`: an Exec whose memory the host cannot touch, as that of a device, and whose
// ops can be broken on purpose.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

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
#include "kernels/step_guard/step_guard.h"

namespace felbo {

/// Pages that are closed but while an op or a copy runs: any other access to them ends the program.
class DistantMemory {
 public:
  void* allocate(std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("mmap failed");
    regions_[at] = bytes;
    ::mprotect(at, bytes, PROT_NONE);
    return at;
  }
  void free(void* at) {
    ::munmap(at, regions_.at(at));
    regions_.erase(at);
  }
  void protect(int how) const {
    for (const auto& [at, bytes] : regions_) ::mprotect(at, bytes, how);
  }

 private:
  std::map<void*, std::size_t> regions_;
};

/// A CPU behind a border. `broken` names the op that spoils its result, `bug` says how.
class DistantExec : public CpuExec {
 public:
  explicit DistantExec(std::string broken = {}) : CpuExec(2), broken_(std::move(broken)) {}

  DistantMemory& memory() const { return *memory_; }
  /// Runs `op` on open memory; then `spoil`, if it is the broken one.
  template <class Op, class Spoil>
  void run(const std::string& name, const Op& op, const Spoil& spoil) const {
    memory_->protect(PROT_READ | PROT_WRITE);
    op(static_cast<const CpuExec&>(*this));
    if (name == broken_) spoil();
    memory_->protect(PROT_NONE);
  }

 private:
  std::string broken_;
  std::shared_ptr<DistantMemory> memory_ = std::make_shared<DistantMemory>();
};

template <class T>
class Buffer<DistantExec, T> {
 public:
  Buffer() = default;
  Buffer(const DistantExec& exec, std::int64_t size)
      : data_(static_cast<T*>(exec.memory().allocate(static_cast<std::size_t>(size + 1) * sizeof(T))),
              [memory = &exec.memory()](T* at) { memory->free(at); }),
        size_(size) {}

  T* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  View<T, 1> view() const { return {data_.get(), size_}; }
  View<T, 1> vector(std::int64_t size) const { return {data_.get(), size}; }
  View<T, 2> matrix(std::int64_t rows, std::int64_t cols) const { return {data_.get(), rows, cols}; }

 private:
  std::unique_ptr<T, std::function<void(T*)>> data_;
  std::int64_t size_ = 0;
};

template <>
class Replay<DistantExec> : public Replay<CpuExec> {};

template <class T>
void upload(const DistantExec& exec, std::type_identity_t<std::span<const T>> from, View<T, 1> to) {
  exec.run(
      "", [&](const CpuExec& cpu) { upload<T>(cpu, from, to); }, [] {});
}
template <class T>
void download(const DistantExec& exec, View<T, 1> from,
              std::type_identity_t<std::span<std::remove_const_t<T>>> to) {
  exec.run(
      "", [&](const CpuExec& cpu) { download<T>(cpu, from, to); }, [] {});
}
template <class T>
void copy(const DistantExec& exec, std::type_identity_t<View<const T, 1>> from, View<T, 1> to) {
  exec.run(
      "", [&](const CpuExec& cpu) { copy<T>(cpu, from, to); }, [] {});
}
template <class T>
void zero(const DistantExec& exec, View<T, 1> memory) {
  exec.run(
      "", [&](const CpuExec& cpu) { zero(cpu, memory); }, [] {});
}

// The ops, each with a bug of its own.

inline void adam(const DistantExec& exec, const AdamArgs& a) {
  exec.run(
      "adam", [&](const CpuExec& cpu) { adam(cpu, a); }, [&] { a.parameter(a.parameter.size - 1) += 0.01f; });
}
inline void add_counts(const DistantExec& exec, const AddCountsArgs& a) {
  exec.run(
      "add_counts", [&](const CpuExec& cpu) { add_counts(cpu, a); }, [&] { ++a.total(0); });
}
inline void add_non_finite(const DistantExec& exec, const AddNonFiniteArgs& a) {
  exec.run(
      "add_non_finite", [&](const CpuExec& cpu) { add_non_finite(cpu, a); }, [&] { --a.total(0); });
}
inline void covariance_factor(const DistantExec& exec, const CovarianceFactorArgs& a) {
  exec.run(
      "covariance_factor", [&](const CpuExec& cpu) { covariance_factor(cpu, a); },
      [&] { a.z(a.z.rows - 1, a.z.cols - 1) += 0.01f; });
}
inline void covariance_factor_backward(const DistantExec& exec, const CovarianceFactorGradArgs& a) {
  exec.run(
      "covariance_factor_backward", [&](const CpuExec& cpu) { covariance_factor_backward(cpu, a); },
      [&] { a.grad_factor(0, a.grad_factor.cols - 1) *= 1.02f; });
}
inline void conditional_draw(const DistantExec& exec, const ConditionalDrawArgs& a) {
  exec.run(
      "conditional_draw", [&](const CpuExec& cpu) { conditional_draw(cpu, a); },
      [&] { a.log_q(a.log_q.size - 1) += 0.1f; });
}
inline void conditional_draw_backward(const DistantExec& exec, const ConditionalDrawGradArgs& a) {
  exec.run(
      "conditional_draw_backward", [&](const CpuExec& cpu) { conditional_draw_backward(cpu, a); },
      [&] { a.grad_log_var(a.grad_log_var.rows - 1, 0) += 0.02f; });
}
inline void conditional_density(const DistantExec& exec, const ConditionalDensityArgs& a) {
  exec.run(
      "conditional_density", [&](const CpuExec& cpu) { conditional_density(cpu, a); },
      [&] { a.log_p(a.log_p.size - 1) += 0.1f; });
}
inline void conditional_density_backward(const DistantExec& exec, const ConditionalDensityGradArgs& a) {
  exec.run(
      "conditional_density_backward", [&](const CpuExec& cpu) { conditional_density_backward(cpu, a); },
      [&] { a.grad_mu(a.grad_mu.rows - 1, a.grad_mu.cols - 1) *= 1.02f; });
}
inline void add_gradient(const DistantExec& exec, const AddGradientArgs& a) {
  exec.run(
      "add_gradient", [&](const CpuExec& cpu) { add_gradient(cpu, a); },
      [&] { a.gradient(a.gradient.rows - 1, a.gradient.cols - 1) += 0.02f; });
}
inline void dense(const DistantExec& exec, const DenseArgs& a) {
  exec.run(
      "dense", [&](const CpuExec& cpu) { dense(cpu, a); }, [&] { a.y(a.y.rows - 1, a.y.cols - 1) += 0.1f; });
}
inline void dense_backward(const DistantExec& exec, const DenseGradArgs& a) {
  exec.run(
      "dense_backward", [&](const CpuExec& cpu) { dense_backward(cpu, a); },
      [&] { a.grad_weight(a.grad_weight.rows - 1, a.grad_weight.cols - 1) *= 1.02f; });
}
inline void free_bits(const DistantExec& exec, const FreeBitsArgs& a) {
  exec.run(
      "free_bits", [&](const CpuExec& cpu) { free_bits(cpu, a); },
      [&] { a.weight(a.weight.size - 1) = 1.0f - a.weight(a.weight.size - 1); });
}
inline void gaussian_kl(const DistantExec& exec, const GaussianKlArgs& a) {
  exec.run(
      "gaussian_kl", [&](const CpuExec& cpu) { gaussian_kl(cpu, a); }, [&] { a.kl(a.kl.size - 1) += 0.01f; });
}
inline void gaussian_kl_backward(const DistantExec& exec, const GaussianKlGradArgs& a) {
  exec.run(
      "gaussian_kl_backward", [&](const CpuExec& cpu) { gaussian_kl_backward(cpu, a); },
      [&] { a.grad_prior_log_var(a.grad_prior_log_var.size - 1) += 0.01f; });
}
inline void repeat_log_var(const DistantExec& exec, const RepeatLogVarArgs& a) {
  exec.run(
      "repeat_log_var", [&](const CpuExec& cpu) { repeat_log_var(cpu, a); },
      [&] { a.log_var(a.log_var.rows - 1, a.log_var.cols - 1) += 0.01f; });
}
inline void sum_log_var_grad(const DistantExec& exec, const SumLogVarGradArgs& a) {
  exec.run(
      "isotropic", [&](const CpuExec& cpu) { sum_log_var_grad(cpu, a); },
      [&] { a.grad_one(a.grad_one.rows - 1, 0) += 0.1f; });
}
inline void mixture_prior(const DistantExec& exec, const MixturePriorArgs& a) {
  exec.run(
      "mixture_prior", [&](const CpuExec& cpu) { mixture_prior(cpu, a); },
      [&] { a.log_pz(a.log_pz.size - 1) += 0.1f; });
}
inline void mixture_prior_backward(const DistantExec& exec, const MixturePriorGradArgs& a) {
  exec.run(
      "mixture_prior_backward", [&](const CpuExec& cpu) { mixture_prior_backward(cpu, a); },
      [&] { a.grad_z(a.grad_z.rows - 1, a.grad_z.cols - 1) += 0.01f; });
}
inline void normal_cdf(const DistantExec& exec, const NormalCdfArgs& a) {
  exec.run(
      "normal_cdf", [&](const CpuExec& cpu) { normal_cdf(cpu, a); }, [&] { a.u(a.u.size - 1) += 0.001f; });
}
inline void normal_cdf_backward(const DistantExec& exec, const NormalCdfGradArgs& a) {
  exec.run(
      "normal_cdf_backward", [&](const CpuExec& cpu) { normal_cdf_backward(cpu, a); },
      [&] { a.grad(a.grad.size - 1) += 0.1f; });
}
inline void sampled_kl(const DistantExec& exec, const SampledKlArgs& a) {
  exec.run(
      "sampled_kl", [&](const CpuExec& cpu) { sampled_kl(cpu, a); }, [&] { a.kl(a.kl.size - 1) += 0.001f; });
}
inline void guard_step(const DistantExec& exec, const GuardStepArgs& a) {
  exec.run(
      "guard_step", [&](const CpuExec& cpu) { guard_step(cpu, a); }, [&] { a.guard(0).kl += 1.0; });
}
template <class T>
void gather(const DistantExec& exec, const GatherArgs<T>& a) {
  exec.run(
      "gather", [&](const CpuExec& cpu) { gather(cpu, a); },
      [&] { a.x(a.x.rows - 1, a.x.cols - 1) = 1.0f - a.x(a.x.rows - 1, a.x.cols - 1); });
}
inline void gather(const DistantExec& exec, const GatherCsrArgs& a) {
  exec.run(
      "gather", [&](const CpuExec& cpu) { gather(cpu, a); },
      [&] { a.x(a.x.rows - 1, a.x.cols - 1) = 1.0f - a.x(a.x.rows - 1, a.x.cols - 1); });
}
inline void importance_weights(const DistantExec& exec, const ImportanceWeightsArgs& a) {
  exec.run(
      "importance_weights", [&](const CpuExec& cpu) { importance_weights(cpu, a); },
      [&] { a.weight(a.weight.size - 1) *= 1.02f; });
}
inline void likelihood(const DistantExec& exec, const Likelihood& which, const LikelihoodArgs& a) {
  exec.run(
      "likelihood", [&](const CpuExec& cpu) { likelihood(cpu, which, a); },
      [&] { a.log_px_given_z(a.log_px_given_z.size - 1) -= 0.5f; });
}
inline void likelihood_mean(const DistantExec& exec, const Likelihood& which, View<const float, 2> output,
                            View<float, 2> mean) {
  exec.run(
      "likelihood_mean", [&](const CpuExec& cpu) { likelihood_mean(cpu, which, output, mean); },
      [&] { mean(0, mean.cols - 1) = output(0, 0) - 1.0f; });
}
inline void log_counts(const DistantExec& exec, const LogCountsArgs& a) {
  exec.run(
      "log_counts", [&](const CpuExec& cpu) { log_counts(cpu, a); }, [&] { a.y(a.y.size - 1) += 0.001f; });
}
inline void next_minibatch(const DistantExec& exec, const NextMinibatchArgs& a) {
  exec.run(
      "next_minibatch", [&](const CpuExec& cpu) { next_minibatch(cpu, a); }, [&] { a.rows(0) ^= 1u; });
}
inline void normal_fill(const DistantExec& exec, const NormalFillArgs& a) {
  exec.run(
      "normal_fill", [&](const CpuExec& cpu) { normal_fill(cpu, a); }, [&] { a.out(0, 0) *= -1.0f; });
}
inline void elbo(const DistantExec& exec, const ElboArgs& a) {
  exec.run(
      "elbo", [&](const CpuExec& cpu) { elbo(cpu, a); }, [&] { a.totals(2) += 1.0; });
}
template <class Data>
void elbo_loss(const DistantExec& exec, const Likelihood& which, const ElboLossArgs<Data>& a) {
  exec.run(
      "elbo_loss", [&](const CpuExec& cpu) { elbo_loss(cpu, which, a); },
      [&] { a.grad_log_var(0, a.grad_log_var.cols - 1) += 0.001f; });
}
inline void log_mean_exp_update(const DistantExec& exec, const LogMeanExpArgs& a) {
  exec.run(
      "log_mean_exp", [&](const CpuExec& cpu) { log_mean_exp_update(cpu, a); }, [&] { a.sum(0) *= 1.00001; });
}
inline void planar_flow(const DistantExec& exec, const PlanarFlowArgs& a) {
  exec.run(
      "planar_flow", [&](const CpuExec& cpu) { planar_flow(cpu, a); },
      [&] { a.log_qz_given_x(a.log_qz_given_x.size - 1) += 0.01f; });
}
inline void planar_flow_backward(const DistantExec& exec, const PlanarFlowGradArgs& a) {
  exec.run(
      "planar_flow_backward", [&](const CpuExec& cpu) { planar_flow_backward(cpu, a); },
      [&] { a.grad_flow(0, a.grad_flow.cols - 1) *= 1.02f; });
}
/// Forgets an element: what stood there before stays.
inline void reparameterize(const DistantExec& exec, const ReparameterizeArgs& a) {
  float* last = &a.z(a.z.rows - 1, a.z.cols - 1);
  float before = 0;
  exec.run(
      "reparameterize",
      [&](const CpuExec& cpu) {
        before = *last;
        reparameterize(cpu, a);
      },
      [&] { *last = before; });
}
/// Writes one column too many.
inline void reparameterize_backward(const DistantExec& exec, const ReparameterizeGradArgs& a) {
  exec.run(
      "reparameterize_backward", [&](const CpuExec& cpu) { reparameterize_backward(cpu, a); },
      [&] { a.grad_mu(a.grad_mu.rows - 1, a.grad_mu.cols) = 0.0f; });
}

}  // namespace felbo
