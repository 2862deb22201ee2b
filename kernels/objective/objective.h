// From the terms of each row to the objective, in nats.
//
//   elbo_b = mean_s log p(x_b | z_bs) - KL_b                          (Kingma and Welling 2014, equation 7)
//   log p(x_b) >= log mean_s w_bs,  log w_bs = log p(x|z) + log p(z) - log q(z|x)
//                                                    (Burda, Grosse and Salakhutdinov, ICLR 2016, equation 8)
//
// Both are summed over dimensions, a value a datum; nothing is averaged over pixels. beta scales the KL in
// the training loss only (Higgins et al. 2017): elbo_b here is always the ELBO itself.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/view.h"

namespace felbo {

struct ElboArgs {
  View<const float, 1> log_px_given_z;  // (B * S), sample s of datum b at b * S + s
  View<const float, 1> kl;              // (B)
  int samples = 1;                      // S
  View<float, 1> elbo;                  // (B)
  View<double, 1> totals;               // (3) sums over the batch, added in a fixed order:
                                        //     mean_s log p(x|z), KL, ELBO; adds to what stands there
};

/// Throws std::invalid_argument if shapes disagree.
void elbo(const CpuExec& exec, const ElboArgs& args);
void elbo(const CudaExec& exec, const ElboArgs& args);

/// Running log-mean-exp of the importance weights of B data: constant memory for any number of samples. Per
/// datum the largest log-weight so far and the sum of exp(log_w - max), in double.
struct LogMeanExpArgs {
  View<const float, 1> log_px_given_z;  // (B * S)
  View<const float, 1> log_pz;          // (B * S)
  View<const float, 1> log_qz_given_x;  // (B * S)
  int samples = 1;                      // S
  View<double, 1> max;                  // (B) in and out; -infinity before the first call
  View<double, 1> sum;                  // (B) in and out; 0 before the first call
};

/// Adds S more samples a datum. The result does not depend on how samples are split over calls beyond
/// rounding: it is within (2 + log(samples) / 2) 2^-23 nats of the exact one for the given floats. A weight
/// of 0
/// (-infinity) is fine; +infinity stays +infinity, and a NaN makes the result of its datum NaN.
/// Throws std::invalid_argument if shapes disagree.
void log_mean_exp_update(const CpuExec& exec, const LogMeanExpArgs& args);
void log_mean_exp_update(const CudaExec& exec, const LogMeanExpArgs& args);

/// log of the mean of the weights seen so far: max + log(sum / samples), nats. `samples` counts all calls;
/// throws std::invalid_argument if it is not positive.
double log_mean_exp_value(double max, double sum, std::int64_t samples);

/// The bound of the samples at hand and its normalised importance weights, by which its gradient weighs those
/// of the samples (Burda et al. 2016, equation 14):
///
///   bound_b = log mean_s w_bs,   weight_bs = w_bs / sum_t w_bt
struct ImportanceWeightsArgs {
  View<const float, 1> log_px_given_z;  // (B * S)
  View<const float, 1> log_pz;          // (B * S)
  View<const float, 1> log_qz_given_x;  // (B * S)
  int samples = 1;                      // S
  View<float, 1> weight;                // (B * S) those of a datum sum to 1
  View<float, 1> bound;                 // (B) nats
  View<double, 1> total;                // (1) sum of the bounds, added in a fixed order to what stands there
};

/// A NaN makes the weights and the bound of its datum NaN; where all weights are 0 (-infinity) they share
/// evenly. Throws std::invalid_argument if shapes disagree.
void importance_weights(const CpuExec& exec, const ImportanceWeightsArgs& args);
void importance_weights(const CudaExec& exec, const ImportanceWeightsArgs& args);

/// The KL of each datum by its samples, where there is none in closed form:
///
///   kl_b = mean_s (log q(z_bs|x_b) - log p(z_bs))                           [nats]
struct SampledKlArgs {
  View<const float, 1> log_pz;          // (B * S)
  View<const float, 1> log_qz_given_x;  // (B * S)
  int samples = 1;                      // S
  View<float, 1> kl;                    // (B)
};

/// Differences and sums are in double. Throws std::invalid_argument if shapes disagree.
void sampled_kl(const CpuExec& exec, const SampledKlArgs& args);
void sampled_kl(const CudaExec& exec, const SampledKlArgs& args);

}  // namespace felbo
