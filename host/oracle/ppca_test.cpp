#include "host/oracle/ppca.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "host/data/dataset.h"

namespace felbo::oracle {
namespace {

/// Rows of a mixing matrix times sines without a pattern: data in which every eigenvalue differs.
DataPart some_data(std::int64_t rows, std::int64_t cols) {
  DataPart part{.rows = rows, .cols = cols};
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) {
      double v = 0.1 * double(j);
      for (int k = 0; k <= j; ++k) v += std::sin(1.3 * double(i * (k + 2)) + 0.7 * k) / double(1 + j - k);
      part.floats.push_back(float(v));
    }
  }
  return part;
}

Matrix rows_of(const DataPart& part) {
  Matrix x(part.rows, part.cols);
  for (Eigen::Index i = 0; i < x.rows(); ++i)
    for (Eigen::Index j = 0; j < x.cols(); ++j) x(i, j) = part.floats[std::size_t(i * part.cols + j)];
  return x;
}

TEST(DataCovariance, ByHandDividedByN) {
  // (0, 0), (2, 0), (4, 6): mean (2, 2), deviations (-2, -2), (0, -2), (2, 4).
  const DataCovariance c = data_covariance({.rows = 3, .cols = 2, .floats = {0, 0, 2, 0, 4, 6}});
  EXPECT_DOUBLE_EQ(c.mean(0), 2);
  EXPECT_DOUBLE_EQ(c.mean(1), 2);
  EXPECT_DOUBLE_EQ(c.covariance(0, 0), 8.0 / 3);
  EXPECT_DOUBLE_EQ(c.covariance(0, 1), 4);
  EXPECT_DOUBLE_EQ(c.covariance(1, 0), 4);
  EXPECT_DOUBLE_EQ(c.covariance(1, 1), 8);
}

TEST(DataCovariance, BytesAreIntensitiesAndBlocksDoNotMatter) {
  // 1300 rows: two whole blocks and a part of one.
  DataPart bytes{.rows = 1300, .cols = 2};
  double sum = 0, square = 0;
  for (int i = 0; i < 1300; ++i) {
    bytes.bytes.push_back(static_cast<std::uint8_t>(i * 7 % 256));
    bytes.bytes.push_back(255);
    const double v = double(float(i * 7 % 256) / 255.0f);
    sum += v / 1300;
    square += v * v / 1300;
  }
  const DataCovariance c = data_covariance(bytes);
  EXPECT_NEAR(c.mean(0), sum, 1e-14);
  EXPECT_NEAR(c.covariance(0, 0), square - sum * sum, 1e-13);
  EXPECT_EQ(c.mean(1), 1.0);
  EXPECT_EQ(c.covariance(1, 1), 0.0);
}

// The value in closed form is the mean log-density of the data under the model that was found, and no other
// model in its neighbourhood does better.
TEST(Ppca, TheLikelihoodIsTheDensityOfTheDataAndAMaximum) {
  const DataPart part = some_data(200, 6);
  const Matrix x = rows_of(part);
  for (const int latent : {1, 2, 5}) {
    const Ppca ppca = fit_ppca(data_covariance(part), latent);
    const auto mean_log_px = [&](const Matrix& w, const Vector& mean, double variance) {
      LinearVae m = exact_linear_vae(ppca);
      m.w = w;
      m.b = mean;
      m.variance.setConstant(variance);
      const LinearOracle oracle(m);
      double sum = 0;
      for (Eigen::Index n = 0; n < x.rows(); ++n) sum += oracle.log_px(x.row(n)) / double(x.rows());
      return sum;
    };
    EXPECT_NEAR(mean_log_px(ppca.w, ppca.mean, ppca.variance), ppca.log_px, 1e-11);
    for (const double factor : {0.98, 1.02}) {
      EXPECT_LT(mean_log_px(factor * ppca.w, ppca.mean, ppca.variance), ppca.log_px);
      EXPECT_LT(mean_log_px(ppca.w, factor * ppca.mean, ppca.variance), ppca.log_px);
      EXPECT_LT(mean_log_px(ppca.w, ppca.mean, factor * ppca.variance), ppca.log_px);
    }
    Matrix turned = ppca.w;
    turned.col(0) += 0.02 * Vector::Ones(6);
    EXPECT_LT(mean_log_px(turned, ppca.mean, ppca.variance), ppca.log_px);
  }
}

TEST(Ppca, ItsLinearVaeHasTheExactPosterior) {
  const DataPart part = some_data(50, 5);
  const Ppca ppca = fit_ppca(data_covariance(part), 3);
  const LinearOracle oracle(exact_linear_vae(ppca));
  double elbo = 0;
  for (Eigen::Index n = 0; n < 50; ++n) {
    EXPECT_NEAR(oracle.kl_to_posterior(rows_of(part).row(n)), 0, 1e-10);
    elbo += oracle.elbo(rows_of(part).row(n)) / 50;
  }
  EXPECT_NEAR(elbo, ppca.log_px, 1e-10);
  // At the maximum over all parameters the gradient of the ELBO is zero, the encoder's included.
  const LinearVaeGradient g = oracle.gradient(rows_of(part));
  for (const double norm : {g.w.norm(), g.b.norm(), std::abs(g.log_variance.sum()), g.a.norm(), g.c.norm(),
                            g.u_x.norm(), g.u.norm()})
    EXPECT_NEAR(norm, 0, 1e-9);
}

TEST(Ppca, EachLatentDimensionAddsLikelihood) {
  const DataCovariance data = data_covariance(some_data(300, 8));
  double last = -INFINITY;
  for (int latent = 1; latent < 8; ++latent) {
    const Ppca ppca = fit_ppca(data, latent);
    EXPECT_GT(ppca.log_px, last);
    last = ppca.log_px;
  }
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Ppca, SparseRowsHaveTheCovarianceOfTheDenseOnes) {
  DataPart dense, sparse;
  dense.rows = sparse.rows = 3;
  dense.cols = sparse.cols = 4;
  dense.floats = {0, 2, 0, 1, 0, 0, 0, 0, 3, 0, 0, 0};
  sparse.sparse = CsrRows{{0, 2, 2, 3}, {1, 3, 0}, {2, 1, 3}};
  const DataCovariance got = data_covariance(sparse), want = data_covariance(dense);
  EXPECT_EQ(got.mean, want.mean);
  EXPECT_EQ(got.covariance, want.covariance);
}

TEST(Ppca, Refuses) {
  const DataCovariance data = data_covariance(some_data(20, 4));
  for (const int latent : {0, 4, 5})
    EXPECT_NE(refusal([&] { fit_ppca(data, latent); }).find("needs 1 to 3 latent ones"), std::string::npos);
  // Three rows lie in a plane.
  const DataCovariance plane = data_covariance(some_data(3, 6));
  EXPECT_NO_THROW(fit_ppca(plane, 1));
  EXPECT_NE(refusal([&] { fit_ppca(plane, 2); }).find("lie in 2 dimensions"), std::string::npos);
  EXPECT_NE(refusal([&] { data_covariance({}); }).find("0 rows"), std::string::npos);
}

// --- Real data: figures of an independent implementation (numpy)

class RealData : public ::testing::Test {
 protected:
  DataPart train(const std::string& name) {
    const char* folder = std::getenv("FELBO_DATA_DIR");
    const auto path = std::filesystem::path(folder == nullptr ? "" : folder) / name;
    if (folder == nullptr || !std::filesystem::exists(path)) return {};
    return load_data(path.string()).train;
  }
};
#define FELBO_NEEDS(part) \
  if ((part).rows == 0) GTEST_SKIP() << "NOT CHECKED on real data: set FELBO_DATA_DIR to a folder with it"

TEST_F(RealData, FreyFaces) {
  const DataPart frey = train("frey");
  FELBO_NEEDS(frey);
  const DataCovariance data = data_covariance(frey);
  const Ppca ten = fit_ppca(data, 10), twenty = fit_ppca(data, 20);
  EXPECT_NEAR(ten.log_px, 754.5507, 5e-5);
  EXPECT_NEAR(ten.variance, 0.0036491, 5e-8);
  EXPECT_NEAR(twenty.log_px, 861.5695, 5e-5);
  EXPECT_NEAR(twenty.variance, 0.0023230, 5e-8);
}

TEST_F(RealData, Mnist) {
  const DataPart mnist = train("mnist");
  FELBO_NEEDS(mnist);
  EXPECT_NEAR(fit_ppca(data_covariance(mnist), 20).log_px, 299.7584, 5e-5);
}

}  // namespace
}  // namespace felbo::oracle
