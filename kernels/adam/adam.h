// Adam over the flat parameter buffer (Kingma and Ba, ICLR 2015, algorithm 1), with step t counted from 1:
//
//   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
//   theta = theta - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

struct AdamOptions {
  float lr = 1e-3f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
};

/// What all parameters of a step share, with the bias corrections folded in.
struct AdamStep {
  float rate;          // lr / (1 - beta1^t)
  float v_scale;       // 1 / sqrt(1 - beta2^t)
  float beta1, rest1;  // beta and 1 - beta
  float beta2, rest2;
  float epsilon;
};

/// Step t, from 1. Throws std::invalid_argument if t is not positive, a beta is outside [0, 1), epsilon is
/// not positive or lr is not finite.
AdamStep adam_step(const AdamOptions& options, std::int64_t t);

struct AdamArgs {
  View<float, 1> parameter;       // (P)
  View<const float, 1> gradient;  // (P)
  View<float, 1> m;               // (P)
  View<float, 1> v;               // (P)
  Scalar<AdamStep> step;
  Scalar<float> scale = 1.0f;   // multiplies the gradient; 0: the step is not taken, and nothing changes
  View<BFloat16, 1> rounded{};  // (P) the new parameters in bfloat16, for products; may be empty
};

/// A moment below the smallest normal float becomes 0: subnormal numbers are slow on some processors, and the
/// moments of a parameter that is seldom used would stay among them. A NaN or infinite gradient makes its
/// parameter NaN. Throws std::invalid_argument if shapes disagree.
void adam(const CpuExec& exec, const AdamArgs& args);
void adam(const CudaExec& exec, const AdamArgs& args);

}  // namespace felbo
