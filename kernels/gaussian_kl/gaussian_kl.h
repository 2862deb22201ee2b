// The KL divergence of a diagonal Gaussian posterior q(z|x) = N(mu, diag exp(log_var)) from a prior
// p(z) = N(m, diag exp(v)) whose parameters are learned:
//
//   KL(q || p) = 1/2 sum_d ((mu_d - m_d)^2 exp(-v_d) + exp(log_var_d - v_d) - (log_var_d - v_d) - 1)
//                                                                            [nats, summed over Z]
// (Two Gaussians; Kingma and Welling 2014, appendix B, is the case m = 0, v = 0.)
//
// log_var and v are clamped before use. Beyond the bounds their gradients are zero.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

struct GaussianKlArgs {
  View<const float, 2> mu;             // (B, Z)
  View<const float, 2> log_var;        // (B, Z)
  View<const float, 1> prior_mu;       // (Z) m
  View<const float, 1> prior_log_var;  // (Z) v
  LogVarClamp clamp;
  View<float, 1> kl;  // (B) nats
};

/// A NaN makes the KL of its rows NaN. Throws std::invalid_argument if shapes disagree.
void gaussian_kl(const CpuExec& exec, const GaussianKlArgs& args);
void gaussian_kl(const CudaExec& exec, const GaussianKlArgs& args);

struct GaussianKlGradArgs {
  View<const float, 2> mu;             // (B, Z)
  View<const float, 2> log_var;        // (B, Z)
  View<const float, 1> prior_mu;       // (Z)
  View<const float, 1> prior_log_var;  // (Z)
  LogVarClamp clamp;
  Scalar<float> kl_scale = 1.0f;      // the loss holds kl_scale * sum_b KL_b
  View<float, 2> grad_mu;             // (B, Z) the KL's share is added
  View<float, 2> grad_log_var;        // (B, Z) likewise
  View<float, 1> grad_prior_mu;       // (Z) written
  View<float, 1> grad_prior_log_var;  // (Z) written
};

/// With c = kl_scale, s = exp(-v), d = mu - m, r = exp(log_var - v):
///   grad_mu += c d s           grad_log_var += c (r - 1) / 2
///   grad_m = -c sum_b d s      grad_v = c/2 sum_b (1 - r - d^2 s)
/// The sums over the batch are added in double, in a fixed order. Throws std::invalid_argument if shapes
/// disagree.
void gaussian_kl_backward(const CpuExec& exec, const GaussianKlGradArgs& args);
void gaussian_kl_backward(const CudaExec& exec, const GaussianKlGradArgs& args);

}  // namespace felbo
