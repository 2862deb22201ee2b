// A chain of T planar flows whose parameters the encoder gives (Rezende and Mohamed, "Variational inference
// with normalizing flows", ICML 2015, equations 10 to 13 and appendix A.1): for t = 1 ... T, with u_t, w_t in
// R^Z and a number b_t for each datum,
//
//   a_t = w_t . z_{t-1} + b_t,   z_t = z_{t-1} + u^_t tanh(a_t)
//   log |det d z_t / d z_{t-1}| = log(1 + w_t . u^_t (1 - tanh^2 a_t))
//   log q(z_T | x) = log q(z_0 | x) - sum_t log |det d z_t / d z_{t-1}|                      [nats]
//
// z_0 and log q(z_0 | x) are reparameterize()'s. The KL has no closed form, and log p(z) is to be taken at
// z_T.
//
// A flow is invertible where w . u^ > -1, so u is moved along w until that holds:
//
//   u^ = u + (m(w . u) - w . u) w / |w|^2,   hence w . u^ = m(w . u),   m: R -> (-1, infinity)
//
// The paper takes m(x) = -1 + log(1 + e^x). Its m(0) is -0.31, so u^ grows as 0.31 / |w| where w is small, as
// what an encoder gives is at first, and at w = 0 it has no limit at all. Here
//
//   m(x) = x for x >= 0,   e^x - 1 below
//
// which has the paper's range and is increasing too: every flow that one of them reaches the other reaches,
// at another u. It leaves u as it is where nothing need be done, moves it by at most |u|^2 |w| / 2, and
// parameters that are 0 are the identity, with log det = 0. m and m' are continuous.
//
// - |w|^2 below 1e-30 counts as 0: u is not moved, and the derivative of the move is 0 there. That is within
//   |u|^2 |w| / 2 <= 5e-16 |u|^2 of u^; at w = 0 itself the move has one-sided derivatives alone, and 0 is
//   one of them.
// - w . u below -80 counts as -80 in m, in value and gradient together: det >= e^-80, and its logarithm is
//   finite.
// - log det comes from m(w . u), never from the rounded u^: 1 + m (1 - tanh^2 a) is added up as
//   tanh^2 a + (1 - tanh^2 a) e^x for x < 0, both terms positive, and 1 - tanh^2 a = 4 e / (1 + e)^2 with
//   e = exp(-2 |a|). So det keeps its digits where it is near 0 and where tanh is near +-1.
// - A u or w so large that w . u overflows gives NaN or infinity, which are not hidden.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"

namespace felbo {

/// Numbers that the encoder gives for a chain of `steps` flows of a z of `latent` dimensions.
FELBO_HD inline std::int64_t planar_flow_columns(std::int64_t latent, std::int64_t steps) {
  return steps * (2 * latent + 1);
}

struct PlanarFlowArgs {
  View<const float, 2> flow;      // (B, T (2 Z + 1)) a step after the other: u (Z), w (Z), b
  int samples = 1;                // S
  View<float, 2> z;               // (B * S, Z) in: z_0; out: z_T
  View<float, 1> log_qz_given_x;  // (B * S) minus sum_t log det_t, nats
  View<float, 2> activation;      // (B * S, T) a_t, for the backward pass; may be empty
};

/// Forward, in place. T follows from the columns of `flow`; 0 steps change nothing. A NaN in z, w or b
/// reaches the whole row and log q, one in u its column of z and log q. Throws std::invalid_argument if
/// shapes disagree.
void planar_flow(const CpuExec& exec, const PlanarFlowArgs& args);
void planar_flow(const CudaExec& exec, const PlanarFlowArgs& args);

struct PlanarFlowGradArgs {
  View<const float, 2> flow;        // (B, T (2 Z + 1))
  int samples = 1;                  // S
  View<float, 2> z;                 // (B * S, Z) in: z_T; out: z_0, within rounding of what it was
  View<const float, 2> activation;  // (B * S, T) the forward's
  Scalar<float> kl_scale = 1.0f;    // the loss holds kl_scale * sum_s weight_bs log q(z_bs|x_b)
  View<const float, 1> weight;      // (B * S); empty: 1 / S each
  View<float, 2> grad_z;            // (B * S, Z) in: d loss / d z_T by all but log det; out: d loss / d z_0
  View<float, 2> grad_flow;         // (B, T (2 Z + 1)) d loss / d flow, samples added in their order
};

/// Backward, from the last step to the first: z_{t-1} = z_t - u^_t tanh(a_t) is made again, no z_t is stored.
/// With g = d loss / d z_t, h = tanh(a), s = 1 - h^2, x = w . u, c = kl_scale weight and D = 1 + m s:
///   d loss / d a = s (g . u^ + 2 c h m / D)          d loss / d z_{t-1} = g + (d loss / d a) w
///   d loss / d x = h (g . w) (m' - 1) / |w|^2 - c s m' / D
///   d loss / d u = h g + (d loss / d x) w            d loss / d b = d loss / d a
///   d loss / d w = (d loss / d a) z_{t-1} + (d loss / d x) u + h (m - x) / |w|^2 (g - 2 (g . w) w / |w|^2)
/// Throws std::invalid_argument if shapes disagree.
void planar_flow_backward(const CpuExec& exec, const PlanarFlowGradArgs& args);
void planar_flow_backward(const CudaExec& exec, const PlanarFlowGradArgs& args);

}  // namespace felbo
