// One step of a chain, shared by the CPU loops and the CUDA kernels.
#pragma once

#include "kernels/common/math.h"
#include "kernels/planar_flow/planar_flow.h"

namespace felbo::planar_flow_math {

inline constexpr float kLeastSquare = 1e-30f;   // |w|^2 below it counts as 0
inline constexpr float kLeastProduct = -80.0f;  // w . u below it counts as it in m

/// A row of a chain's parameters, from step t on.
template <class T>
struct Step {
  FELBO_HD Step(View<T, 2> flow, std::int64_t b, std::int64_t t, std::int64_t latent)
      : u(flow.row(b) + planar_flow_columns(latent, t)), w(u + latent), b(w + latent) {}
  T *u, *w, *b;
};

/// What a step's w . u and |w|^2 decide, the same for all samples.
struct Bend {
  float m;               // w . u^
  float slope;           // m'
  float exp_x;           // e^x where x < 0, else 1
  bool negative;         // x < 0
  float inverse_square;  // 1 / |w|^2, or 0
  float along;           // u^ = u + along w
  float along_slope;     // d along / d x
};

/// e^x - 1 and e^x - 1 - x within 3 eps (1 + |x|), and for small |x| within 3 ulp.
FELBO_HD inline Bend bend(float x, float square) {
  Bend f;
  f.negative = x < 0.0f;
  const float bounded = math::at_least(x, kLeastProduct);
  f.exp_x = f.negative ? math::exp(bounded) : 1.0f;
  f.m = f.negative ? -math::one_minus_exp(-bounded) : x;
  f.slope = x < kLeastProduct ? 0.0f : f.exp_x;
  f.inverse_square = square < kLeastSquare ? 0.0f : 1.0f / square;
  const float excess = x > -0.36f ? math::exp_excess(x) : math::add(f.m, -x);
  f.along = f.negative ? math::mul(excess, f.inverse_square) : 0.0f;
  const float less = x < kLeastProduct ? -1.0f : f.m;  // m' - 1
  f.along_slope = f.negative ? math::mul(less, f.inverse_square) : 0.0f;
  return f;
}

/// tanh a and 1 - tanh^2 a, both within 8 ulp.
struct Tanh {
  float value, slope;
};
FELBO_HD inline Tanh tanh_and_slope(float a) {
  const float twice = -2.0f * math::minus_magnitude(a);
  const float e = math::exp_nonpositive(-twice);
  const float r = 1.0f / math::add(1.0f, e);
  const float magnitude = math::mul(math::one_minus_exp(twice), r);
  return {a < 0.0f ? -magnitude : magnitude, math::mul(math::mul(4.0f, e), math::mul(r, r))};
}

/// 1 + m (1 - tanh^2 a), which is above 0.
FELBO_HD inline float det(const Bend& f, const Tanh& h) {
  return f.negative ? math::fma(h.value, h.value, math::mul(h.slope, f.exp_x))
                    : math::fma(f.m, h.slope, 1.0f);
}
/// Its logarithm, which keeps its digits near 0. A NaN is kept, and an infinity becomes one.
FELBO_HD inline float log_det(const Bend& f, const Tanh& h) {
  const float excess = math::mul(f.m, h.slope);
  if (excess < -0.5f) return math::log_normal(det(f, h));
  return math::fma(0.0f, excess, math::log1p_signed(excess));
}

/// u^ of one dimension.
FELBO_HD inline float moved(const Bend& f, float u, float w) { return math::fma(f.along, w, u); }

/// Derivatives of the loss by the numbers that a step's dimensions share, of one sample.
struct SharedGradient {
  float a;         // by a
  float x;         // by w . u
  float square;    // by |w|^2, twice
  float straight;  // h along: what of g goes straight to w
};
/// From g . u and g . w, g = d loss / d z_t; `scale` is kl_scale times the sample's weight.
FELBO_HD inline SharedGradient shared_gradient(const Bend& f, const Tanh& h, float gu, float gw,
                                               float scale) {
  const float share = scale / det(f, h);
  const float through_u = math::mul(h.value, gw);
  SharedGradient out;
  out.a = math::mul(h.slope, math::fma(math::mul(2.0f * h.value, f.m), share, math::fma(f.along, gw, gu)));
  out.x = math::fma(through_u, f.along_slope, -math::mul(math::mul(h.slope, f.slope), share));
  out.square = math::mul(-2.0f * f.along, math::mul(through_u, f.inverse_square));
  out.straight = math::mul(h.value, f.along);
  return out;
}

/// One dimension of a sample, a step back.
struct Element {
  float z, grad_z, grad_u, grad_w;
};
FELBO_HD inline Element element_back(const Bend& f, const Tanh& h, const SharedGradient& shared, float u,
                                     float w, float z, float g) {
  Element out;
  out.z = math::fma(-moved(f, u, w), h.value, z);
  out.grad_z = math::fma(shared.a, w, g);
  out.grad_u = math::fma(h.value, g, math::mul(shared.x, w));
  out.grad_w = math::fma(shared.a, out.z,
                         math::fma(shared.x, u, math::fma(shared.square, w, math::mul(shared.straight, g))));
  return out;
}

/// The weight of a row of z.
FELBO_HD inline float weight_of(const PlanarFlowGradArgs& a, std::int64_t row) {
  return a.weight.empty() ? 1.0f / static_cast<float>(a.samples) : a.weight(row);
}

}  // namespace felbo::planar_flow_math
