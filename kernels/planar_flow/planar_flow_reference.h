// Plain loops from the formulas of planar_flow.h. The gradients are derived by the chain rule through u^ and
// its Jacobian, element by element.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace felbo::reference {

template <class T>
T planar_m(T x) {
  using std::expm1;
  return x < T(0) ? expm1(x < T(-80) ? T(-80) : x) : x;
}
template <class T>
T planar_m_derivative(T x) {
  using std::exp;
  return x < T(-80) ? T(0) : x < T(0) ? exp(x) : T(1);
}

/// One step's parameters of one datum.
template <class T>
struct PlanarStep {
  PlanarStep(const std::vector<T>& flow, int b, int t, int Z, int steps) {
    const T* at = flow.data() + (static_cast<std::size_t>(b) * steps + t) * (2 * Z + 1);
    u.assign(at, at + Z);
    w.assign(at + Z, at + 2 * Z);
    bias = at[2 * Z];
    for (int i = 0; i < Z; ++i) x += w[i] * u[i], square += w[i] * w[i];
    for (int i = 0; i < Z; ++i)
      u_hat.push_back(square == T(0) ? u[i] : u[i] + (planar_m(x) - x) * w[i] / square);
  }
  T argument(const T* z) const {
    T a = bias;
    for (std::size_t i = 0; i < w.size(); ++i) a += w[i] * z[i];
    return a;
  }
  /// 1 + w . u^ (1 - tanh^2 a), as a sum of what is not below 0: it keeps its digits where w . u^ is near -1.
  T det(T a) const {
    using std::exp, std::tanh;
    const T square = tanh(a) * tanh(a);
    const T one_and_m = x < T(0) ? exp(x < T(-80) ? T(-80) : x) : T(1) + x;
    return square + one_and_m * (T(1) - square);
  }

  std::vector<T> u, w, u_hat;
  T bias = 0, x = 0, square = 0;
};

template <class T>
struct PlanarFlow {
  std::vector<T> z;           // (B * S, Z)
  std::vector<T> log_q;       // (B * S)
  std::vector<T> activation;  // (B * S, steps)
};

template <class T>
PlanarFlow<T> planar_flow(const std::vector<T>& flow, const std::vector<T>& z, const std::vector<T>& log_q,
                          int B, int S, int Z, int steps) {
  using std::log, std::tanh;
  PlanarFlow<T> out{z, log_q, {}};
  for (int row = 0; row < B * S; ++row) {
    T* at = out.z.data() + static_cast<std::size_t>(row) * Z;
    for (int t = 0; t < steps; ++t) {
      const PlanarStep<T> step(flow, row / S, t, Z, steps);
      const T a = step.argument(at);
      for (int i = 0; i < Z; ++i) at[i] += step.u_hat[i] * tanh(a);
      out.log_q[static_cast<std::size_t>(row)] -= log(step.det(a));
      out.activation.push_back(a);
    }
  }
  return out;
}

template <class T>
struct PlanarFlowGradient {
  std::vector<T> z;       // (B * S, Z) z_0
  std::vector<T> grad_z;  // (B * S, Z)
  std::vector<T> flow;    // (B, steps (2 Z + 1))
};

/// From z_T, the a_t and grad_z = d loss / d z_T by all but log det; the loss holds sum_bs scale_bs log
/// q(z_bs).
template <class T>
PlanarFlowGradient<T> planar_flow_gradient(const std::vector<T>& flow, const std::vector<T>& z,
                                           const std::vector<T>& activation, const std::vector<T>& grad_z,
                                           const std::vector<T>& scale, int B, int S, int Z, int steps) {
  PlanarFlowGradient<T> out{z, grad_z, std::vector<T>(flow.size(), T(0))};
  for (int row = 0; row < B * S; ++row) {
    T* at = out.z.data() + static_cast<std::size_t>(row) * Z;
    T* g = out.grad_z.data() + static_cast<std::size_t>(row) * Z;
    for (int t = steps - 1; t >= 0; --t) {
      const PlanarStep<T> step(flow, row / S, t, Z, steps);
      const T a = activation[static_cast<std::size_t>(row) * steps + t], h = std::tanh(a), s = T(1) - h * h;
      const T c = scale[static_cast<std::size_t>(row)], det = step.det(a), m = planar_m(step.x);
      for (int i = 0; i < Z; ++i) at[i] -= step.u_hat[i] * h;
      // The loss by a, and by u^: through z_t, and through -c log det, where w . u^ and s stand.
      T by_a = -c * m * (T(-2) * h * s) / det;
      std::vector<T> by_u_hat;
      for (int i = 0; i < Z; ++i) {
        by_a += g[i] * step.u_hat[i] * s;
        by_u_hat.push_back(g[i] * h - c * s * step.w[i] / det);
      }
      // d u^_i / d u_j = [i = j] + (m' - 1) w_i w_j / |w|^2 and
      // d u^_i / d w_j = (m' - 1) u_j w_i / |w|^2 + (m - x) ([i = j] - 2 w_i w_j / |w|^2) / |w|^2.
      T along_w = 0;
      for (int i = 0; i < Z; ++i) along_w += by_u_hat[i] * step.w[i];
      const T inverse = step.square == T(0) ? T(0) : T(1) / step.square;
      const T bent = (planar_m_derivative(step.x) - T(1)) * inverse, moved = (m - step.x) * inverse;
      T* to = out.flow.data() + (static_cast<std::size_t>(row / S) * steps + t) * (2 * Z + 1);
      for (int j = 0; j < Z; ++j) {
        to[j] += by_u_hat[j] + bent * along_w * step.w[j];
        to[Z + j] += by_a * at[j] - c * s * step.u_hat[j] / det + bent * along_w * step.u[j] +
                     moved * (by_u_hat[j] - T(2) * along_w * step.w[j] * inverse);
        g[j] += by_a * step.w[j];
      }
      to[2 * Z] += by_a;
    }
  }
  return out;
}

}  // namespace felbo::reference
