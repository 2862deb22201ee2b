// A variational autoencoder for which everything has a closed form: no hidden layers and a Gaussian
// likelihood.
//
//   p(z) = N(0, I)   p(x|z) = N(W z + b, D), D diagonal   q(z|x) = N(A x + c, diag exp(U x + u))
//
// so that p(x) = N(b, W W^T + D), and with M = I + W^T D^-1 W
//
//   p(z|x) = N(M^-1 W^T D^-1 (x - b), M^-1)           (Bishop 2006, equations 2.113 to 2.117)
//
// Everything is in double and in nats, log-densities are summed over dimensions with all constants, and a
// value belongs to one datum. Nothing here is shared with the ops, which are judged by it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/model/vae.h"
#include "host/oracle/eigen.h"

namespace felbo::oracle {

/// The parameters by the letters of the formulas.
struct LinearVae {
  Matrix w;         // (X, Z)
  Vector b;         // (X)
  Vector variance;  // (X) the diagonal of D
  Matrix a;         // (Z, X)
  Vector c;         // (Z)
  Matrix u_x;       // (Z, X) U
  Vector u;         // (Z)

  Eigen::Index dimensions() const { return w.rows(); }
  Eigen::Index latent() const { return w.cols(); }
};

/// The model that `vae` is with the flat parameters `flat` (P). Throws std::invalid_argument unless it has no
/// hidden layers and a Gaussian likelihood whose variance does not depend on z (unit, fixed, learned,
/// per-dimension), or if a log-variance of the likelihood lies beyond its clamp.
LinearVae linear_vae(const Vae& vae, std::span<const float> flat);

/// The flat parameters (P) of `vae` that make it `model`, rounded to float: the inverse of linear_vae(). A
/// single learned variance takes the first of model.variance. Throws as linear_vae() does, and if sizes
/// disagree.
std::vector<float> flat_parameters(const Vae& vae, const LinearVae& model);

/// A Gaussian over z.
struct Gaussian {
  Vector mean;        // (Z)
  Matrix covariance;  // (Z, Z)
};

/// Mean and variance of a number that depends on z ~ q(z|x).
struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

/// Derivatives by the parameters, in the shapes of LinearVae; of log D in place of D.
struct LinearVaeGradient {
  Matrix w;
  Vector b, log_variance;
  Matrix a;
  Vector c;
  Matrix u_x;
  Vector u;
};

/// The closed forms. x is a datum of X numbers; one of another length throws std::invalid_argument.
class LinearOracle {
 public:
  /// Throws std::invalid_argument if the shapes disagree, a variance is not positive or a parameter is not
  /// finite.
  explicit LinearOracle(LinearVae model);

  const LinearVae& model() const { return model_; }

  /// log p(x) = log N(x; b, W W^T + D).
  double log_px(const Vector& x) const;
  /// p(z|x).
  Gaussian posterior(const Vector& x) const;
  /// q(z|x); the covariance is diagonal.
  Gaussian encoded(const Vector& x) const;

  /// log p(x|z) over z ~ q(z|x): its mean is the reconstruction term of the ELBO, its variance what a Monte
  /// Carlo estimate from one sample scatters by.
  Moments log_px_given_z(const Vector& x) const;
  /// KL(q(z|x) || p(z)).
  double kl_to_prior(const Vector& x) const;
  /// KL(q(z|x) || p(z|x)), by the formula for two Gaussians, not as a difference of the other figures.
  double kl_to_posterior(const Vector& x) const;
  /// E_q[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x).
  double elbo(const Vector& x) const;

  /// log w = log p(x|z) + log p(z) - log q(z|x) over z ~ q(z|x). Its mean is the ELBO.
  Moments log_weight(const Vector& x) const;
  /// Var(w) / E[w]^2 of the importance weights w = p(x, z) / q(z|x) over z ~ q(z|x), which is the chi-square
  /// divergence of p(z|x) from q(z|x). 0 if q is the posterior; infinite unless q is wide enough in every
  /// direction (2 M - diag(1 / s^2) positive definite).
  double relative_weight_variance(const Vector& x) const;

  /// Derivatives of the mean over the rows of x (N, X) of E_q[log p(x|z)] - beta KL(q(z|x) || p(z)); the ELBO
  /// for beta = 1.
  LinearVaeGradient gradient(const Matrix& x, double beta = 1.0) const;

 private:
  struct Code {
    Vector mean, log_var, variance;  // (Z)
  };
  Code code(const Vector& x) const;
  void add_gradient(const Vector& x, double beta, LinearVaeGradient& sum) const;

  LinearVae model_;
  Matrix scaled_;            // (X, Z) D^-1 W
  Matrix precision_;         // (Z, Z) M
  Eigen::LLT<Matrix> root_;  // of M
  double log_det_m_ = 0.0;
  double log_det_d_ = 0.0;
};

/// `gradient` laid out as the flat parameters of `vae` are (P), padding 0. A single learned variance has the
/// sum over dimensions, a unit or fixed one no place.
std::vector<double> flat_gradient(const Vae& vae, const LinearVaeGradient& gradient);

}  // namespace felbo::oracle
