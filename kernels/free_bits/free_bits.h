// Free bits (Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling, NeurIPS 2016, equation 15): a
// dimension of z pays for its KL only beyond a threshold, so that it need not be given up early in training.
// The loss holds
//
//   sum_d max(threshold, KL_d),   KL_d = mean_b 1/2 (mu_bd^2 + exp(log_var_bd) - log_var_bd - 1)   [nats]
//
// whose derivative is that of the KL where KL_d exceeds the threshold, and 0 elsewhere.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/log_var_clamp.h"
#include "kernels/common/view.h"

namespace felbo {

struct FreeBitsArgs {
  View<const float, 2> mu;       // (B, Z)
  View<const float, 2> log_var;  // (B, Z)
  LogVarClamp clamp;
  float threshold = 0.0f;  // nats a dimension
  View<float, 1> kl;       // (Z) of each dimension, averaged over the batch, nats
  View<float, 1> weight;   // (Z) of each dimension's KL in the gradient: 1 where kl > threshold, else 0
};

/// A NaN in a column gives a NaN kl and weight 1, so that it is not hidden. Sums are added in a fixed order.
/// Throws std::invalid_argument if shapes disagree or the batch is empty.
void free_bits(const CpuExec& exec, const FreeBitsArgs& args);
void free_bits(const CudaExec& exec, const FreeBitsArgs& args);

}  // namespace felbo
