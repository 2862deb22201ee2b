// The isotropic posterior q(z|x) = N(mu, sigma^2 I): one log-variance a datum. For it
//
//   KL(q || N(0, I)) = 1/2 (Z sigma^2 + |mu|^2 - 2 Z ln sigma - Z)                      [nats]
//
// which is the diagonal Gaussian's KL with all log-variances equal; so its ops do the work between these
// two, which repeat the log-variance and add up its gradient.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/view.h"

namespace felbo {

struct RepeatLogVarArgs {
  View<const float, 2> one;  // (B, 1)
  View<float, 2> log_var;    // (B, Z) every column the same
};

/// Throws std::invalid_argument if shapes disagree.
void repeat_log_var(const CpuExec& exec, const RepeatLogVarArgs& args);
void repeat_log_var(const CudaExec& exec, const RepeatLogVarArgs& args);

struct SumLogVarGradArgs {
  View<const float, 2> grad_log_var;  // (B, Z)
  View<float, 2> grad_one;            // (B, 1) the sum of each row
};

/// The sum of a row is added in a fixed order. Throws std::invalid_argument if shapes disagree.
void sum_log_var_grad(const CpuExec& exec, const SumLogVarGradArgs& args);
void sum_log_var_grad(const CudaExec& exec, const SumLogVarGradArgs& args);

}  // namespace felbo
