// The loss of a VAE and its gradients by a kernel a formula, with noise, KL's gradient and all else passed on
// through memory: what felbo's fused ops are measured against (rows fusion/... of `felbo bench kernels`).
// Each kernel is a single pass with the per-element mathematics of the fused ops, so what differs is the
// traffic and the launches. A framework that runs operation by operation has more of both.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/view.h"

namespace felbo::bench {

/// log p(x|z) whose gradient there is a kernel for.
enum class UnfusedLikelihood { kBernoulli, kGaussianUnit };

/// What the kernels below read and write; one sample a datum.
struct UnfusedArgs {
  View<const float, 2> x;        // (B, X)
  View<float, 2> output;         // (B, X) of the decoder
  View<const float, 2> mu;       // (B, Z)
  View<const float, 2> log_var;  // (B, Z)
  LogVarClamp clamp;
  View<const float, 2> eps;     // (B, Z)
  View<const float, 2> grad_z;  // (B, Z) gradient of the loss that comes through the decoder
  float grad_scale = 1.0f;      // of log p(x|z)
  float kl_scale = 1.0f;        // the loss holds kl_scale * sum_b KL_b
  View<float, 2> z;             // (B, Z)
  View<float, 1> kl;            // (B) nats
  View<float, 2> grad_mu;       // (B, Z)
  View<float, 2> grad_log_var;  // (B, Z)
};

/// z = mu + exp(log_var / 2) eps
void unfused_sample(const CpuExec& exec, const UnfusedArgs& args);
void unfused_sample(const CudaExec& exec, const UnfusedArgs& args);
/// kl = KL(q(z|x) || N(0, I)), summed over Z
void unfused_kl(const CpuExec& exec, const UnfusedArgs& args);
void unfused_kl(const CudaExec& exec, const UnfusedArgs& args);
/// output = grad_scale d log p(x|z) / d output
void unfused_likelihood_gradient(const CpuExec& exec, UnfusedLikelihood which, const UnfusedArgs& args);
void unfused_likelihood_gradient(const CudaExec& exec, UnfusedLikelihood which, const UnfusedArgs& args);
/// grad_mu and grad_log_var = the KL's share
void unfused_kl_gradient(const CpuExec& exec, const UnfusedArgs& args);
void unfused_kl_gradient(const CudaExec& exec, const UnfusedArgs& args);
/// grad_mu and grad_log_var += the share that comes through z
void unfused_sample_gradient(const CpuExec& exec, const UnfusedArgs& args);
void unfused_sample_gradient(const CudaExec& exec, const UnfusedArgs& args);

}  // namespace felbo::bench
