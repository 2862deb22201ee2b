// A Gaussian posterior with a full covariance, q(z|x) = N(mu, L L^T), from the sample of a diagonal one
// (Kingma and Welling, "An introduction to variational autoencoders", 2019, section 2.5.1):
//
//   z = mu + L eps,   L lower triangular with L_ii = exp(log_var_i / 2),   eps ~ N(0, I)
//   KL(q || p) = that of the diagonal + 1/2 sum_{i > j} L_ij^2                [nats, summed over Z]
//
// reparameterize() has written mu + exp(log_var / 2) eps, the diagonal's KL and log q(z|x), which is right as
// it is: z - mu = L eps, and log det L is the diagonal's. This op adds what lies below the diagonal. A log
// p(z) of the z before is that of another z. eps is made again from its counter, the same bits.
//
// A row of `factor` is the strict lower triangle row by row: (1,0), (2,0), (2,1), (3,0), ... As mu is free
// and the diagonal is given apart, grad_mu and grad_log_var are what reparameterize_backward() makes of
// grad_z.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"

namespace felbo {

/// Elements below the diagonal of a Z x Z matrix; also where row Z of a packed triangle begins.
FELBO_HD inline std::int64_t below_diagonal(std::int64_t latent) { return latent * (latent - 1) / 2; }

struct CovarianceFactorArgs {
  View<const float, 2> factor;         // (B, Z (Z - 1) / 2)
  NoiseStream noise;                   // reparameterize's
  View<const std::uint32_t, 1> datum;  // (B)
  std::uint32_t first_sample = 0;
  int samples = 1;    // S
  View<float, 2> z;   // (B * S, Z) in: mu + exp(log_var / 2) eps; out: mu + L eps
  View<float, 1> kl;  // (B) adds 1/2 sum L_ij^2, nats; may be empty
};

/// Forward. A NaN in `factor` reaches kl, and z in its row of L. Throws std::invalid_argument if shapes
/// disagree.
void covariance_factor(const CpuExec& exec, const CovarianceFactorArgs& args);
void covariance_factor(const CudaExec& exec, const CovarianceFactorArgs& args);

struct CovarianceFactorGradArgs {
  View<const float, 2> factor;         // (B, Z (Z - 1) / 2)
  NoiseStream noise;                   // the forward's
  View<const std::uint32_t, 1> datum;  // (B)
  std::uint32_t first_sample = 0;
  int samples = 1;                // S
  View<const float, 2> grad_z;    // (B * S, Z) gradient of the loss by z
  Scalar<float> kl_scale = 1.0f;  // the loss holds kl_scale * sum_b KL_b; 0 if it estimates log q by samples
  View<float, 2> grad_factor;     // (B, Z (Z - 1) / 2)
};

/// Backward: grad_factor_ij = kl_scale L_ij + sum_s grad_z_si eps_sj, the samples added in their order.
/// Throws std::invalid_argument if shapes disagree.
void covariance_factor_backward(const CpuExec& exec, const CovarianceFactorGradArgs& args);
void covariance_factor_backward(const CudaExec& exec, const CovarianceFactorGradArgs& args);

}  // namespace felbo
