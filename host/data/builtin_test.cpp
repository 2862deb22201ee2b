#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include "host/data/glyphs.h"
#include "host/data/linear_gaussian.h"
#include "host/data/test_files.h"

namespace felbo {
namespace {

/// FNV-1a, 64 bits.
class Hash {
 public:
  Hash& add(const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ static_cast<const std::uint8_t*>(data)[i]) * 0x100000001b3u;
    }
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

class Glyphs : public testing::Test {
 protected:
  static void SetUpTestSuite() { set_ = new DataSet(glyph_data(0)); }
  static void TearDownTestSuite() { delete set_; }
  static DataSet* set_;
};
DataSet* Glyphs::set_ = nullptr;

TEST_F(Glyphs, HaveTheirSizes) {
  for (const DataPart* part : {&set_->train, &*set_->test}) {
    EXPECT_EQ(part->rows, part == &set_->train ? 20000 : 4000);
    EXPECT_EQ(part->shape, (ImageShape{28, 28}));
    EXPECT_EQ(part->cols, 784);
    EXPECT_EQ(part->bytes.size(), static_cast<std::size_t>(part->rows * 784));
  }
  EXPECT_FALSE(set_->valid.has_value());
}

TEST_F(Glyphs, AreTheSameEverywhere) {
  Hash hash;
  hash.add(set_->train.bytes.data(), set_->train.bytes.size());
  hash.add(set_->test->bytes.data(), set_->test->bytes.size());
  EXPECT_EQ(hash.value(), 0x59aa6862da74ab7u);
}

TEST_F(Glyphs, AreAFunctionOfSeedAndIndex) {
  const auto last = draw_glyph(0, 23999);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), set_->test->bytes.end() - 784));
  EXPECT_NE(draw_glyph(0, 7), draw_glyph(1, 7));
  EXPECT_NE(draw_glyph(0, 7), draw_glyph(std::uint64_t{1} << 32, 7));
  std::set<std::uint64_t> pictures;
  for (std::int64_t i = 0; i < 20000; ++i)
    pictures.insert(Hash().add(set_->train.byte_view().row(i), 784).value());
  for (std::int64_t i = 0; i < 4000; ++i)
    pictures.insert(Hash().add(set_->test->byte_view().row(i), 784).value());
  EXPECT_EQ(pictures.size(), 24000u) << "pictures repeat";
}

TEST_F(Glyphs, StayOnThePaperAndUseItsRange) {
  const auto rows = set_->train.byte_view();
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    int edge = 0;
    for (int k = 0; k < 28; ++k) {
      edge = std::max({edge, int{rows(i, k)}, int{rows(i, 27 * 28 + k)}, int{rows(i, k * 28)},
                       int{rows(i, k * 28 + 27)}});
    }
    ASSERT_LT(edge, 255) << "picture " << i << " runs off the paper";
    // The thinnest pen, half-way between two pixels, leaves 0.7 of full ink.
    ASSERT_GE(*std::max_element(rows.row(i), rows.row(i) + 784), 178) << "picture " << i << " is faint";
    ASSERT_EQ(*std::min_element(rows.row(i), rows.row(i) + 784), 0);
  }
}

TEST_F(Glyphs, AreTheDigitsInTurn) {
  // Each test picture is compared with the mean picture of each digit of the train part. Were the digits not
  // in turn, or not alike, one in ten would be right.
  std::vector<std::array<double, 784>> means(10);
  const auto train = set_->train.byte_view(), test = set_->test->byte_view();
  for (std::int64_t i = 0; i < train.rows; ++i) {
    for (int j = 0; j < 784; ++j) means[i % 10][j] += train(i, j) / 2000.0;
  }
  std::array<int, 10> right{};
  for (std::int64_t i = 0; i < test.rows; ++i) {
    std::array<double, 10> distance{};
    for (int d = 0; d < 10; ++d) {
      for (int j = 0; j < 784; ++j) distance[d] += (test(i, j) - means[d][j]) * (test(i, j) - means[d][j]);
    }
    right[i % 10] += std::min_element(distance.begin(), distance.end()) - distance.begin() == i % 10;
  }
  for (int d = 0; d < 10; ++d) EXPECT_GT(right[d], 200) << "of 400 pictures of digit " << d;
}

/// log N(x; b, W W^T + sigma^2 I) by the dense covariance: its own Cholesky factor, forward substitution.
class DenseGaussian {
 public:
  explicit DenseGaussian(const LinearGaussian& m) : n_(m.cols), mean_(m.b), l_(n_ * n_, 0.0) {
    for (std::int64_t i = 0; i < n_; ++i) {
      for (std::int64_t j = 0; j < n_; ++j) {
        for (std::int64_t k = 0; k < m.latent; ++k)
          l_[i * n_ + j] += m.w[i * m.latent + k] * m.w[j * m.latent + k];
      }
      l_[i * n_ + i] += m.sigma * m.sigma;
    }
    factorise();
  }
  double log_det() const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < n_; ++i) sum += 2.0 * std::log(l_[i * n_ + i]);
    return sum;
  }
  double log_p(const float* x) const {
    std::vector<double> y(n_);
    double square = 0.0;
    for (std::int64_t i = 0; i < n_; ++i) {
      y[i] = x[i] - mean_[i];
      for (std::int64_t j = 0; j < i; ++j) y[i] -= l_[i * n_ + j] * y[j];
      y[i] /= l_[i * n_ + i];
      square += y[i] * y[i];
    }
    return -0.5 * (static_cast<double>(n_) * std::log(2.0 * std::numbers::pi) + log_det() + square);
  }

 private:
  /// Right-looking Cholesky, in place; the upper triangle is left as it was.
  void factorise() {
    for (std::int64_t k = 0; k < n_; ++k) {
      l_[k * n_ + k] = std::sqrt(l_[k * n_ + k]);
      for (std::int64_t i = k + 1; i < n_; ++i) l_[i * n_ + k] /= l_[k * n_ + k];
      for (std::int64_t j = k + 1; j < n_; ++j) {
        for (std::int64_t i = j; i < n_; ++i) l_[i * n_ + j] -= l_[i * n_ + k] * l_[j * n_ + k];
      }
    }
  }
  std::int64_t n_;
  std::vector<double> mean_;
  std::vector<double> l_;
};

TEST(LinearGaussianData, HasItsSizes) {
  const DataSet set = linear_gaussian_data(0);
  EXPECT_EQ(set.train.rows, 20000);
  EXPECT_EQ(set.test.value().rows, 4000);
  EXPECT_EQ(set.train.cols, 64);
  EXPECT_EQ(set.train.shape, (ImageShape{8, 8}));
  EXPECT_EQ(set.train.floats.size(), 20000u * 64u);
  EXPECT_EQ(set.train.exact_log_px.size(), 20000u);
  EXPECT_EQ(set.test->exact_log_px.size(), 4000u);
  EXPECT_NE(set.train.floats[0], set.test->floats[0]);
}

TEST(LinearGaussianData, IsTheSameEverywhere) {
  const DataSet set = linear_gaussian_data(0);
  Hash hash;
  hash.add(set.train.floats.data(), set.train.floats.size() * sizeof(float));
  hash.add(set.test->floats.data(), set.test->floats.size() * sizeof(float));
  EXPECT_EQ(hash.value(), 0x6fb4e81f565ca110u);
  EXPECT_NE(set.train.floats, linear_gaussian_data(1).train.floats);
}

TEST(LinearGaussianData, ExactLogPxAgreesWithTheDenseCovariance) {
  for (const std::uint64_t seed : {0u, 5u}) {
    const DenseGaussian dense(make_linear_gaussian(seed));
    const DataSet set = linear_gaussian_data(seed);
    for (std::int64_t i = 0; i < 500; ++i) {
      const double want = dense.log_p(set.train.float_view().row(i));
      // Both sides sum about a thousand terms of size up to 1e3 in double: 1e3 * 1e3 * 2^-52, rounded up.
      const double error = std::abs(set.train.exact_log_px[i] - want);
      ASSERT_TRUE(error <= 1e-9) << "row " << i << ": " << set.train.exact_log_px[i] << " against " << want;
    }
  }
}

TEST(LinearGaussianData, ExactLogPxHoldsForOtherShapes) {
  const std::vector<float> x = {0.5f, -1.0f, 2.0f, 0.25f, 0.0f, 1.5f, -0.5f, 1.0f, 0.0f, 3.0f};
  for (const std::int64_t latent : {1, 3, 5, 7}) {
    LinearGaussian m{5, latent, {}, {0.1, -0.2, 0.3, 0.0, 1.0}, 0.7};
    for (std::int64_t i = 0; i < 5 * latent; ++i) m.w.push_back(0.3 * static_cast<double>(i % 7) - 0.8);
    const View<const float, 2> rows(x.data(), 2, 5);
    const std::vector<double> got = exact_log_px(m, rows);
    const DenseGaussian dense(m);
    ASSERT_EQ(got.size(), 2u);
    for (int i = 0; i < 2; ++i) EXPECT_NEAR(got[i], dense.log_p(rows.row(i)), 1e-11);
  }
}

TEST(LinearGaussianData, MeanLogPxIsMinusTheEntropy) {
  // E log p(x) = -(X log 2 pi + log det + X) / 2, and log p(x) has variance X / 2 whatever W.
  const LinearGaussian model = make_linear_gaussian(0);
  const DataSet set = linear_gaussian_data(0);
  const double want =
      -0.5 * (64.0 * std::log(2.0 * std::numbers::pi) + DenseGaussian(model).log_det() + 64.0);
  for (const DataPart* part : {&set.train, &*set.test}) {
    double sum = 0.0, squares = 0.0;
    for (const double v : part->exact_log_px) {
      sum += v;
      squares += (v - want) * (v - want);
    }
    const auto n = static_cast<double>(part->rows);
    EXPECT_NEAR(sum / n, want, 4.0 * std::sqrt(32.0 / n));
    // The variance's own standard error is at most 0.07 of it at 4000 rows: (kurtosis - 1) / n, kurtosis
    // below 4.
    EXPECT_NEAR(squares / n, 32.0, 0.14 * 32.0);
  }
}

TEST(LinearGaussianData, RefusesOtherWidths) {
  const std::vector<float> x(6, 0.0f);
  test::expect_bad_input(
      [&] {
        exact_log_px(make_linear_gaussian(0), {x.data(), 2, 3});
      },
      {"3 columns", "64"});
  LinearGaussian flat{3, 1, {1, 1, 1}, {0, 0, 0}, 0.0};
  test::expect_bad_input([&] { exact_log_px(flat, {x.data(), 2, 3}); }, {"sigma", "more than 0"});
}

}  // namespace
}  // namespace felbo
