// The reparameterised sample of a diagonal Gaussian posterior q(z|x) = N(mu, diag exp(log_var)) and its KL
// divergence from the prior N(0, I), forward and backward (Kingma and Welling, "Auto-encoding variational
// Bayes", ICLR 2014, section 2.4 and appendix B):
//
//   z = mu + exp(log_var / 2) eps,   eps ~ N(0, I)
//   KL(q || p) = 1/2 sum_d (mu_d^2 + exp(log_var_d) - log_var_d - 1)          [nats, summed over Z]
//
// eps is a function of (seed, step, datum, sample, d): it is made in registers forward, made again backward,
// and never stored. log_var is clamped to [clamp.lo, clamp.hi] before use; beyond the bounds its gradient is
// zero, as the derivative of the clamp is, and each clamped element is counted.
//
// Rows of z: sample s of datum b is row b * S + s.
//
// z and the gradients that pass between products may be stored in bfloat16; the arithmetic is in float. The
// log-densities are those of z as drawn, before it is rounded: rounding is then the first thing that the
// decoder does, so p(x|z) p(z) / q(z|x) stays a ratio of densities at a point that q drew. The rounded z has
// no density.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"

namespace felbo {

/// T: how z is stored.
template <class T>
struct ReparameterizeArgsOf {
  View<const float, 2> mu;       // (B, Z)
  View<const float, 2> log_var;  // (B, Z)
  LogVarClamp clamp;
  NoiseStream noise;
  View<const std::uint32_t, 1> datum;  // (B) global index of each row's datum: names its noise
  std::uint32_t first_sample = 0;      // index of the first of the S samples
  int samples = 1;                     // S
  View<T, 2> z;                        // (B * S, Z)
  View<float, 1> kl;                   // (B) nats, summed over Z
  View<std::int32_t, 1> clamped;       // (B) how many of the row's log_var were out of bounds
  View<float, 1> log_pz;               // (B * S) log N(z; 0, I), nats; may be empty
  View<float, 1> log_qz_given_x;       // (B * S) log N(z; mu, exp log_var), nats; may be empty
};
using ReparameterizeArgs = ReparameterizeArgsOf<float>;

/// Forward. Throws std::invalid_argument if shapes disagree.
void reparameterize(const CpuExec& exec, const ReparameterizeArgs& args);
void reparameterize(const CudaExec& exec, const ReparameterizeArgs& args);
void reparameterize(const CudaExec& exec, const ReparameterizeArgsOf<BFloat16>& args);

/// Which estimate of the gradient by q(z|x)'s parameters the loss stands for. With the analytic KL the loss
/// holds kl_scale KL_b; with the others it holds kl_scale sum_s weight_bs (log q(z|x) - log p(z)) of the
/// samples, and grad_z what comes through the decoder alone.
enum class PosteriorGradient {
  kAnalyticKl,
  kMonteCarlo,             // the total derivative: through z, and of log q's own parameters
  kStickingTheLanding,     // through z alone, the rest has expectation 0 (Roeder, Wu and Duvenaud, NeurIPS
                           // 2017, equation 8)
  kDoublyReparameterized,  // through z alone, weight_bs times once more (Tucker, Lawson, Gu and Maddison,
                           // ICLR 2019, equation 8)
};

/// T: how the gradients are stored.
template <class T>
struct ReparameterizeGradArgsOf {
  View<const float, 2> mu;       // (B, Z)
  View<const float, 2> log_var;  // (B, Z)
  LogVarClamp clamp;
  NoiseStream noise;                   // the forward's
  View<const std::uint32_t, 1> datum;  // (B)
  std::uint32_t first_sample = 0;
  int samples = 1;                // S
  View<const T, 2> grad_z;        // (B * S, Z) gradient of the loss
  Scalar<float> kl_scale = 1.0f;  // the loss holds kl_scale * sum_b KL_b: beta / B for a mean over the batch
  View<T, 2> grad_mu;             // (B, Z)
  View<T, 2> grad_log_var;        // (B, Z)
  PosteriorGradient gradient = PosteriorGradient::kAnalyticKl;
  View<const float, 1> weight;  // (B * S) those of a datum sum to 1; empty: 1 / S each
  View<const float, 1>
      kl_weight;               // (Z) of each dimension's KL beside kl_scale; empty: 1. Of kAnalyticKl only
  bool standard_prior = true;  // false: p(z) is not N(0, I), and grad_z holds log p(z)'s share already; of
                               // kAnalyticKl, the KL's share is added by whoever knows it
};
using ReparameterizeGradArgs = ReparameterizeGradArgsOf<float>;

/// Backward, with sigma = exp(log_var / 2), w = weight and c = kl_scale (times kl_weight):
///   kAnalyticKl             grad_mu      = sum_s grad_z + c mu
///                           grad_log_var = sum_s grad_z eps sigma / 2 + c (exp(log_var) - 1) / 2
///   kMonteCarlo             g = grad_z + c w z
///                           grad_mu      = sum_s g,   grad_log_var = sum_s g eps sigma / 2 - c / 2
///   kStickingTheLanding     g = grad_z + c w (z - eps / sigma)
///   kDoublyReparameterized  g = w (grad_z + c w (z - eps / sigma))
///                           grad_mu      = sum_s g,   grad_log_var = sum_s g eps sigma / 2
/// Without standard_prior, z on its own and the KL drop out. grad_log_var is zero where log_var is clamped.
/// Throws std::invalid_argument if shapes disagree.
void reparameterize_backward(const CpuExec& exec, const ReparameterizeGradArgs& args);
void reparameterize_backward(const CudaExec& exec, const ReparameterizeGradArgs& args);
void reparameterize_backward(const CudaExec& exec, const ReparameterizeGradArgsOf<BFloat16>& args);

}  // namespace felbo
