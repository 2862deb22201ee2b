#include "host/evaluate/latent.h"

#include <gtest/gtest.h>

#include <cmath>

namespace felbo {
namespace {

LatentDiagnostics diagnose(const std::vector<float>& posteriors, std::int64_t latent,
                           LogVarClamp clamp = {}) {
  LatentSums sums(latent, clamp);
  sums.add(posteriors);
  return sums.diagnose();
}

// Worked by hand: 0.1682008 and 0.2895504 nats are KLs to N(0, I) of two data with two dimensions each.
TEST(LatentDiagnostics, KlByDimension) {
  const LatentDiagnostics d = diagnose({0.25f, -0.5f, -0.2f, 0.1f,  //
                                        0.0f, -0.25f, -1.0f, 0.5f},
                                       2);
  const auto kl = [](double mu, double log_var) { return 0.5 * (mu * mu + std::exp(log_var) - log_var - 1); };
  ASSERT_EQ(d.kl.size(), 2u);
  EXPECT_NEAR(d.kl[0], (kl(0.25, -0.2f) + kl(0, -1)) / 2, 1e-15);
  EXPECT_NEAR(d.kl[1], (kl(-0.5, 0.1f) + kl(-0.25, 0.5)) / 2, 1e-15);
  EXPECT_NEAR(d.kl[0] + d.kl[1], (0.1682008 + 0.2895504) / 2, 1e-7);
}

TEST(LatentDiagnostics, VarianceOfTheMeanAndActiveUnits) {
  // Means 0, 1, 2 (variance 1); a constant far from 0; a spread of 0.2 (variance 0.04, up to rounding).
  const LatentDiagnostics d = diagnose({0, 1e4f, -0.2f, 0, 0, 0,  //
                                        1, 1e4f, 0.0f, 0, 0, 0,   //
                                        2, 1e4f, 0.2f, 0, 0, 0},
                                       3);
  EXPECT_DOUBLE_EQ(d.variance_of_mean[0], 1.0);
  EXPECT_EQ(d.variance_of_mean[1], 0.0);
  EXPECT_NEAR(d.variance_of_mean[2], 0.04, 1e-8);
  EXPECT_EQ(d.active(), 2);
  EXPECT_EQ(d.collapsed(), std::vector<std::int64_t>{1});
}

TEST(LatentDiagnostics, TheThresholdItselfIsNotActive) {
  const LatentDiagnostics d{.kl = {0, 0, 0}, .variance_of_mean = {0.01, 0.0101, 0.0099}};
  EXPECT_EQ(d.active(), 1);
  EXPECT_EQ(d.collapsed(), (std::vector<std::int64_t>{0, 2}));
}

TEST(LatentDiagnostics, OneDatumNeitherActsNorCollapses) {
  const LatentDiagnostics d = diagnose({1, 2, 0, 0}, 2);
  EXPECT_TRUE(std::isnan(d.variance_of_mean[0]));
  EXPECT_EQ(d.active(), 0);
  EXPECT_TRUE(d.collapsed().empty());
  EXPECT_DOUBLE_EQ(d.kl[1], 2.0);
}

TEST(LatentDiagnostics, UsesTheClampedLogVariance) {
  const double kl = 0.5 * (std::exp(-1.0) + 1.0 - 1.0);
  EXPECT_NEAR(diagnose({0, -9}, 1, {-1, 1}).kl[0], kl, 1e-15);
}

TEST(LatentDiagnostics, PiecesAddUp) {
  const std::vector<float> all{0.5f, 0.1f, 1.5f, -0.3f, -0.75f, 0.2f, 0.25f, 0.0f};
  LatentSums sums(1, {});
  sums.add({all.data(), 2});
  sums.add({all.data() + 2, 6});
  EXPECT_EQ(sums.diagnose().kl, diagnose(all, 1).kl);
  EXPECT_EQ(sums.diagnose().variance_of_mean, diagnose(all, 1).variance_of_mean);
}

TEST(LatentDiagnostics, ANanShows) {
  const LatentDiagnostics d = diagnose({0, 1, 0, 0, std::nanf(""), 2, 0, 0}, 2);
  EXPECT_TRUE(std::isnan(d.kl[0]) && std::isnan(d.variance_of_mean[0]));
  EXPECT_TRUE(std::isfinite(d.kl[1]));
  EXPECT_TRUE(d.collapsed().empty());
}

}  // namespace
}  // namespace felbo
