#include "host/oracle/grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace felbo::oracle {
namespace {

const double kLog2Pi = std::log(2.0 * std::numbers::pi);

double activate(Activation activation, double v) {
  switch (activation) {
    case Activation::kIdentity:
      return v;
    case Activation::kRelu:
      return std::max(v, 0.0);
    case Activation::kTanh:
      return std::tanh(v);
    case Activation::kGelu:
      return v / 2.0 * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
    case Activation::kSoftplus:
      return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v)));
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-v));
  }
  return v;
}

/// log(1 + exp(l)).
double softplus(double l) { return std::max(l, 0.0) + std::log1p(std::exp(-std::abs(l))); }

void check_likelihood(const Likelihood& likelihood) {
  FELBO_CHECK(
      likelihood.family == LikelihoodFamily::kBernoulli || likelihood.family == LikelihoodFamily::kGaussian,
      "the grid integrates Bernoulli and Gaussian likelihoods");
}

Vector log_variances(const Vae& vae, std::span<const float> flat, const Vector& output) {
  const Likelihood& likelihood = vae.config().likelihood;
  const Eigen::Index X = vae.config().dimensions;
  const View<const float, 1> own = vae.own(View<const float, 1>(flat.data(), vae.table().size()));
  Vector log_var = Vector::Zero(X);
  for (Eigen::Index j = 0; j < X; ++j) {
    double v = 0.0;
    if (likelihood.variance == VarianceKind::kFixed) v = std::log(double(likelihood.fixed_variance));
    if (likelihood.variance == VarianceKind::kPerElement) v = output(X + j);
    if (!own.empty()) v = double(own(own.size == 1 ? 0 : j));
    const bool clamps = !own.empty() || likelihood.variance == VarianceKind::kPerElement;
    log_var(j) = clamps ? std::clamp(v, double(likelihood.clamp.lo), double(likelihood.clamp.hi)) : v;
  }
  return log_var;
}

/// log sum exp of those values that `use` says.
template <class Use>
double log_sum(const std::vector<double>& values, const Use& use) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (use(i)) largest = std::max(largest, values[i]);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (use(i)) sum += std::exp(values[i] - largest);
  return largest + std::log(sum);
}

}  // namespace

DecodedPoint decode_point(const Vae& vae, std::span<const float> flat, const Vector& z) {
  check_likelihood(vae.config().likelihood);
  const View<const float, 1> view{flat.data(), vae.table().size()};
  Vector h = z;
  for (const Layer& layer : vae.decoder().layers()) {
    const View<const float, 2> weight = matrix_of(view, vae.table()[layer.weight]);
    const View<const float, 1> bias = vector_of(view, vae.table()[layer.bias]);
    Vector y(layer.out);
    for (Eigen::Index o = 0; o < layer.out; ++o) {
      double sum = double(bias(o));
      for (Eigen::Index i = 0; i < layer.in; ++i) sum += h(i) * double(weight(i, o));
      y(o) = activate(layer.activation, sum);
    }
    h = y;
  }
  const Eigen::Index X = vae.config().dimensions;
  if (vae.config().likelihood.family == LikelihoodFamily::kBernoulli) return {h, {}};
  return {h.head(X), log_variances(vae, flat, h)};
}

double log_density(const Vae& vae, const DecodedPoint& point, const Vector& x) {
  double sum = 0.0;
  for (Eigen::Index j = 0; j < x.size(); ++j) {
    const double m = point.location(j);
    if (vae.config().likelihood.family == LikelihoodFamily::kBernoulli) {
      sum += x(j) * m - softplus(m);
    } else {
      const double e = x(j) - m;
      sum -= 0.5 * (kLog2Pi + point.log_var(j) + e * e * std::exp(-point.log_var(j)));
    }
  }
  return sum;
}

GridOracle::GridOracle(const Vae& vae, std::span<const float> flat, const GridOptions& options)
    : vae_(vae), options_(options) {
  const std::int64_t Z = vae.config().latent;
  FELBO_CHECK(Z == 1 || Z == 2, "the grid has 1 or 2 latent dimensions, the model {}", Z);
  const auto half = static_cast<std::int64_t>(std::llround(options.reach / options.step));
  FELBO_CHECK(options.step > 0 && half >= 2 && half % 2 == 0 &&
                  std::abs(double(half) * options.step - options.reach) < 1e-9,
              "reach {} is not a multiple of two steps of {}", options.reach, options.step);
  side_ = 2 * half + 1;
  const auto coordinate = [&](std::int64_t i) { return double(i - half) * options.step; };
  for (std::int64_t i = 0; i < side_; ++i) {
    for (std::int64_t j = 0; j < (Z == 2 ? side_ : 1); ++j) {
      Vector z(Z);
      z(0) = coordinate(i);
      if (Z == 2) z(1) = coordinate(j);
      z_.push_back(z);
      decoded_.push_back(decode_point(vae, flat, z));
    }
  }
}

bool GridOracle::coarse(std::size_t point) const {
  const auto p = static_cast<std::int64_t>(point);
  if (vae_.config().latent == 1) return p % 2 == 0;
  return (p / side_) % 2 == 0 && (p % side_) % 2 == 0;
}

std::vector<double> GridOracle::log_joint(const Vector& x) const {
  FELBO_CHECK(x.size() == vae_.config().dimensions, "a datum of {} numbers, the model has {}", x.size(),
              vae_.config().dimensions);
  std::vector<double> values;
  values.reserve(z_.size());
  for (std::size_t i = 0; i < z_.size(); ++i) {
    const double log_pz = -0.5 * (z_[i].squaredNorm() + double(z_[i].size()) * kLog2Pi);
    values.push_back(log_density(vae_, decoded_[i], x) + log_pz);
  }
  return values;
}

Quadrature GridOracle::log_px(const Vector& x) const {
  const std::vector<double> joint = log_joint(x);
  const double Z = double(vae_.config().latent), cell = Z * std::log(options_.step);
  const double fine = log_sum(joint, [](std::size_t) { return true; }) + cell;
  const double rough =
      log_sum(joint, [&](std::size_t i) { return coarse(i); }) + cell + Z * std::numbers::ln2;
  return {fine, std::abs(fine - rough)};
}

Gaussian GridOracle::posterior(const Vector& x) const {
  const std::vector<double> joint = log_joint(x);
  const double total = log_sum(joint, [](std::size_t) { return true; });
  const Eigen::Index Z = vae_.config().latent;
  Gaussian p{Vector::Zero(Z), Matrix::Zero(Z, Z)};
  for (std::size_t i = 0; i < z_.size(); ++i) p.mean += std::exp(joint[i] - total) * z_[i];
  for (std::size_t i = 0; i < z_.size(); ++i)
    p.covariance += std::exp(joint[i] - total) * (z_[i] - p.mean) * (z_[i] - p.mean).transpose();
  return p;
}

Quadrature GridOracle::elbo(const Vector& x, const Vector& mean, const Vector& variance) const {
  const std::vector<double> joint = log_joint(x);
  const double cell = std::pow(options_.step, double(mean.size()));
  double fine = 0.0, rough = 0.0;
  for (std::size_t i = 0; i < z_.size(); ++i) {
    const Vector e = z_[i] - mean;
    const double log_q = -0.5 * ((e.array().square() / variance.array()).sum() +
                                 variance.array().log().sum() + double(mean.size()) * kLog2Pi);
    const double term = cell * std::exp(log_q) * (joint[i] - log_q);
    fine += term;
    if (coarse(i)) rough += term * std::exp2(double(mean.size()));
  }
  return {fine, std::abs(fine - rough)};
}

}  // namespace felbo::oracle
