// p(z) of samplers: densities by hand, gradients by differences, draws by their components.
#include "host/evaluate/latent_prior.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/harness/exec.h"

namespace felbo {
namespace {

/// Two unlike components in three dimensions.
LearnedPrior two() {
  return {.components = 2,
          .latent = 3,
          .mu = {1.0f, -0.5f, 0.0f, -2.0f, 0.25f, 1.5f},
          .log_var = {-0.5f, 0.4f, 1.0f, 0.2f, -1.0f, -0.3f},
          .share = {0.3, 0.7}};
}

/// The density of a mixture, multiplied out.
double density(const LearnedPrior& prior, const std::vector<double>& z) {
  double whole = 0;
  for (std::size_t k = 0; k < prior.share.size(); ++k) {
    double part = prior.share[k];
    for (std::size_t d = 0; d < z.size(); ++d) {
      const double mu = double{prior.mu[k * z.size() + d]},
                   variance = std::exp(double{prior.log_var[k * z.size() + d]});
      part *=
          std::exp(-(z[d] - mu) * (z[d] - mu) / (2 * variance)) / std::sqrt(2 * std::numbers::pi * variance);
    }
    whole += part;
  }
  return whole;
}

const std::vector<double> kPoints[] = {{0.0, 0.0, 0.0}, {1.2, -0.7, 0.4}, {-2.5, 0.1, 1.9}, {4.0, 3.0, -5.0}};

// Both sides are in double: a dozen roundings of numbers up to 40.
TEST(LatentPriors, DensitiesByHand) {
  LearnedPrior one = two();
  one = {.components = 1, .latent = 3, .mu = one.mu, .log_var = one.log_var, .share = {1.0}};
  one.mu.resize(3);
  one.log_var.resize(3);
  const LearnedPrior normal{
      .components = 1, .latent = 3, .mu = {0, 0, 0}, .log_var = {0, 0, 0}, .share = {1.0}};
  for (const std::vector<double>& z : kPoints) {
    for (const LearnedPrior& prior : {two(), one})
      EXPECT_NEAR(LatentPrior(prior).log_density(z.data()), std::log(density(prior, z)), 1e-12);
    EXPECT_NEAR(LatentPrior(3).log_density(z.data()), std::log(density(normal, z)), 1e-12);
  }
}

// Far from every component no density is representable, and its logarithm is.
TEST(LatentPriors, LogDensitiesDoNotUnderflow) {
  const std::vector<double> far{60.0, -60.0, 60.0};
  const double value = LatentPrior(two()).log_density(far.data());
  EXPECT_LT(value, -1000);
  EXPECT_TRUE(std::isfinite(value));
  std::vector<double> gradient(3);
  LatentPrior(two()).gradient(far.data(), gradient.data());
  for (const double g : gradient) EXPECT_TRUE(std::isfinite(g));
}

// Central differences with a step of 1e-5: an error of 1e-10 of the third derivative, and of 1e-16 * 40 /
// 1e-5.
TEST(LatentPriors, GradientsByCentralDifferences) {
  for (const LatentPrior& prior : {LatentPrior(two()), LatentPrior(3)}) {
    for (std::vector<double> z : kPoints) {
      std::vector<double> gradient(3);
      prior.gradient(z.data(), gradient.data());
      for (std::size_t d = 0; d < 3; ++d) {
        const double at = z[d];
        z[d] = at + 1e-5;
        const double above = prior.log_density(z.data());
        z[d] = at - 1e-5;
        const double below = prior.log_density(z.data());
        z[d] = at;
        EXPECT_NEAR(gradient[d], (above - below) / 2e-5, 1e-8);
      }
    }
  }
}

TEST(LatentPriors, DrawsComeFromTheComponentOfTheUniform) {
  const LearnedPrior prior = two();
  for (const auto& [uniform, k] : {std::pair{0.0, 0}, {0.2999, 0}, {0.3001, 1}, {0.9999, 1}}) {
    std::vector<double> z{0.5, -1.0, 2.0};
    const std::vector<double> normals = z;
    LatentPrior(prior).from_normals(uniform, z.data());
    for (std::size_t d = 0; d < 3; ++d) {
      const std::size_t i = static_cast<std::size_t>(k) * 3 + d;
      EXPECT_NEAR(z[d], double{prior.mu[i]} + std::exp(double{prior.log_var[i]} / 2) * normals[d], 1e-12);
    }
  }
  std::vector<double> z{0.5, -1.0, 2.0};
  LatentPrior(3).from_normals(0.7, z.data());
  EXPECT_EQ(z, (std::vector<double>{0.5, -1.0, 2.0}));
}

// The variance of a mixture: E[variance] + variance of the means, here of dimension 0.
TEST(LatentPriors, DeviationsAreThoseOfTheWhole) {
  const double mean = 0.3 * 1.0 + 0.7 * -2.0;
  const double variance = 0.3 * std::exp(-0.5) + 0.7 * std::exp(double{0.2f}) +
                          0.3 * (1.0 - mean) * (1.0 - mean) + 0.7 * (-2.0 - mean) * (-2.0 - mean);
  EXPECT_NEAR(LatentPrior(two()).deviation(0), std::sqrt(variance), 1e-12);
  EXPECT_EQ(LatentPrior(3).deviation(2), 1.0);
}

TEST(LatentPriors, UniformIsRefused) {
  const Vae vae({.dimensions = 4, .latent = 2, .prior = {.family = PriorFamily::kUniform}});
  const std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
  try {
    latent_prior(CpuExec(1), vae, View<const float, 1>(flat.data(), vae.table().size()));
    ADD_FAILURE() << "was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("under the prior uniform"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace felbo
