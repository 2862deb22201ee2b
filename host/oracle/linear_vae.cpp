#include "host/oracle/linear_vae.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace felbo::oracle {
namespace {

const double kLog2Pi = std::log(2.0 * std::numbers::pi);

void check_linear(const Vae& vae) {
  const VaeConfig& config = vae.config();
  FELBO_CHECK(config.hidden.empty(),
              "the model has {} hidden layers; closed forms exist for linear ones (--hidden none)",
              config.hidden.size());
  FELBO_CHECK(config.above.empty(), "the model has {} stochastic layers; closed forms are of one",
              config.stochastic_layers());
  FELBO_CHECK(config.likelihood.family == LikelihoodFamily::kGaussian &&
                  config.likelihood.variance != VarianceKind::kPerElement,
              "closed forms need a Gaussian likelihood whose variance does not depend on z: unit, fixed, "
              "learned or per-dimension");
}

/// Where the tensors of a linear model stand: weights are (in, out), x W + bias.
struct Places {
  const ParameterEntry &encoder, &encoder_bias, &decoder, &decoder_bias;
};
Places places(const Vae& vae) {
  const Layer &encoder = vae.encoder().layers()[0], &decoder = vae.decoder().layers()[0];
  return {vae.table()[encoder.weight], vae.table()[encoder.bias], vae.table()[decoder.weight],
          vae.table()[decoder.bias]};
}

/// The tensor `entry` of a flat buffer as a row-major matrix of Eigen's; a vector is one row.
template <class T>
auto tensor(T* flat, const ParameterEntry& entry) {
  using Scalar = std::remove_const_t<T>;
  using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Mapped = std::conditional_t<std::is_const_v<T>, const RowMajor, RowMajor>;
  const Eigen::Index rows = entry.shape.size() == 1 ? 1 : entry.shape[0];
  return Eigen::Map<Mapped>(flat + entry.offset, rows, entry.size / rows);
}

Vector likelihood_variance(const Vae& vae, std::span<const float> flat) {
  const Likelihood& which = vae.config().likelihood;
  const Eigen::Index X = vae.config().dimensions;
  if (which.variance == VarianceKind::kUnit) return Vector::Ones(X);
  if (which.variance == VarianceKind::kFixed) return Vector::Constant(X, double(which.fixed_variance));
  const View<const float, 1> own = vae.own(View<const float, 1>{flat.data(), vae.table().size()});
  Vector variance(X);
  for (Eigen::Index j = 0; j < X; ++j) {
    const float log_var = own(own.size == 1 ? 0 : j);
    FELBO_CHECK(!is_clamped(log_var, which.clamp),
                "a log-variance of {} lies beyond its clamp of [{}, {}], where the closed forms do not hold",
                log_var, which.clamp.lo, which.clamp.hi);
    variance(j) = std::exp(double(log_var));
  }
  return variance;
}

}  // namespace

LinearVae linear_vae(const Vae& vae, std::span<const float> flat) {
  check_linear(vae);
  FELBO_CHECK(static_cast<std::int64_t>(flat.size()) == vae.table().size(), "{} parameters, expected {}",
              flat.size(), vae.table().size());
  const Places at = places(vae);
  const Eigen::Index Z = vae.config().latent;
  const Matrix encoder = tensor(flat.data(), at.encoder).cast<double>();                   // (X, 2 Z)
  const Vector encoder_bias = tensor(flat.data(), at.encoder_bias).row(0).cast<double>();  // (2 Z)
  return {.w = tensor(flat.data(), at.decoder).cast<double>().transpose(),
          .b = tensor(flat.data(), at.decoder_bias).row(0).cast<double>(),
          .variance = likelihood_variance(vae, flat),
          .a = encoder.leftCols(Z).transpose(),
          .c = encoder_bias.head(Z),
          .u_x = encoder.rightCols(Z).transpose(),
          .u = encoder_bias.tail(Z)};
}

std::vector<float> flat_parameters(const Vae& vae, const LinearVae& model) {
  check_linear(vae);
  FELBO_CHECK(model.dimensions() == vae.config().dimensions && model.latent() == vae.config().latent,
              "a linear model of {} dimensions and {} latent ones for a network of {} and {}",
              model.dimensions(), model.latent(), vae.config().dimensions, vae.config().latent);
  std::vector<float> flat(static_cast<std::size_t>(vae.table().size()), 0.0f);
  const Places at = places(vae);
  const Eigen::Index Z = model.latent();
  tensor(flat.data(), at.decoder) = model.w.transpose().cast<float>();
  tensor(flat.data(), at.decoder_bias).row(0) = model.b.transpose().cast<float>();
  tensor(flat.data(), at.encoder).leftCols(Z) = model.a.transpose().cast<float>();
  tensor(flat.data(), at.encoder).rightCols(Z) = model.u_x.transpose().cast<float>();
  tensor(flat.data(), at.encoder_bias).row(0).head(Z) = model.c.transpose().cast<float>();
  tensor(flat.data(), at.encoder_bias).row(0).tail(Z) = model.u.transpose().cast<float>();
  const View<float, 1> own = vae.own(View<float, 1>{flat.data(), vae.table().size()});
  for (std::int64_t j = 0; j < own.size; ++j) own(j) = static_cast<float>(std::log(model.variance(j)));
  return flat;
}

LinearOracle::LinearOracle(LinearVae model) : model_(std::move(model)) {
  const LinearVae& m = model_;
  const Eigen::Index X = m.dimensions(), Z = m.latent();
  FELBO_CHECK(X >= 1 && Z >= 1 && m.b.size() == X && m.variance.size() == X && m.a.rows() == Z &&
                  m.a.cols() == X && m.c.size() == Z && m.u_x.rows() == Z && m.u_x.cols() == X &&
                  m.u.size() == Z,
              "the shapes of a linear model of {} dimensions and {} latent ones disagree", X, Z);
  FELBO_CHECK(m.w.allFinite() && m.b.allFinite() && m.variance.allFinite() && m.a.allFinite() &&
                  m.c.allFinite() && m.u_x.allFinite() && m.u.allFinite(),
              "a parameter of a linear model of {} dimensions is not finite", X);
  FELBO_CHECK(m.variance.minCoeff() > 0.0, "a variance of the linear model is {}; expected more than 0",
              m.variance.minCoeff());
  scaled_ = m.variance.cwiseInverse().asDiagonal() * m.w;
  precision_ = Matrix::Identity(Z, Z) + m.w.transpose() * scaled_;
  root_.compute(precision_);
  log_det_m_ = 2.0 * root_.matrixLLT().diagonal().array().log().sum();
  log_det_d_ = m.variance.array().log().sum();
}

LinearOracle::Code LinearOracle::code(const Vector& x) const {
  FELBO_CHECK(x.size() == model_.dimensions(), "a datum of {} numbers for a linear model of {} dimensions",
              x.size(), model_.dimensions());
  Code code{model_.a * x + model_.c, model_.u_x * x + model_.u, {}};
  code.variance = code.log_var.array().exp();
  return code;
}

// log det(W W^T + D) = log det D + log det M, and
// r^T (W W^T + D)^-1 r = r^T D^-1 r - v^T M^-1 v with v = W^T D^-1 r (Woodbury).
double LinearOracle::log_px(const Vector& x) const {
  code(x);  // checks the length
  const Vector r = x - model_.b;
  const Vector v = root_.matrixL().solve(scaled_.transpose() * r);
  const double square = r.cwiseProduct(r).cwiseQuotient(model_.variance).sum() - v.squaredNorm();
  return -0.5 * (double(x.size()) * kLog2Pi + log_det_d_ + log_det_m_ + square);
}

Gaussian LinearOracle::posterior(const Vector& x) const {
  code(x);
  const Vector v = scaled_.transpose() * (x - model_.b);
  return {root_.solve(v), root_.solve(Matrix::Identity(model_.latent(), model_.latent()))};
}

Gaussian LinearOracle::encoded(const Vector& x) const {
  const Code q = code(x);
  return {q.mean, q.variance.asDiagonal()};
}

// With z = m + S e, e ~ N(0, I), r = x - b - W m and Q = S W^T D^-1 W S:
//   log p(x|z) = constant - r^T D^-1 r / 2 + (S W^T D^-1 r)^T e - e^T Q e / 2,
// whose linear and quadratic parts do not correlate: variance |S W^T D^-1 r|^2 + |Q|_F^2 / 2.
Moments LinearOracle::log_px_given_z(const Vector& x) const {
  const Code q = code(x);
  const Vector s = q.variance.cwiseSqrt();
  const Vector r = x - model_.b - model_.w * q.mean;
  const Matrix form = s.asDiagonal() * (model_.w.transpose() * scaled_) * s.asDiagonal();
  const Vector linear = s.cwiseProduct(scaled_.transpose() * r);
  const double square = r.cwiseProduct(r).cwiseQuotient(model_.variance).sum() + form.trace();
  return {-0.5 * (double(x.size()) * kLog2Pi + log_det_d_ + square),
          linear.squaredNorm() + 0.5 * form.squaredNorm()};
}

double LinearOracle::kl_to_prior(const Vector& x) const {
  const Code q = code(x);
  return 0.5 * (q.mean.array().square() + q.variance.array() - q.log_var.array() - 1.0).sum();
}

double LinearOracle::kl_to_posterior(const Vector& x) const {
  const Code q = code(x);
  const Vector off = posterior(x).mean - q.mean;
  const double trace = precision_.diagonal().dot(q.variance);
  return 0.5 * (trace + off.dot(precision_ * off) - double(off.size()) - log_det_m_ - q.log_var.sum());
}

double LinearOracle::elbo(const Vector& x) const { return log_px_given_z(x).mean - kl_to_prior(x); }

// As log_px_given_z(), and log p(z) - log q(z|x) = constant - (S m)^T e - e^T (S^2 - I) e / 2.
Moments LinearOracle::log_weight(const Vector& x) const {
  const Code q = code(x);
  const Vector s = q.variance.cwiseSqrt();
  const Vector r = x - model_.b - model_.w * q.mean;
  const Vector linear = s.cwiseProduct(scaled_.transpose() * r - q.mean);
  const Matrix form =
      s.asDiagonal() * precision_ * s.asDiagonal() - Matrix(Matrix::Identity(s.size(), s.size()));
  return {elbo(x), linear.squaredNorm() + 0.5 * form.squaredNorm()};
}

// E_q[(p(z|x) / q)^2] = integral of p^2 / q over z. With the posterior's precision M, q's precision P, their
// means' difference d (posterior - q) and B = 2 M - P, the integrand is a Gaussian of precision B:
//   |M| / (|P|^(1/2) |B|^(1/2)) exp(-(2 d^T M d - 4 d^T M B^-1 M d) / 2).
double LinearOracle::relative_weight_variance(const Vector& x) const {
  const Code q = code(x);
  const Vector off = posterior(x).mean - q.mean;
  const Matrix both = 2.0 * precision_ - Matrix(q.variance.cwiseInverse().asDiagonal());
  const Eigen::LLT<Matrix> root(both);
  if (root.info() != Eigen::Success) return std::numeric_limits<double>::infinity();
  const double log_det = 2.0 * root.matrixLLT().diagonal().array().log().sum();
  const Vector pulled = precision_ * off;
  const double exponent = 2.0 * pulled.dot(root.solve(pulled)) - off.dot(pulled);
  return std::expm1(log_det_m_ + 0.5 * (q.log_var.sum() - log_det) + exponent);
}

void LinearOracle::add_gradient(const Vector& x, double beta, LinearVaeGradient& sum) const {
  const Code q = code(x);
  const Vector r = x - model_.b - model_.w * q.mean;
  const Vector by_mean = r.cwiseQuotient(model_.variance);                // d E[log p(x|z)] / d (W m + b)
  const Vector spread = model_.w.array().square().matrix() * q.variance;  // (X) diagonal of W S^2 W^T
  sum.w += by_mean * q.mean.transpose() - scaled_ * q.variance.asDiagonal();
  sum.b += by_mean;
  sum.log_variance.array() += 0.5 * ((r.array().square() + spread.array()) / model_.variance.array() - 1.0);
  const Vector by_m = model_.w.transpose() * by_mean - beta * q.mean;
  const Vector fit = model_.w.cwiseProduct(scaled_).colwise().sum();  // (Z) sum_j W_jk^2 / d_j
  const Vector by_log_var =
      0.5 * (beta * (1.0 - q.variance.array()) - q.variance.array() * fit.array()).matrix();
  sum.a += by_m * x.transpose();
  sum.c += by_m;
  sum.u_x += by_log_var * x.transpose();
  sum.u += by_log_var;
}

LinearVaeGradient LinearOracle::gradient(const Matrix& x, double beta) const {
  const Eigen::Index X = model_.dimensions(), Z = model_.latent();
  FELBO_CHECK(x.rows() >= 1, "the gradient over {} data is not defined", x.rows());
  LinearVaeGradient g{Matrix::Zero(X, Z), Vector::Zero(X),    Vector::Zero(X), Matrix::Zero(Z, X),
                      Vector::Zero(Z),    Matrix::Zero(Z, X), Vector::Zero(Z)};
  for (Eigen::Index n = 0; n < x.rows(); ++n) add_gradient(x.row(n), beta, g);
  const double share = 1.0 / double(x.rows());
  for (Matrix* matrix : {&g.w, &g.a, &g.u_x}) *matrix *= share;
  for (Vector* vector : {&g.b, &g.log_variance, &g.c, &g.u}) *vector *= share;
  return g;
}

std::vector<double> flat_gradient(const Vae& vae, const LinearVaeGradient& g) {
  check_linear(vae);
  std::vector<double> flat(static_cast<std::size_t>(vae.table().size()), 0.0);
  const Places at = places(vae);
  const Eigen::Index Z = g.c.size();
  tensor(flat.data(), at.decoder) = g.w.transpose();
  tensor(flat.data(), at.decoder_bias).row(0) = g.b.transpose();
  tensor(flat.data(), at.encoder).leftCols(Z) = g.a.transpose();
  tensor(flat.data(), at.encoder).rightCols(Z) = g.u_x.transpose();
  tensor(flat.data(), at.encoder_bias).row(0).head(Z) = g.c.transpose();
  tensor(flat.data(), at.encoder_bias).row(0).tail(Z) = g.u.transpose();
  const View<double, 1> own = vae.own(View<double, 1>{flat.data(), vae.table().size()});
  for (std::int64_t j = 0; j < own.size; ++j) {
    own(j) = own.size == 1 ? g.log_variance.sum() : g.log_variance(j);
  }
  return flat;
}

}  // namespace felbo::oracle
