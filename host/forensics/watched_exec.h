// A CPU that looks at what each op writes: it finds the op that makes the first NaN or infinity of a step.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/data/resident_data.h"
#include "host/exec/buffer.h"
#include "host/exec/replay.h"
#include "host/model/parameter_table.h"
#include "kernels/adam/adam.h"
#include "kernels/conditional_gaussian/conditional_gaussian.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/dense/dense.h"
#include "kernels/free_bits/free_bits.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/log_counts/log_counts.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/objective/objective.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo {

/// The first values that are not finite, all in one tensor that one op wrote.
struct Sighting {
  std::string op;                 // its function; "state" for what stood there before the step
  std::string tensor;             // which of its results
  std::int64_t row = 0, col = 0;  // of the first one
  double value = 0.0;             // the first one
  std::int64_t count = 0;         // how many there are
  std::vector<std::int64_t>
      data;  // places in the batch of the rows that hold them; empty where rows are not data
};

/// What the rows of a tensor belong to: one row a datum of the batch, S rows a datum, or no data.
enum class RowsAre { kData, kSamples, kNoData };

class WatchedExec : public CpuExec {
 public:
  WatchedExec(int threads, std::int64_t batch, int samples)
      : CpuExec(threads), log_(std::make_shared<Log>()) {
    log_->batch = batch;
    log_->samples = samples;
  }
  const CpuExec& cpu() const { return *this; }

  /// Names layers by where their weights stand.
  void name_parameters(const ParameterTable& table, const float* parameters) const {
    log_->table = &table;
    log_->parameters = parameters;
  }
  /// "encoder.0", by its weight.
  std::string layer_of(const float* weight) const {
    if (log_->table != nullptr) {
      for (const ParameterEntry& entry : log_->table->entries())
        if (log_->parameters + entry.offset == weight) return entry.name.substr(0, entry.name.rfind('.'));
    }
    return "a layer";
  }

  template <class T>
  void look(const std::string& op, const std::string& tensor, View<T, 2> values, RowsAre rows) const {
    if (log_->first || values.empty()) return;
    Sighting seen{.op = op, .tensor = tensor};
    for (std::int64_t i = 0; i < values.rows; ++i) {
      for (std::int64_t j = 0; j < values.cols; ++j) {
        const auto value = static_cast<double>(values(i, j));
        if (std::isfinite(value)) continue;
        if (seen.count++ == 0) seen.row = i, seen.col = j, seen.value = value;
        add_datum(seen, i, rows);
      }
    }
    if (seen.count > 0) log_->first = std::move(seen);
  }
  /// A value a row.
  template <class T>
  void look(const std::string& op, const std::string& tensor, View<T, 1> values, RowsAre rows) const {
    look(op, tensor, View<T, 2>{values.data, values.size, 1}, rows);
  }
  /// A number that is too large for what comes next.
  void report(const std::string& op, const std::string& tensor, double value) const {
    if (!log_->first) log_->first = Sighting{.op = op, .tensor = tensor, .value = value, .count = 1};
  }
  const std::optional<Sighting>& first() const { return log_->first; }

  void keep_batch(View<const float, 2> x) const { log_->x.assign(x.data, x.data + x.rows * x.cols); }
  const std::vector<float>& batch() const { return log_->x; }

 private:
  struct Log {
    std::int64_t batch = 0;
    int samples = 1;
    const ParameterTable* table = nullptr;
    const float* parameters = nullptr;
    std::optional<Sighting> first;
    std::vector<float> x;  // (B, X)
  };

  void add_datum(Sighting& seen, std::int64_t row, RowsAre rows) const {
    if (rows == RowsAre::kNoData) return;
    const std::int64_t datum = rows == RowsAre::kSamples ? row / log_->samples : row;
    if (datum >= log_->batch) return;  // pseudo-inputs behind the batch
    if (seen.data.empty() || seen.data.back() != datum) seen.data.push_back(datum);
  }

  std::shared_ptr<Log> log_;
};

template <class T>
class Buffer<WatchedExec, T> : public Buffer<CpuExec, T> {
 public:
  using Buffer<CpuExec, T>::Buffer;
};
template <>
class Replay<WatchedExec> : public Replay<CpuExec> {};

/// The part stays where it is; it must outlive this object.
template <>
class ResidentData<WatchedExec> : public ResidentData<CpuExec> {
 public:
  using ResidentData<CpuExec>::ResidentData;

  void gather_rows(const WatchedExec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    ResidentData<CpuExec>::gather_rows(exec, rows, binarize, noise, x, rounded);
    exec.look("gather", "x", x, RowsAre::kData);
    exec.keep_batch(x);
  }
};

inline void log_counts(const WatchedExec& exec, const LogCountsArgs& a) {
  log_counts(exec.cpu(), a);
  exec.look("log_counts", "y", a.y, RowsAre::kNoData);
}
inline void dense(const WatchedExec& exec, const DenseArgs& a) {
  dense(exec.cpu(), a);
  const std::string layer = exec.layer_of(a.weight.data);
  exec.look("dense", "y of " + layer, a.y,
            layer.starts_with("encoder.") ? RowsAre::kData : RowsAre::kSamples);
}
inline void dense_backward(const WatchedExec& exec, const DenseGradArgs& a) {
  dense_backward(exec.cpu(), a);
  const std::string layer = exec.layer_of(a.weight.data);
  exec.look("dense_backward", "grad_weight of " + layer, a.grad_weight, RowsAre::kNoData);
  exec.look("dense_backward", "grad_bias of " + layer, a.grad_bias, RowsAre::kNoData);
  exec.look("dense_backward", "grad_x of " + layer, a.grad_x,
            layer.starts_with("encoder.") ? RowsAre::kData : RowsAre::kSamples);
}
inline void repeat_log_var(const WatchedExec& exec, const RepeatLogVarArgs& a) {
  repeat_log_var(exec.cpu(), a);
  exec.look("repeat_log_var", "log_var", a.log_var, RowsAre::kData);
}
inline void sum_log_var_grad(const WatchedExec& exec, const SumLogVarGradArgs& a) {
  sum_log_var_grad(exec.cpu(), a);
  exec.look("sum_log_var_grad", "grad_one", a.grad_one, RowsAre::kData);
}
inline void reparameterize(const WatchedExec& exec, const ReparameterizeArgs& a) {
  reparameterize(exec.cpu(), a);
  exec.look("reparameterize", "z", a.z, RowsAre::kSamples);
  exec.look("reparameterize", "kl", a.kl, RowsAre::kData);
  exec.look("reparameterize", "log_pz", a.log_pz, RowsAre::kSamples);
  exec.look("reparameterize", "log_qz_given_x", a.log_qz_given_x, RowsAre::kSamples);
}
inline void reparameterize_backward(const WatchedExec& exec, const ReparameterizeGradArgs& a) {
  reparameterize_backward(exec.cpu(), a);
  exec.look("reparameterize_backward", "grad_mu", a.grad_mu, RowsAre::kData);
  exec.look("reparameterize_backward", "grad_log_var", a.grad_log_var, RowsAre::kData);
}
inline void covariance_factor(const WatchedExec& exec, const CovarianceFactorArgs& a) {
  covariance_factor(exec.cpu(), a);
  exec.look("covariance_factor", "z", a.z, RowsAre::kSamples);
  exec.look("covariance_factor", "kl", a.kl, RowsAre::kData);
}
inline void covariance_factor_backward(const WatchedExec& exec, const CovarianceFactorGradArgs& a) {
  covariance_factor_backward(exec.cpu(), a);
  exec.look("covariance_factor_backward", "grad_factor", a.grad_factor, RowsAre::kData);
}
inline void planar_flow(const WatchedExec& exec, const PlanarFlowArgs& a) {
  planar_flow(exec.cpu(), a);
  exec.look("planar_flow", "z", a.z, RowsAre::kSamples);
  exec.look("planar_flow", "log_qz_given_x", a.log_qz_given_x, RowsAre::kSamples);
}
inline void planar_flow_backward(const WatchedExec& exec, const PlanarFlowGradArgs& a) {
  planar_flow_backward(exec.cpu(), a);
  exec.look("planar_flow_backward", "grad_z", a.grad_z, RowsAre::kSamples);
  exec.look("planar_flow_backward", "grad_flow", a.grad_flow, RowsAre::kData);
}
inline void conditional_draw(const WatchedExec& exec, const ConditionalDrawArgs& a) {
  conditional_draw(exec.cpu(), a);
  exec.look("conditional_draw", "z", a.z, RowsAre::kSamples);
  exec.look("conditional_draw", "log_q", a.log_q, RowsAre::kSamples);
  exec.look("conditional_draw", "log_standard", a.log_standard, RowsAre::kSamples);
}
inline void conditional_draw_backward(const WatchedExec& exec, const ConditionalDrawGradArgs& a) {
  conditional_draw_backward(exec.cpu(), a);
  exec.look("conditional_draw_backward", "grad_mu", a.grad_mu, RowsAre::kSamples);
  exec.look("conditional_draw_backward", "grad_log_var", a.grad_log_var, RowsAre::kSamples);
}
inline void conditional_density(const WatchedExec& exec, const ConditionalDensityArgs& a) {
  conditional_density(exec.cpu(), a);
  exec.look("conditional_density", "log_p", a.log_p, RowsAre::kSamples);
}
inline void conditional_density_backward(const WatchedExec& exec, const ConditionalDensityGradArgs& a) {
  conditional_density_backward(exec.cpu(), a);
  exec.look("conditional_density_backward", "grad_z", a.grad_z, RowsAre::kSamples);
  exec.look("conditional_density_backward", "grad_mu", a.grad_mu, RowsAre::kSamples);
  exec.look("conditional_density_backward", "grad_log_var", a.grad_log_var, RowsAre::kSamples);
}
inline void add_gradient(const WatchedExec& exec, const AddGradientArgs& a) {
  add_gradient(exec.cpu(), a);
  exec.look("add_gradient", "gradient", a.gradient, RowsAre::kSamples);
}
inline void mixture_prior(const WatchedExec& exec, const MixturePriorArgs& a) {
  mixture_prior(exec.cpu(), a);
  exec.look("mixture_prior", "log_pz", a.log_pz, RowsAre::kSamples);
  exec.look("mixture_prior", "responsibility", a.responsibility, RowsAre::kSamples);
}
inline void mixture_prior_backward(const WatchedExec& exec, const MixturePriorGradArgs& a) {
  mixture_prior_backward(exec.cpu(), a);
  exec.look("mixture_prior_backward", "grad_z", a.grad_z, RowsAre::kSamples);
  exec.look("mixture_prior_backward", "grad_mu", a.grad_mu, RowsAre::kNoData);
  exec.look("mixture_prior_backward", "grad_log_var", a.grad_log_var, RowsAre::kNoData);
  exec.look("mixture_prior_backward", "grad_logit", a.grad_logit, RowsAre::kNoData);
}
inline void gaussian_kl(const WatchedExec& exec, const GaussianKlArgs& a) {
  gaussian_kl(exec.cpu(), a);
  exec.look("gaussian_kl", "kl", a.kl, RowsAre::kData);
}
inline void gaussian_kl_backward(const WatchedExec& exec, const GaussianKlGradArgs& a) {
  gaussian_kl_backward(exec.cpu(), a);
  exec.look("gaussian_kl_backward", "grad_mu", a.grad_mu, RowsAre::kData);
  exec.look("gaussian_kl_backward", "grad_log_var", a.grad_log_var, RowsAre::kData);
  exec.look("gaussian_kl_backward", "grad_prior_mu", a.grad_prior_mu, RowsAre::kNoData);
  exec.look("gaussian_kl_backward", "grad_prior_log_var", a.grad_prior_log_var, RowsAre::kNoData);
}
inline void normal_cdf(const WatchedExec& exec, const NormalCdfArgs& a) {
  normal_cdf(exec.cpu(), a);
  exec.look("normal_cdf", "u", a.u, RowsAre::kNoData);
}
inline void normal_cdf_backward(const WatchedExec& exec, const NormalCdfGradArgs& a) {
  normal_cdf_backward(exec.cpu(), a);
  exec.look("normal_cdf_backward", "grad", a.grad, RowsAre::kNoData);
}
inline void sampled_kl(const WatchedExec& exec, const SampledKlArgs& a) {
  sampled_kl(exec.cpu(), a);
  exec.look("sampled_kl", "kl", a.kl, RowsAre::kData);
}
inline void free_bits(const WatchedExec& exec, const FreeBitsArgs& a) {
  free_bits(exec.cpu(), a);
  exec.look("free_bits", "kl", a.kl, RowsAre::kNoData);
}
inline void likelihood(const WatchedExec& exec, const Likelihood& which, const LikelihoodArgs& a) {
  likelihood(exec.cpu(), which, a);
  exec.look("likelihood", "log_px_given_z", a.log_px_given_z, RowsAre::kSamples);
  if (!a.want_gradient) return;
  exec.look("likelihood", "gradient over the decoder's output", a.output, RowsAre::kSamples);
  exec.look("likelihood", "grad_own", a.grad_own, RowsAre::kNoData);
}
inline void importance_weights(const WatchedExec& exec, const ImportanceWeightsArgs& a) {
  importance_weights(exec.cpu(), a);
  exec.look("importance_weights", "weight", a.weight, RowsAre::kSamples);
  exec.look("importance_weights", "bound", a.bound, RowsAre::kData);
}
inline void elbo(const WatchedExec& exec, const ElboArgs& a) {
  elbo(exec.cpu(), a);
  exec.look("elbo", "elbo", a.elbo, RowsAre::kData);
  exec.look("elbo", "totals", a.totals, RowsAre::kNoData);
}
inline void guard_step(const WatchedExec& exec, const GuardStepArgs& a) {
  guard_step(exec.cpu(), a);
  const double norm = a.guard(0).norm;
  if (!(norm < kGradientNormLimit)) exec.report("guard_step", "norm of the gradient", norm);
}
inline void adam(const WatchedExec& exec, const AdamArgs& a) {
  adam(exec.cpu(), a);
  exec.look("adam", "parameter", a.parameter, RowsAre::kNoData);
  exec.look("adam", "m", a.m, RowsAre::kNoData);
  exec.look("adam", "v", a.v, RowsAre::kNoData);
}

}  // namespace felbo
