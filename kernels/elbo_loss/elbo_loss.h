// The whole loss of a VAE behind any decoder, in one pass: log p(x|z), the KL divergence and the ELBO of each
// datum, and their gradients by the decoder's output, mu and log_var. For code that brings its own networks;
// felbo's training step uses the separate ops.
//
//   kl_b   = 1/2 sum_d (mu_bd^2 + exp(log_var_bd) - log_var_bd - 1)                [nats, summed over Z]
//   elbo_b = 1/S sum_s log p(x_b | z_bs) - kl_b                                    [nats, summed over X]
//   loss   = loss_scale sum_b (beta kl_b - 1/S sum_s log p(x_b | z_bs))
//
// (Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, equation 7 and appendix B; beta: Higgins
// et al., ICLR 2017.) With loss_scale = 1 / B the loss is the mean over data. It is not computed itself; the
// gradients are those of it. beta weighs the KL's gradient only: elbo_b is always the ELBO itself.
//
// p(x|z) is a Bernoulli on logits or a Gaussian whose variance is given or comes from the decoder; its
// formulas, and how two outputs a dimension lie side by side, stand in kernels/likelihood/likelihood.h. Row
// b * S + s of the output belongs to sample s of datum b.
//
// On CUDA this is one launch that reads and writes each number once (x is read again for each further sample,
// from cache): 12 bytes an element of x for one output a dimension, 20 for two; 3 fewer if x is bytes. A
// group of threads takes a datum with all its samples: a warp for rows of up to 1024 dimensions, then a
// block. So it wants many data rather than many samples of few.
#pragma once

#include "kernels/common/scalar.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {

template <class Data>
struct ElboLossArgs {
  View<const Data, 2> x;          // (B, X) uint8 or float; values of [0, 1] for a Bernoulli
  float divisor = 1.0f;           // of bytes, 255 for intensities: x = byte / divisor, rounded to float;
                                  //     floats are taken as they stand, with 1
  int samples = 1;                // S
  View<const float, 2> output;    // (B * S, outputs * X) of the decoder
  View<const float, 2> mu;        // (B, Z) of the posterior q(z|x)
  View<const float, 2> log_var;   // (B, Z)
  LogVarClamp clamp;              // of the posterior's log_var; the likelihood has its own
  Scalar<float> beta = 1.0f;      // weight of the KL in the loss
  float loss_scale = 1.0f;        // 1 / B for the mean over data
  bool want_gradient = true;      // false: the gradients below are left alone, and may be empty
  View<float, 1> log_px_given_z;  // (B * S) nats
  View<float, 1> kl;              // (B) nats
  View<float, 1> elbo;            // (B) nats
  View<std::int32_t, 1> clamped;  // (B * S) log-variances of the row of output that were out of bounds
  View<std::int32_t, 1> posterior_clamped;  // (B) log_var of the row that were out of bounds
  View<float, 2> grad_output;               // (B * S, outputs * X) may be output itself: written over it
  View<float, 2> grad_mu;                   // (B, Z) through the KL alone
  View<float, 2> grad_log_var;              // (B, Z) through the KL alone; zero where clamped
};

/// grad_output is all of the loss's gradient by the output. grad_mu and grad_log_var hold the KL's part only:
/// the part through z = mu + exp(log_var / 2) eps comes from propagating grad_output back through the
/// decoder, and is the caller's to add (automatic differentiation does).
///
/// grad_output is the same memory as output, row by row, or apart from it; no other views may overlap. A
/// result depends on its datum alone, not on the batch or the number of threads. A NaN in x, output, mu or
/// log_var reaches the values and gradients that it is part of. Throws std::invalid_argument if shapes
/// disagree, and for a variance that the likelihood learns: its gradient is a sum over the batch, which takes
/// a second launch. likelihood() does that.
void elbo_loss(const CpuExec& exec, const Likelihood& which, const ElboLossArgs<std::uint8_t>& args);
void elbo_loss(const CpuExec& exec, const Likelihood& which, const ElboLossArgs<float>& args);
void elbo_loss(const CudaExec& exec, const Likelihood& which, const ElboLossArgs<std::uint8_t>& args);
void elbo_loss(const CudaExec& exec, const Likelihood& which, const ElboLossArgs<float>& args);

}  // namespace felbo
