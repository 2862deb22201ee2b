// log p(x) of a model with one or two latent dimensions and any decoder, by the trapezoidal rule on a grid
// over z, in double:
//
//   p(x) = int p(x|z) p(z) dz ~ h^Z sum_i p(x|z_i) p(z_i),   z_i = i h,  |z_i| <= reach
//
// For an analytic integrand that vanishes at both ends the rule converges faster than any power of h, so what
// doubling h changes is far more than the error of h itself; that change is given with every value. Nothing
// here is shared with the ops, which are judged by it.
#pragma once

#include <span>
#include <vector>

#include "host/model/vae.h"
#include "host/oracle/eigen.h"
#include "host/oracle/linear_vae.h"

namespace felbo::oracle {

/// Mean, and for a Gaussian variance, of each dimension of x given z; for a Bernoulli the logit.
struct DecodedPoint {
  Vector location;  // (X)
  Vector log_var;   // (X) of a Gaussian
};

/// The decoder of `vae` with the flat parameters `flat` (P) at one z (Z), by plain loops. Throws
/// std::invalid_argument unless the likelihood is Bernoulli or Gaussian.
DecodedPoint decode_point(const Vae& vae, std::span<const float> flat, const Vector& z);

/// log p(x|z) of a decoded z, all constants included.
double log_density(const Vae& vae, const DecodedPoint& point, const Vector& x);

struct GridOptions {
  double reach = 8.0;  // beyond it a standard normal has 1e-15
  double step = 0.05;  // h
};

/// An integral and what it changes by with twice the step.
struct Quadrature {
  double value = 0.0;
  double error = 0.0;
};

/// The closed forms' place where there are none. x is a datum of X numbers.
class GridOracle {
 public:
  /// Decodes the grid. Throws std::invalid_argument unless Z is 1 or 2, the likelihood is Bernoulli or
  /// Gaussian, and reach is a multiple of 2 steps.
  GridOracle(const Vae& vae, std::span<const float> flat, const GridOptions& options = {});

  /// log p(x).
  Quadrature log_px(const Vector& x) const;
  /// Mean and covariance of p(z|x).
  Gaussian posterior(const Vector& x) const;
  /// E_q[log p(x|z)] - KL(q || p(z)) for q = N(mean, diag variance), whose standard deviations should be at
  /// least 3 steps.
  Quadrature elbo(const Vector& x, const Vector& mean, const Vector& variance) const;

 private:
  /// log p(x, z) at every point of the grid.
  std::vector<double> log_joint(const Vector& x) const;
  bool coarse(std::size_t point) const;

  Vae vae_;
  GridOptions options_;
  std::int64_t side_ = 0;  // points a dimension
  std::vector<Vector> z_;
  std::vector<DecodedPoint> decoded_;
};

}  // namespace felbo::oracle
