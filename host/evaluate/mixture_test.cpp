#include "host/evaluate/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::fill_normal;
constexpr auto kBoth = {MixtureCovariance::kDiagonal, MixtureCovariance::kFull};

/// `each` points about each of three centres, far apart or not, stretched along a slope.
std::vector<float> three_clouds(std::int64_t each, float apart) {
  std::vector<float> points(std::size_t(3 * each * 2));
  fill_normal({points.data(), 3 * each, 2}, 11);
  const float centres[3][2] = {{0, 0}, {apart, 1}, {1, -apart}};
  for (std::int64_t n = 0; n < 3 * each; ++n) {
    float* p = &points[std::size_t(2 * n)];
    p[1] = centres[n % 3][1] + 0.8f * p[0] + 0.5f * p[1];
    p[0] = centres[n % 3][0] + p[0];
  }
  return points;
}

View<const float, 2> matrix(const std::vector<float>& values, std::int64_t cols) {
  return {values.data(), std::int64_t(values.size()) / cols, cols};
}

/// log of the mixture's density at (x, y), by the formula of a Gaussian over the plane.
double density_in_the_plane(const FittedMixture& g, double x, double y) {
  double sum = 0;
  for (std::size_t m = 0; m < g.weight.size(); ++m) {
    const double a = g.covariance[4 * m], b = g.covariance[4 * m + 1], c = g.covariance[4 * m + 3];
    const double det = a * c - b * b, u = x - g.mean[2 * m], v = y - g.mean[2 * m + 1];
    const double square = (c * u * u - 2 * b * u * v + a * v * v) / det;
    sum += g.weight[m] * std::exp(-square / 2) / (2 * std::numbers::pi * std::sqrt(det));
  }
  return std::log(sum);
}

double mean_density_in_the_plane(const FittedMixture& g, const std::vector<float>& points) {
  double sum = 0;
  for (std::size_t n = 0; n < points.size(); n += 2)
    sum += density_in_the_plane(g, double{points[n]}, double{points[n + 1]});
  return sum / (double(points.size()) / 2);
}

TEST(Mixture, OneFullComponentIsMeanAndCovariance) {
  constexpr std::int64_t N = 500, Z = 3;
  std::vector<float> points(N * Z);
  fill_normal({points.data(), N, Z}, 3);
  for (std::int64_t n = 0; n < N; ++n) points[std::size_t(n * Z + 2)] += points[std::size_t(n * Z)];
  for (const MixtureCovariance kind : kBoth) {
    const MixtureFit fit = fit_mixture(CpuExec(1), matrix(points, Z), {.components = 1, .covariance = kind});
    EXPECT_TRUE(fit.converged);
    EXPECT_EQ(fit.mixture.weight, std::vector<double>{1});
    for (std::int64_t d = 0; d < Z; ++d) {
      double mean = 0;
      for (std::int64_t n = 0; n < N; ++n) mean += double{points[std::size_t(n * Z + d)]} / N;
      EXPECT_NEAR(fit.mixture.mean[std::size_t(d)], mean, 1e-12);
      for (std::int64_t e = 0; e < Z; ++e) {
        double product = 0, other = 0;
        for (std::int64_t n = 0; n < N; ++n) other += double{points[std::size_t(n * Z + e)]} / N;
        for (std::int64_t n = 0; n < N; ++n)
          product += (points[std::size_t(n * Z + d)] - mean) * (points[std::size_t(n * Z + e)] - other) / N;
        const bool kept = d == e || kind == MixtureCovariance::kFull;
        EXPECT_NEAR(fit.mixture.covariance[std::size_t(d * Z + e)], kept ? product : 0, 1e-12);
      }
    }
  }
}

TEST(Mixture, FindsCloudsThatAreApart) {
  const std::vector<float> points = three_clouds(400, 12);
  const MixtureFit fit = fit_mixture(CpuExec(2), matrix(points, 2), {.components = 3});
  ASSERT_EQ(fit.mixture.components(), 3);
  EXPECT_TRUE(fit.converged);
  EXPECT_EQ(fit.dropped, 0);
  std::vector<double> first;
  for (std::size_t m = 0; m < 3; ++m) {
    EXPECT_NEAR(fit.mixture.weight[m], 1.0 / 3, 1e-6);
    // The covariance of (a, 0.8 a + b / 2): five standard errors of 400 points and less.
    EXPECT_NEAR(fit.mixture.covariance[4 * m], 1.0, 0.35);
    EXPECT_NEAR(fit.mixture.covariance[4 * m + 1], 0.8, 0.35);
    EXPECT_EQ(fit.mixture.covariance[4 * m + 1], fit.mixture.covariance[4 * m + 2]);
    EXPECT_NEAR(fit.mixture.covariance[4 * m + 3], 0.89, 0.35);
    first.push_back(fit.mixture.mean[2 * m]);
  }
  std::ranges::sort(first);
  EXPECT_NEAR(first[0], 0, 0.25);
  EXPECT_NEAR(first[1], 1, 0.25);
  EXPECT_NEAR(first[2], 12, 0.25);
}

TEST(Mixture, LikelihoodIsThatOfTheFormulaAndNeverFalls) {
  for (const MixtureCovariance kind : kBoth) {
    for (const std::int64_t components : {2, 3, 7}) {
      for (const std::uint64_t seed : {1, 2, 3}) {
        const std::vector<float> points = three_clouds(300, 2.5f);
        const MixtureFit fit =
            fit_mixture(CpuExec(2), matrix(points, 2),
                        {.components = components, .covariance = kind, .seed = seed, .tolerance = 1e-9});
        ASSERT_GT(fit.log_likelihood.size(), 5u);
        if (fit.dropped == 0) {
          for (std::size_t i = 1; i < fit.log_likelihood.size(); ++i)
            EXPECT_GE(fit.log_likelihood[i], fit.log_likelihood[i - 1] - 1e-12) << i;
        }
        EXPECT_NEAR(fit.log_likelihood.back(), mean_density_in_the_plane(fit.mixture, points), 1e-10);
        const std::vector<double> each = log_density(CpuExec(1), fit.mixture, matrix(points, 2));
        for (std::size_t n = 0; n < each.size(); ++n)
          ASSERT_NEAR(each[n],
                      density_in_the_plane(fit.mixture, double{points[2 * n]}, double{points[2 * n + 1]}),
                      1e-9);
      }
    }
  }
}

/// No small change of a mean or a variance, or of a weight against another, raises the likelihood.
TEST(Mixture, EndsWhereTheLikelihoodIsFlat) {
  const std::vector<float> points = three_clouds(300, 2.5f);
  const MixtureFit fit =
      fit_mixture(CpuExec(2), matrix(points, 2), {.components = 2, .iterations = 5000, .tolerance = 1e-13});
  ASSERT_TRUE(fit.converged);
  const auto slope = [&](const auto& change) {
    FittedMixture up = fit.mixture, down = fit.mixture;
    change(up, 1e-4), change(down, -1e-4);
    return (mean_density_in_the_plane(up, points) - mean_density_in_the_plane(down, points)) / 2e-4;
  };
  for (std::size_t m = 0; m < 2; ++m) {
    for (std::size_t d = 0; d < 2; ++d) {
      EXPECT_NEAR(slope([&](FittedMixture& g, double h) { g.mean[2 * m + d] += h; }), 0, 1e-5);
      EXPECT_NEAR(slope([&](FittedMixture& g, double h) { g.covariance[4 * m + 3 * d] += h; }), 0, 1e-5);
    }
    EXPECT_NEAR(slope([&](FittedMixture& g, double h) {
                  g.covariance[4 * m + 1] += h, g.covariance[4 * m + 2] += h;
                }),
                0, 1e-5);
  }
  EXPECT_NEAR(slope([&](FittedMixture& g, double h) { g.weight[0] += h, g.weight[1] -= h; }), 0, 1e-5);
}

TEST(Mixture, DoesNotDependOnThreadsAndDoesOnTheSeed) {
  const std::vector<float> points = three_clouds(2000, 2.0f);
  const auto fit = [&](int threads, std::uint64_t seed) {
    return fit_mixture(CpuExec(threads), matrix(points, 2), {.components = 5, .seed = seed, .iterations = 9});
  };
  const MixtureFit one = fit(1, 4), three = fit(3, 4), other = fit(1, 5);
  EXPECT_EQ(one.mixture.mean, three.mixture.mean);
  EXPECT_EQ(one.mixture.covariance, three.mixture.covariance);
  EXPECT_EQ(one.log_likelihood, three.log_likelihood);
  EXPECT_NE(one.log_likelihood, other.log_likelihood);
}

// --- degenerate ------------------------------------------------------------------------------------------

TEST(Mixture, DropsComponentsWithTooFewPoints) {
  std::vector<float> points = three_clouds(100, 2);
  points.insert(points.end(), {1000, 1000});  // k-means++ puts a centre on it
  for (const MixtureCovariance kind : kBoth) {
    const MixtureFit fit =
        fit_mixture(CpuExec(1), matrix(points, 2), {.components = 3, .covariance = kind, .seed = 1});
    EXPECT_GE(fit.dropped, 1);
    EXPECT_EQ(fit.mixture.components(), 3 - fit.dropped);
    double sum = 0;
    for (const double weight : fit.mixture.weight) sum += weight;
    EXPECT_NEAR(sum, 1, 1e-14);
    EXPECT_TRUE(std::isfinite(fit.log_likelihood.back()));
  }
}

TEST(Mixture, OfFewerDistinctPointsThanComponentsHasFewerComponents) {
  std::vector<float> points;
  for (int n = 0; n < 60; ++n) points.insert(points.end(), {float(n % 2), float(n % 2)});
  for (const MixtureCovariance kind : kBoth) {
    const MixtureFit fit = fit_mixture(CpuExec(2), matrix(points, 2), {.components = 5, .covariance = kind});
    EXPECT_EQ(fit.mixture.components(), 2);
    EXPECT_EQ(fit.dropped, 3);
    // Variances of 0 are held to the least, that of the data being 1/4.
    for (const std::size_t at : {0u, 3u, 4u, 7u})
      EXPECT_NEAR(fit.mixture.covariance[at], kLeastMixtureVariance / 4, 1e-15);
  }
}

TEST(Mixture, OfPointsOnALineHasTheLeastVarianceAcrossIt) {
  std::vector<float> points(400);
  fill_normal({points.data(), 200, 2}, 5);
  for (std::size_t n = 0; n < 200; ++n) points[2 * n + 1] = 0.5f * points[2 * n];
  const MixtureFit fit = fit_mixture(CpuExec(1), matrix(points, 2), {.components = 2, .tolerance = 1e-8});
  for (std::size_t i = 1; i < fit.log_likelihood.size(); ++i)
    EXPECT_GE(fit.log_likelihood[i], fit.log_likelihood[i - 1] - 1e-9);
  double variance = 0, means[2] = {0, 0};
  for (std::size_t i = 0; i < 400; ++i) means[i % 2] += double{points[i]} / 200;
  for (std::size_t i = 0; i < 400; ++i) variance += std::pow(points[i] - means[i % 2], 2) / 400;
  for (std::size_t m = 0; m < fit.mixture.weight.size(); ++m) {
    const double* c = &fit.mixture.covariance[4 * m];
    // The smaller eigenvalue, along (1, -2) / sqrt 5.
    EXPECT_NEAR((c[0] - 4 * c[1] + 4 * c[3]) / 5, kLeastMixtureVariance * variance, 1e-12);
  }
}

TEST(Mixture, RefusesWhatCannotBeFitted) {
  const auto message = [](std::vector<float> points, MixtureOptions options) -> std::string {
    try {
      fit_mixture(CpuExec(1), matrix(points, 1), options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message({1, 2}, {.components = 0}), "a mixture needs at least one component, got 0");
  EXPECT_EQ(message({1, 2}, {.components = 3}), "3 components for 2 points: give fewer components");
  EXPECT_EQ(message({1, 2}, {.components = 1, .iterations = 0}), "a fit needs at least one iteration, got 0");
  EXPECT_EQ(message({4, 4, 4}, {.components = 1}),
            "all 3 points are the same: there is nothing to fit a mixture to");
  EXPECT_EQ(message({1, std::numeric_limits<float>::quiet_NaN()}, {.components = 1}),
            "point 1 is nan in dimension 0: a mixture needs finite points");
}

// --- draws -----------------------------------------------------------------------------------------------

TEST(Mixture, DrawsHaveItsMomentsAndAreFunctionsOfSeedAndIndex) {
  const FittedMixture mixture{2, {0.25, 0.75}, {-3, 1, 2, 0}, {1, 0.6, 0.6, 2, 0.5, -0.2, -0.2, 0.3}};
  constexpr std::int64_t N = 40000;
  const std::vector<float> z = draw_mixture(CpuExec(2), mixture, N, 9);
  const std::vector<float> few = draw_mixture(CpuExec(1), mixture, 7, 9);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), z.begin()));
  EXPECT_NE(few, draw_mixture(CpuExec(1), mixture, 7, 10));
  // Six standard errors of sums of N terms whose standard deviation is below 3 (means) and 12 (products).
  double mean[2] = {0, 0}, product[3] = {0, 0, 0};
  for (std::size_t i = 0; i < z.size(); i += 2) {
    const double x = z[i], y = z[i + 1];
    mean[0] += x / N, mean[1] += y / N;
    product[0] += x * x / N, product[1] += x * y / N, product[2] += y * y / N;
  }
  EXPECT_NEAR(mean[0], 0.25 * -3 + 0.75 * 2, 6 * 3 / 200.0);
  EXPECT_NEAR(mean[1], 0.25, 6 * 1 / 200.0);
  EXPECT_NEAR(product[0], 0.25 * (1 + 9) + 0.75 * (0.5 + 4), 6 * 6 / 200.0);
  EXPECT_NEAR(product[1], 0.25 * (0.6 - 3) + 0.75 * -0.2, 6 * 4 / 200.0);
  EXPECT_NEAR(product[2], 0.25 * (2 + 1) + 0.75 * 0.3, 6 * 2 / 200.0);
  // The mean log density of the draws is minus the entropy: that of another set of draws, within errors.
  const auto mean_of = [](const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / double(values.size());
  };
  const std::vector<float> others = draw_mixture(CpuExec(2), mixture, N, 10);
  EXPECT_NEAR(mean_of(log_density(CpuExec(2), mixture, matrix(z, 2))),
              mean_of(log_density(CpuExec(2), mixture, matrix(others, 2))), 6 * 1.5 / 200.0);
}

}  // namespace
}  // namespace felbo
