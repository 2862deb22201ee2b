#include "host/oracle/oracle_case.h"

#include <fmt/format.h>

#include <Eigen/QR>
#include <cmath>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"

namespace felbo::oracle {
namespace {

// The sample index of the noise stream tells apart what is drawn.
enum Draw : std::uint32_t { kRow = 0, kWeight, kBias, kLogVariance, kMean, kShift, kSpread, kOffset };

double normal(std::uint64_t seed, std::uint32_t datum, Draw draw, Eigen::Index index) {
  const NoiseStream stream{seed, /*step=*/0, Purpose::kData};
  const auto block = static_cast<std::uint32_t>(index / 4);
  return double(normals_from_words(stream.words(datum, draw, block))[static_cast<int>(index % 4)]);
}

Matrix normals(std::uint64_t seed, Draw draw, Eigen::Index rows, Eigen::Index cols, double size) {
  Matrix out(rows, cols);
  for (Eigen::Index i = 0; i < out.size(); ++i) out.data()[i] = size * normal(seed, 0, draw, i);
  return out;
}

Vector variances(const OracleCase& which, const Likelihood& likelihood, std::uint64_t seed) {
  const Eigen::Index X = which.dimensions;
  if (likelihood.variance == VarianceKind::kUnit) return Vector::Ones(X);
  if (likelihood.variance == VarianceKind::kFixed)
    return Vector::Constant(X, double(likelihood.fixed_variance));
  const Vector log_variance = normals(seed, kLogVariance, X, 1, 0.3).array() - 0.7;
  if (likelihood.variance == VarianceKind::kPerDimension) return log_variance.array().exp();
  return Vector::Constant(X, std::exp(log_variance(0)));
}

/// Columns that are orthogonal in the metric of D^-1, of lengths 0.7 to 1.7: W^T D^-1 W is diagonal, and so
/// is the posterior's covariance.
Matrix orthogonal(const Matrix& w, const Vector& variance) {
  const Eigen::HouseholderQR<Matrix> qr(w);
  Matrix basis = qr.householderQ() * Matrix::Identity(w.rows(), w.cols());
  for (Eigen::Index k = 0; k < w.cols(); ++k) basis.col(k) *= 0.7 + 1.0 / double(k + 1);
  return variance.cwiseSqrt().asDiagonal() * basis;
}

/// Sets q(z|x) to p(z|x), or where that has correlations to its marginals.
void set_posterior(LinearVae& m) {
  const Matrix scaled = m.variance.cwiseInverse().asDiagonal() * m.w;
  const Matrix precision = Matrix::Identity(m.latent(), m.latent()) + m.w.transpose() * scaled;
  const Matrix covariance = precision.inverse();
  m.a = covariance * scaled.transpose();
  m.c = -m.a * m.b;
  m.u_x = Matrix::Zero(m.latent(), m.dimensions());
  m.u = covariance.diagonal().array().log();
}

/// Shifts q(z|x) off the posterior's mean and widens it, by amounts that depend on x: the weights then have a
/// small variance, and every parameter a gradient.
void move_posterior(LinearVae& m, std::uint64_t seed) {
  const Eigen::Index X = m.dimensions(), Z = m.latent();
  m.a += normals(seed, kMean, Z, X, 0.1 / std::sqrt(double(X)));
  m.c.array() += 0.3 + normals(seed, kShift, Z, 1, 0.1).array();
  m.u_x = normals(seed, kSpread, Z, X, 0.05 / std::sqrt(double(X)));
  m.u.array() += 0.5;
}

LinearVae make_model(const OracleCase& which, const Likelihood& likelihood, Encoder encoder,
                     std::uint64_t seed) {
  const Eigen::Index X = which.dimensions, Z = which.latent;
  LinearVae m{.w = normals(seed, kWeight, X, Z, 1.0 / std::sqrt(double(X))),
              .b = normals(seed, kBias, X, 1, 0.5),
              .variance = variances(which, likelihood, seed)};
  if (encoder == Encoder::kExact) m.w = orthogonal(m.w, m.variance);
  set_posterior(m);
  if (encoder == Encoder::kOther) move_posterior(m, seed);
  return m;
}

/// x = 1.4 W z + b' + (2 D)^1/2 e of each row, rounded to float, b' off b: data that the model does not fit.
/// Its gradients are then far from 0 against their noise, and log p(x) differs from datum to datum.
DataPart draw(const LinearVae& m, std::int64_t rows, std::uint64_t seed) {
  const Vector offset = m.b + normals(seed, kOffset, m.dimensions(), 1, 0.8);
  DataPart part{.rows = rows, .cols = m.dimensions()};
  for (std::int64_t n = 0; n < rows; ++n) {
    Vector noise(m.latent() + m.dimensions());  // z, then e
    for (Eigen::Index i = 0; i < noise.size(); ++i)
      noise(i) = normal(seed, static_cast<std::uint32_t>(n), kRow, i);
    const Vector e = noise.tail(m.dimensions()).cwiseProduct((2.0 * m.variance).cwiseSqrt());
    const Vector x = 1.4 * m.w * noise.head(m.latent()) + offset + e;
    for (const double v : x) part.floats.push_back(static_cast<float>(v));
  }
  return part;
}

}  // namespace

std::vector<OracleCase> oracle_cases() {
  return {{3, 1, "unit", 1.0f},
          {8, 2, "fixed:0.5", 1.0f},
          {8, 2, "learned", 0.5f},
          {12, 5, "per-dimension", 1.0f}};
}

Vector OracleModel::x(std::int64_t n) const {
  return Eigen::Map<const Eigen::VectorXf>(data.floats.data() + n * data.cols, data.cols).cast<double>();
}

Matrix OracleModel::rows() const {
  Matrix all(data.rows, data.cols);
  for (std::int64_t n = 0; n < data.rows; ++n) all.row(n) = x(n);
  return all;
}

OracleModel make_oracle_model(const OracleCase& which, Encoder encoder, std::int64_t rows,
                              std::uint64_t seed) {
  const Vae vae({.dimensions = which.dimensions,
                 .latent = which.latent,
                 .likelihood = likelihood_from_names("gaussian", which.variance, {})});
  const LinearVae model = make_model(which, vae.config().likelihood, encoder, seed);
  const std::vector<float> flat = flat_parameters(vae, model);
  const char* kind = encoder == Encoder::kExact ? "exact q" : "other q";
  return {.name = fmt::format("Z={}, {}, {}", which.latent, which.variance, kind),
          .vae = vae,
          .flat = flat,
          .data = draw(model, rows, seed),
          .oracle = LinearOracle(linear_vae(vae, flat))};
}

}  // namespace felbo::oracle
