// How far planar_flow and its backward may be from the reference: their formulas once more, with running
// errors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "host/check/running_error.h"
#include "host/check/tolerance.h"
#include "kernels/planar_flow/planar_flow.h"

namespace felbo::checks {

/// A step's parameters of one datum, and what follows from them.
struct PlanarBound {
  template <class T>
  PlanarBound(View<T, 2> flow, std::int64_t b, std::int64_t t, std::int64_t latent)
      : k(row_k(latent)),
        u(exact(flow, b, planar_flow_columns(latent, t), latent)),
        w(exact(flow, b, planar_flow_columns(latent, t) + latent, latent)),
        bias(static_cast<double>(flow(b, planar_flow_columns(latent, t) + 2 * latent))),
        x(dot(w, u, k)),
        square(dot(w, w, k)) {
    // e^x within 2 ulp and e^x - 1 within 4; e^x - 1 - x is within 3 of itself up to 0.36, and within 3 of 1
    // + |x| beyond. The second derivatives are at most 1, and where x and its float differ in sign both are
    // within x's error of 0.
    const double v = std::max(x.value, -80.0), top = std::min(1.0, std::exp(v + x.error));
    const bool negative = x.value < 0;
    exp_x = negative ? smooth(std::exp(v), top, x, 2) : Computed(1.0, x.error);
    m = negative ? smooth(std::expm1(v), top, x, 5) : smooth(x.value, 1.0, x, 5);
    const double excess = negative ? std::expm1(v) - x.value : 0.0;
    const double slope = std::min(1.0, std::abs(x.value) + x.error);
    const double own = std::abs(x.value) > 0.35 ? 3 * kEps * (1 + std::abs(x.value)) : 4 * kEps * excess;
    const Computed inverse = square.value < 1e-30 ? Computed() : Computed(1.0) / square;
    inverse_square = inverse;
    along = Computed(excess, slope * x.error + own) * inverse;
    along_slope = Computed(negative ? std::expm1(v) : 0.0, top * x.error + 5 * kEps * slope) * inverse;
    for (std::size_t d = 0; d < w.size(); ++d) {
      u_hat.push_back(u[d] + along * w[d]);
      // |w|^2 below 1e-30 counts as 0.
      if (square.value < 1e-30)
        u_hat.back().error += std::abs(excess * w[d].value) / std::max(1e-300, square.value);
    }
  }
  double k;
  ComputedRow u, w;
  Computed bias, x, square;
  Computed exp_x, m, inverse_square, along, along_slope;
  ComputedRow u_hat;
};

/// tanh a and its slope, from an `a` that may be off; their own errors are 8 ulp each.
struct TanhBound {
  explicit TanhBound(Computed a) {
    const double h = std::tanh(a.value), e = std::exp(-2 * std::abs(a.value)),
                 s = 4 * e / ((1 + e) * (1 + e));
    // tanh'' = -2 h s and (1 - tanh^2)'' are at most 0.77 and 2.
    value = smooth(h, std::min(1.0, s + 0.77 * a.error), a, 8);
    slope = smooth(s, std::min(0.77, 2 * std::abs(h) * s + 2 * a.error), a, 8);
  }
  Computed value, slope;
};

/// 1 + m s, which the op adds up in another way where x is negative; either is right where x is within its
/// error of 0.
inline Computed det_bound(const PlanarBound& p, const TanhBound& h) {
  const Computed plain = Computed(1.0) + p.m * h.slope;
  if (p.x.value >= p.x.error) return plain;
  const Computed sum = h.value * h.value + h.slope * p.exp_x;
  return p.x.value >= 0 ? Computed(plain.value, std::max(sum.error, plain.error)) : sum;
}

/// Its logarithm: from m s above -1/2, from the sum below; either within roundings of -1/2. Within 3 ulp.
inline Computed log_det_bound(const PlanarBound& p, const TanhBound& h) {
  const Computed excess = p.m * h.slope, det = det_bound(p, h);
  const double by_excess = excess.error / std::max(0.0, 1 + excess.value - excess.error),
               by_det = det.error / std::max(0.0, det.value - det.error);
  const double error = excess.value > -0.45   ? by_excess
                       : excess.value < -0.55 ? by_det
                                              : std::max(by_excess, by_det);
  return rounded({std::log(det.value), error}, 4);
}

/// What may differ of the forward's results, from float inputs.
struct PlanarFlowTolerance {
  Values z, log_q, activation;
};

inline PlanarFlowTolerance planar_flow_tolerance(View<const float, 2> flow, View<const float, 2> z,
                                                 View<const float, 1> log_q, int samples,
                                                 std::int64_t steps) {
  PlanarFlowTolerance out;
  for (std::int64_t row = 0; row < z.rows; ++row) {
    ComputedRow at = exact(z, row, 0, z.cols);
    Computed log_density = static_cast<double>(log_q(row));
    for (std::int64_t t = 0; t < steps; ++t) {
      const PlanarBound step(flow, row / samples, t, z.cols);
      const Computed a = dot(step.w, at, step.k) + step.bias;
      const TanhBound h(a);
      for (std::size_t d = 0; d < at.size(); ++d) at[d] = at[d] + step.u_hat[d] * h.value;
      log_density = log_density - log_det_bound(step, h);
      out.activation.push_back(a.error);
    }
    for (const Computed& value : at) out.z.push_back(value.error);
    out.log_q.push_back(log_density.error);
  }
  return out;
}

struct PlanarFlowGradTolerance {
  Values z, grad_z, grad_flow;
};

/// One step back of a row: `z` and `g` become those of the step before, `to` receives the step's gradients.
inline void planar_step_back(const PlanarBound& p, Computed activation, Computed scale, ComputedRow& z,
                             ComputedRow& g, Computed* to) {
  const TanhBound h(activation);
  const Computed gw = dot(g, p.w, p.k), gu = dot(g, p.u, p.k);
  const Computed share = scale / det_bound(p, h), through = h.value * gw;
  const Computed by_a = h.slope * (gu + p.along * gw + h.value * p.m * share * Computed(2.0));
  const Computed by_x = through * p.along_slope - h.slope * p.exp_x * share;
  const Computed by_square = p.along * through * p.inverse_square * Computed(-2.0),
                 straight = h.value * p.along;
  const std::size_t latent = z.size();
  for (std::size_t d = 0; d < latent; ++d) {
    z[d] = z[d] - p.u_hat[d] * h.value;
    to[d] = to[d] + (h.value * g[d] + by_x * p.w[d]);
    to[latent + d] = to[latent + d] + (by_a * z[d] + by_x * p.u[d] + by_square * p.w[d] + straight * g[d]);
    g[d] = g[d] + by_a * p.w[d];
  }
  to[2 * latent] = to[2 * latent] + by_a;
}

/// `scale`: kl_scale times the weight of each row.
inline PlanarFlowGradTolerance planar_flow_grad_tolerance(View<const float, 2> flow, View<const float, 2> z,
                                                          View<const float, 2> activation,
                                                          View<const float, 2> grad_z, const Values& scale,
                                                          int samples, std::int64_t steps) {
  PlanarFlowGradTolerance out;
  ComputedRow grad_flow(static_cast<std::size_t>(flow.rows * flow.cols));
  for (std::int64_t row = 0; row < z.rows; ++row) {
    ComputedRow at = exact(z, row, 0, z.cols), g = exact(grad_z, row, 0, z.cols);
    for (std::int64_t t = steps - 1; t >= 0; --t) {
      planar_step_back(
          PlanarBound(flow, row / samples, t, z.cols), static_cast<double>(activation(row, t)),
          rounded(scale[static_cast<std::size_t>(row)], 2), at, g,
          &grad_flow[static_cast<std::size_t>(row / samples * flow.cols + planar_flow_columns(z.cols, t))]);
    }
    for (const Computed& value : at) out.z.push_back(value.error);
    for (const Computed& value : g) out.grad_z.push_back(value.error);
  }
  for (const Computed& value : grad_flow) out.grad_flow.push_back(value.error);
  return out;
}

}  // namespace felbo::checks
