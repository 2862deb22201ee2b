#include "host/oracle/ppca.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace felbo::oracle {
namespace {

constexpr std::int64_t kBlock = 512;  // rows at a time: a product instead of as many outer products

Matrix sparse_rows_of(const DataPart& part, std::int64_t first, std::int64_t count) {
  Matrix rows = Matrix::Zero(count, part.cols);
  const CsrRows& csr = *part.sparse;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(first + i);
    for (std::int64_t e = csr.begin[row]; e < csr.begin[row + 1]; ++e)
      rows(i, csr.column[static_cast<std::size_t>(e)]) = double(csr.value[static_cast<std::size_t>(e)]);
  }
  return rows;
}

/// Rows first ... first + count - 1 as a model sees them, (count, X).
Matrix rows_of(const DataPart& part, std::int64_t first, std::int64_t count) {
  if (part.is_sparse()) return sparse_rows_of(part, first, count);
  Matrix rows(count, part.cols);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < part.cols; ++j) {
      const auto at = static_cast<std::size_t>((first + i) * part.cols + j);
      // The division in float: what the gather op gives the model.
      rows(i, j) = double(part.is_bytes() ? float(part.bytes[at]) / 255.0f : part.floats[at]);
    }
  }
  return rows;
}

template <class F>
void for_each_block(const DataPart& part, const F& f) {
  for (std::int64_t first = 0; first < part.rows; first += kBlock)
    f(rows_of(part, first, std::min(kBlock, part.rows - first)));
}

}  // namespace

DataCovariance data_covariance(const DataPart& part) {
  FELBO_CHECK(part.rows >= 1 && part.cols >= 1, "the covariance of {} rows of {} columns is not defined",
              part.rows, part.cols);
  DataCovariance data{Vector::Zero(part.cols), Matrix::Zero(part.cols, part.cols)};
  for_each_block(part, [&](const Matrix& rows) { data.mean += rows.colwise().sum(); });
  data.mean /= double(part.rows);
  for_each_block(part, [&](const Matrix& rows) {
    const Matrix centred = rows.rowwise() - data.mean.transpose();
    data.covariance.selfadjointView<Eigen::Lower>().rankUpdate(centred.transpose());
  });
  data.covariance = Matrix(data.covariance.selfadjointView<Eigen::Lower>()) / double(part.rows);
  return data;
}

Ppca fit_ppca(const DataCovariance& data, std::int64_t latent) {
  const Eigen::Index X = data.mean.size();
  FELBO_CHECK(latent >= 1 && latent < X,
              "probabilistic PCA of {} dimensions needs 1 to {} latent ones, got {}", X, X - 1, latent);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(data.covariance);  // eigenvalues ascending
  const Vector largest = solver.eigenvalues().tail(latent).reverse();
  Ppca ppca{.mean = data.mean, .w = {}, .variance = solver.eigenvalues().head(X - latent).mean()};
  // Eigenvalues that are 0 come out as rounding errors of the largest.
  FELBO_CHECK(ppca.variance > 1e-14 * double(X) * largest(0),
              "the data lie in {} dimensions: no variance is left, and the likelihood has no bound", latent);
  const Vector length = (largest.array() - ppca.variance).max(0.0).sqrt();
  ppca.w = solver.eigenvectors().rightCols(latent).rowwise().reverse() * length.asDiagonal();
  ppca.log_px = -0.5 * (double(X) * (std::log(2.0 * std::numbers::pi) + 1.0) + largest.array().log().sum() +
                        double(X - latent) * std::log(ppca.variance));
  return ppca;
}

LinearVae exact_linear_vae(const Ppca& ppca) {
  const Eigen::Index X = ppca.w.rows(), Z = ppca.w.cols();
  // The diagonal of M = I + W^T W / sigma^2, which has no other entries.
  const Vector precision = 1.0 + ppca.w.colwise().squaredNorm().transpose().array() / ppca.variance;
  LinearVae model{.w = ppca.w, .b = ppca.mean, .variance = Vector::Constant(X, ppca.variance)};
  model.a = (precision * ppca.variance).cwiseInverse().asDiagonal() * ppca.w.transpose();
  model.c = -model.a * ppca.mean;
  model.u_x = Matrix::Zero(Z, X);
  model.u = -precision.array().log();
  return model;
}

}  // namespace felbo::oracle
