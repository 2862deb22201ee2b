// The layers of latent variables above the first (Burda, Grosse and Salakhutdinov, "Importance weighted
// autoencoders", ICLR 2016, section 5; Sonderby et al., "Ladder variational autoencoders", NIPS 2016, section
// 2): diagonal Gaussians whose every row has its own parameters, since a network makes them of that row's
// sample of another layer.
//
//   conditional_draw:     h = mu + exp(log_var / 2) eps,  eps ~ N(0, I),  h ~ q = N(mu, diag exp(log_var))
//   conditional_density:  log p(h) = log N(h; mu, diag exp(log_var))
//
// The loss holds c sum_r w_r (log q_r - log p_r) of the samples, c = kl_scale. Row b * S + s is sample s of
// datum b: that names its eps, which is made again in the backward pass and never stored. log_var is clamped
// before use. Beyond the bounds its gradient is zero, and each clamped element is counted.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"

namespace felbo {

struct ConditionalDrawArgs {
  View<const float, 2> mu;       // (B S, Z)
  View<const float, 2> log_var;  // (B S, Z)
  LogVarClamp clamp;
  NoiseStream noise;
  View<const std::uint32_t, 1> datum;  // (B) global index of each datum
  std::uint32_t first_sample = 0;      // index of the first of the S samples
  int samples = 1;                     // S
  View<float, 2> z;                    // (B S, Z) h, written
  View<float, 1> log_q;                // (B S) nats; log q(h) is added
  View<float, 1> log_standard;         // (B S) nats; log N(h; 0, I), written; may be empty
  View<std::int32_t, 1> clamped;       // (B S) added to
};

/// NaN and infinity reach the rows that they stand in. Throws std::invalid_argument if shapes disagree.
void conditional_draw(const CpuExec& exec, const ConditionalDrawArgs& args);
void conditional_draw(const CudaExec& exec, const ConditionalDrawArgs& args);

struct ConditionalDrawGradArgs {
  View<const float, 2> mu;       // (B S, Z)
  View<const float, 2> log_var;  // (B S, Z)
  LogVarClamp clamp;
  NoiseStream noise;                   // the forward's
  View<const std::uint32_t, 1> datum;  // (B)
  std::uint32_t first_sample = 0;
  int samples = 1;                // S
  View<const float, 2> grad_z;    // (B S, Z) gradient of the rest of the loss by h
  Scalar<float> kl_scale = 1.0f;  // c
  View<const float, 1> weight;    // (B S) w; empty: 1 / S each
  bool standard_prior = false;    // whether the loss holds -c w log N(h; 0, I) too
  View<float, 2> grad_mu;         // (B S, Z) written
  View<float, 2> grad_log_var;    // (B S, Z) written
};

/// With g = grad_z (+ c w h with standard_prior), the total derivative, through h and of log q's own
/// parameters:
///   grad_mu = g,   grad_log_var = (g eps sigma - c w) / 2, zero where log_var is clamped
/// Throws std::invalid_argument if shapes disagree.
void conditional_draw_backward(const CpuExec& exec, const ConditionalDrawGradArgs& args);
void conditional_draw_backward(const CudaExec& exec, const ConditionalDrawGradArgs& args);

struct ConditionalDensityArgs {
  View<const float, 2> z;        // (R, Z) h
  View<const float, 2> mu;       // (R, Z)
  View<const float, 2> log_var;  // (R, Z)
  LogVarClamp clamp;
  View<float, 1> log_p;           // (R) nats; log p(h) is added
  View<std::int32_t, 1> clamped;  // (R) added to
};

/// NaN and infinity reach the rows that they stand in. Throws std::invalid_argument if shapes disagree.
void conditional_density(const CpuExec& exec, const ConditionalDensityArgs& args);
void conditional_density(const CudaExec& exec, const ConditionalDensityArgs& args);

struct ConditionalDensityGradArgs {
  View<const float, 2> z;        // (R, Z)
  View<const float, 2> mu;       // (R, Z)
  View<const float, 2> log_var;  // (R, Z)
  LogVarClamp clamp;
  int samples = 1;                // S
  Scalar<float> kl_scale = 1.0f;  // c
  View<const float, 1> weight;    // (R) w; empty: 1 / S each
  View<float, 2> grad_z;          // (R, Z) the density's share is added
  View<float, 2> grad_mu;         // (R, Z) written
  View<float, 2> grad_log_var;    // (R, Z) written
};

/// With t = (h - mu) / sigma:
///   grad_z += c w t / sigma,   grad_mu = -c w t / sigma,   grad_log_var = c w (1 - t^2) / 2, zero where
///   log_var is clamped
/// Throws std::invalid_argument if shapes disagree.
void conditional_density_backward(const CpuExec& exec, const ConditionalDensityGradArgs& args);
void conditional_density_backward(const CudaExec& exec, const ConditionalDensityGradArgs& args);

struct AddGradientArgs {
  View<const float, 2> more;  // (R, Z)
  View<float, 2> gradient;    // (R, Z) += more
};

/// Where two networks read the same h. Throws std::invalid_argument if shapes disagree.
void add_gradient(const CpuExec& exec, const AddGradientArgs& args);
void add_gradient(const CudaExec& exec, const AddGradientArgs& args);

}  // namespace felbo
