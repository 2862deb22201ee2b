#include "host/data/linear_gaussian.h"

#include <cmath>
#include <numbers>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"

namespace felbo {
namespace {

// The sample index of the noise stream tells apart what is drawn.
enum Draw : std::uint32_t { kRow = 0, kWeight = 1, kBias = 2 };

/// Element `index` of a vector of standard normals.
double normal(std::uint64_t seed, std::uint32_t datum, Draw draw, std::int64_t index) {
  const NoiseStream stream{seed, /*step=*/0, Purpose::kData};
  const Normals4 four = normals_from_words(stream.words(datum, draw, static_cast<std::uint32_t>(index / 4)));
  return four[static_cast<int>(index % 4)];
}

/// Lower Cholesky factor of sigma^2 I + W^T W, (Z, Z) row-major.
std::vector<double> cholesky_factor(const LinearGaussian& m) {
  const std::int64_t n = m.latent;
  std::vector<double> l(static_cast<std::size_t>(n * n), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? m.sigma * m.sigma : 0.0;
      for (std::int64_t k = 0; k < m.cols; ++k) sum += m.w[k * n + i] * m.w[k * n + j];
      for (std::int64_t k = 0; k < j; ++k) sum -= l[i * n + k] * l[j * n + k];
      l[i * n + j] = i == j ? std::sqrt(sum) : sum / l[j * n + j];
    }
  }
  return l;
}

/// log det(W W^T + sigma^2 I) = (X - Z) log sigma^2 + log det(sigma^2 I + W^T W).
double log_determinant(const LinearGaussian& m, const std::vector<double>& l) {
  double sum = static_cast<double>(m.cols - m.latent) * std::log(m.sigma * m.sigma);
  for (std::int64_t i = 0; i < m.latent; ++i) sum += 2.0 * std::log(l[i * m.latent + i]);
  return sum;
}

/// d^T (W W^T + sigma^2 I)^-1 d = (|d|^2 - |L^-1 W^T d|^2) / sigma^2 with d = x - b.
double mahalanobis(const LinearGaussian& m, const std::vector<double>& l, const float* x) {
  std::vector<double> v(static_cast<std::size_t>(m.latent), 0.0);
  double square = 0.0;
  for (std::int64_t k = 0; k < m.cols; ++k) {
    const double d = x[k] - m.b[k];
    square += d * d;
    for (std::int64_t i = 0; i < m.latent; ++i) v[i] += m.w[k * m.latent + i] * d;
  }
  for (std::int64_t i = 0; i < m.latent; ++i) {
    for (std::int64_t j = 0; j < i; ++j) v[i] -= l[i * m.latent + j] * v[j];
    v[i] /= l[i * m.latent + i];
    square -= v[i] * v[i];
  }
  return square / (m.sigma * m.sigma);
}

DataPart draw_part(const LinearGaussian& m, std::uint64_t seed, std::int64_t first, std::int64_t rows) {
  DataPart part;
  part.rows = rows;
  part.cols = m.cols;
  part.shape = {8, 8};
  part.floats.resize(static_cast<std::size_t>(rows * m.cols));
  std::vector<double> noise(static_cast<std::size_t>(m.latent + m.cols));  // z, then e
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < noise.size(); ++k) {
      noise[k] = normal(seed, static_cast<std::uint32_t>(first + i), kRow, static_cast<std::int64_t>(k));
    }
    for (std::int64_t j = 0; j < m.cols; ++j) {
      double x = m.b[j] + m.sigma * noise[m.latent + j];
      for (std::int64_t k = 0; k < m.latent; ++k) x += m.w[j * m.latent + k] * noise[k];
      part.floats[i * m.cols + j] = static_cast<float>(x);
    }
  }
  part.exact_log_px = exact_log_px(m, part.float_view());
  return part;
}

}  // namespace

LinearGaussian make_linear_gaussian(std::uint64_t seed) {
  LinearGaussian m;
  m.cols = 64;
  m.latent = 8;
  m.sigma = 0.5;
  for (std::int64_t i = 0; i < m.cols * m.latent; ++i) m.w.push_back(0.5 * normal(seed, 0, kWeight, i));
  for (std::int64_t i = 0; i < m.cols; ++i) m.b.push_back(0.25 * normal(seed, 0, kBias, i));
  return m;
}

std::vector<double> exact_log_px(const LinearGaussian& model, View<const float, 2> x) {
  FELBO_CHECK(x.cols == model.cols, "the data have {} columns, the linear-Gaussian model {}", x.cols,
              model.cols);
  FELBO_CHECK(model.sigma > 0.0, "sigma of the linear-Gaussian model is {}; expected more than 0",
              model.sigma);
  const std::vector<double> l = cholesky_factor(model);
  const double constant =
      static_cast<double>(model.cols) * std::log(2.0 * std::numbers::pi) + log_determinant(model, l);
  std::vector<double> log_px;
  for (std::int64_t i = 0; i < x.rows; ++i)
    log_px.push_back(-0.5 * (constant + mahalanobis(model, l, x.row(i))));
  return log_px;
}

DataSet linear_gaussian_data(std::uint64_t seed) {
  const LinearGaussian model = make_linear_gaussian(seed);
  DataSet set;
  set.train = draw_part(model, seed, 0, kLinearGaussianTrainRows);
  set.test = draw_part(model, seed, kLinearGaussianTrainRows, kLinearGaussianTestRows);
  return set;
}

}  // namespace felbo
