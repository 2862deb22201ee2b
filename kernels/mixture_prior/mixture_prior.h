// A mixture of K diagonal Gaussians as the prior,
//
//   p(z) = sum_k pi_k N(z; m_k, diag exp(v_k)),   pi = softmax(logit), or 1 / K each
//   log p(z) = log sum_k exp(l_k),   l_k = log pi_k - 1/2 sum_d (log 2 pi + v_kd + (z_d - m_kd)^2 exp(-v_kd))
//
// With learned m and v it is a mixture of Gaussians; with m and v the encoder's answers to K learned
// pseudo-inputs it is the VampPrior (Tomczak and Welling, AISTATS 2018, equation 9). K = 1 is one Gaussian.
// There is no KL in closed form: an objective estimates it from log p(z) of the samples.
//
// v is clamped before use; beyond the bounds its gradient is zero.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

struct GaussianMixture {
  View<const float, 2> mu;       // (K, Z) m
  View<const float, 2> log_var;  // (K, Z) v
  View<const float, 1> logit;    // (K); empty: all components weigh 1 / K
  LogVarClamp clamp;
};

/// Floats of scratch: exp(-v) (K, Z), and of each component log pi_k - 1/2 sum_d (log 2 pi + v_kd) and pi_k.
std::int64_t mixture_scratch(std::int64_t components, std::int64_t latent);

struct MixturePriorArgs {
  GaussianMixture mixture;
  View<const float, 2> z;         // (R, Z)
  View<float, 1> log_pz;          // (R) nats
  View<float, 2> responsibility;  // (R, K) exp(l_k - log p(z)), for the backward pass; may be empty
  View<float, 1> scratch;         // (mixture_scratch)
};

/// A NaN in z makes its log p NaN, one in the mixture all of them. Throws std::invalid_argument if shapes
/// disagree.
void mixture_prior(const CpuExec& exec, const MixturePriorArgs& args);
void mixture_prior(const CudaExec& exec, const MixturePriorArgs& args);

struct MixturePriorGradArgs {
  GaussianMixture mixture;
  View<const float, 2> z;               // (R, Z)
  View<const float, 2> responsibility;  // (R, K) mixture_prior's
  View<const float, 1> scratch;         // as mixture_prior left it
  int samples = 1;                      // S, R = B S
  Scalar<float> kl_scale = 1.0f;        // the loss holds -kl_scale sum_r weight_r log p(z_r)
  View<const float, 1> weight;          // (R); empty: 1 / S
  View<float, 2> grad_z;                // (R, Z) the prior's share is added
  View<float, 2> grad_mu;               // (K, Z) written; may be empty, then grad_log_var is too
  View<float, 2> grad_log_var;          // (K, Z) written
  View<float, 1> grad_logit;            // (K) written; empty if logit or grad_mu is
};

/// With r = responsibility, s = exp(-v), c_r = kl_scale weight_r:
///   grad_z_rd  += c_r sum_k r_rk (z_rd - m_kd) s_kd
///   grad_m_kd   = - sum_r c_r r_rk (z_rd - m_kd) s_kd
///   grad_v_kd   = - sum_r c_r r_rk ((z_rd - m_kd)^2 s_kd - 1) / 2
///   grad_logit_k = - sum_r c_r (r_rk - pi_k)
/// Sums over rows are added in double, in a fixed order. Throws std::invalid_argument if shapes disagree.
void mixture_prior_backward(const CpuExec& exec, const MixturePriorGradArgs& args);
void mixture_prior_backward(const CudaExec& exec, const MixturePriorGradArgs& args);

}  // namespace felbo
