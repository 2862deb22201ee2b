// The estimators against a model for which everything has a closed form: a linear decoder, x = W z + b +
// sigma e.
#include "host/evaluate/evaluate.h"

#include <gtest/gtest.h>

#include <functional>
#include <numbers>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::kEps;
using Values = std::vector<double>;

const double kLog2Pi = std::log(2 * std::numbers::pi);

/// A matrix in double, row-major.
struct Matrix {
  int rows = 0, cols = 0;
  Values a;
  Matrix(int rows, int cols) : rows(rows), cols(cols), a(std::size_t(rows) * cols) {}
  double& operator()(int i, int j) { return a[std::size_t(i) * cols + j]; }
  double operator()(int i, int j) const { return a[std::size_t(i) * cols + j]; }
};

/// log N(x; mean, covariance) by Cholesky's decomposition, row by row.
double log_normal_density(const Values& x, const Values& mean, Matrix c) {
  const int n = c.rows;
  double log_det = 0, square = 0;
  Values u(std::size_t(n), 0.0);  // L u = x - mean
  for (int i = 0; i < n; ++i) {
    double sum = x[i] - mean[i];
    for (int j = 0; j <= i; ++j) {
      double entry = c(i, j);
      for (int k = 0; k < j; ++k) entry -= c(i, k) * c(j, k);
      c(i, j) = i == j ? std::sqrt(entry) : entry / c(j, j);
      if (j < i) sum -= c(i, j) * u[j];
    }
    u[i] = sum / c(i, i);
    square += u[i] * u[i];
    log_det += 2 * std::log(c(i, i));
  }
  return -(n * kLog2Pi + log_det + square) / 2;
}

TEST(Oracle, CholeskyDensityOfTwoCorrelatedNumbers) {
  // Covariance (2 1; 1 2): determinant 3, inverse (2 -1; -1 2) / 3; x - mean = (1, -1): square 2.
  Matrix c(2, 2);
  c.a = {2, 1, 1, 2};
  EXPECT_NEAR(log_normal_density({3, 0}, {2, 1}, c), -(2 * kLog2Pi + std::log(3.0) + 2) / 2, 1e-14);
}

constexpr int X = 32, Z = 4;
constexpr float kVariance = 0.25f;

/// A VAE without hidden layers, its parameters set by hand, and N data drawn from its own decoder.
class LinearModel {
 public:
  explicit LinearModel(std::int64_t rows, const std::string& variance = "learned", LogVarClamp clamp = {})
      : vae({.dimensions = X,
             .latent = Z,
             .likelihood = likelihood_from_names("gaussian", variance, clamp),
             .clamp = clamp}),
        flat(static_cast<std::size_t>(vae.table().size())) {
    // Columns of W that are orthogonal exactly, also in float: rows of a Hadamard matrix times a size.
    const float size[Z] = {0.25f, 0.5f, 0.125f, 0.375f};
    const int pattern[Z] = {1, 6, 11, 28};
    for (int d = 0; d < Z; ++d) {
      for (int j = 0; j < X; ++j)
        decoder()(d, j) = __builtin_popcount(unsigned(j & pattern[d])) % 2 == 0 ? size[d] : -size[d];
    }
    test::fill_normal({bias().data, 1, X}, 21, 0.5f);
    for (float& own : vae.own(view())) own = std::log(kVariance);
    draw(rows);
  }

  View<float, 1> view() { return {flat.data(), vae.table().size()}; }
  View<float, 2> decoder() { return matrix_of(view(), vae.table()[vae.decoder().layers()[0].weight]); }
  View<float, 1> bias() { return vector_of(view(), vae.table()[vae.decoder().layers()[0].bias]); }
  View<float, 2> encoder() { return matrix_of(view(), vae.table()[vae.encoder().layers()[0].weight]); }
  View<float, 1> encoder_bias() { return vector_of(view(), vae.table()[vae.encoder().layers()[0].bias]); }
  double variance() {
    const View<float, 1> own = vae.own(view());
    return own.empty() ? double(kVariance) : std::exp(double(own(0)));
  }
  double column_square(int d) {
    double sum = 0;
    for (int j = 0; j < X; ++j) sum += double(decoder()(d, j)) * decoder()(d, j);
    return sum;
  }

  /// q(z|x) = p(z|x): covariance diag 1 / (1 + |w_d|^2 / sigma^2), mean covariance W^T (x - b) / sigma^2.
  void set_exact_posterior() {
    for (int d = 0; d < Z; ++d) {
      const double posterior = 1 / (1 + column_square(d) / variance());
      double at_zero = 0;
      for (int j = 0; j < X; ++j) {
        encoder()(j, d) = static_cast<float>(posterior * decoder()(d, j) / variance());
        encoder()(j, Z + d) = 0.0f;
        at_zero -= double(encoder()(j, d)) * bias()(j);
      }
      encoder_bias()(d) = static_cast<float>(at_zero);
      encoder_bias()(Z + d) = static_cast<float>(std::log(posterior));
    }
  }
  /// Some other posterior, its variance a function of x.
  void set_other_posterior() {
    set_exact_posterior();
    std::vector<float> noise(X * 2 * Z);
    test::fill_normal({noise.data(), X, 2 * Z}, 22, 0.04f);
    for (int j = 0; j < X; ++j) {
      for (int d = 0; d < 2 * Z; ++d) encoder()(j, d) += noise[std::size_t(j) * 2 * Z + d];
    }
    for (int d = 0; d < Z; ++d) encoder_bias()(Z + d) += 0.4f;
  }

  double x(std::int64_t n, int j) const { return part.floats[std::size_t(n) * X + j]; }
  Values mu(std::int64_t n) { return encode(n, 0); }
  Values log_var(std::int64_t n) { return encode(n, Z); }

  double exact_log_px(std::int64_t n) {
    Matrix covariance(X, X);
    Values at, mean;
    for (int i = 0; i < X; ++i) {
      at.push_back(x(n, i));
      mean.push_back(bias()(i));
      for (int j = 0; j < X; ++j) {
        covariance(i, j) = i == j ? variance() : 0.0;
        for (int d = 0; d < Z; ++d) covariance(i, j) += double(decoder()(d, i)) * decoder()(d, j);
      }
    }
    return log_normal_density(at, mean, covariance);
  }
  double exact_kl(std::int64_t n) {
    double kl = 0;
    const Values m = mu(n), v = log_var(n);
    for (int d = 0; d < Z; ++d) kl += (m[d] * m[d] + std::exp(v[d]) - v[d] - 1) / 2;
    return kl;
  }
  /// E and variance over q(z|x) of log p(x|z) = c - |r - W S e|^2 / (2 sigma^2), r = x - b - W mu, e ~ N(0,
  /// I): a linear and a quadratic form in e, which do not correlate. W has orthogonal columns, so S W^T W S
  /// is diagonal.
  struct Moments {
    double mean, variance;
  };
  Moments log_px_given_z(std::int64_t n) {
    const Values m = mu(n), v = log_var(n);
    double square = 0, trace = 0, linear = 0, quadratic = 0;
    Values projected(Z);
    for (int j = 0; j < X; ++j) {
      double r = x(n, j) - bias()(j);
      for (int d = 0; d < Z; ++d) r -= decoder()(d, j) * m[d];
      square += r * r;
      for (int d = 0; d < Z; ++d) projected[d] += decoder()(d, j) * r;
    }
    for (int d = 0; d < Z; ++d) {
      const double w = std::exp(v[d]) * column_square(d);
      trace += w;
      quadratic += 2 * w * w;
      linear += 4 * std::exp(v[d]) * projected[d] * projected[d];
    }
    const double s2 = variance();
    return {-(X * (kLog2Pi + std::log(s2)) + (square + trace) / s2) / 2,
            (linear + quadratic) / (4 * s2 * s2)};
  }

  Evaluation run(std::int64_t samples, int threads = 2, std::uint64_t seed = 9) {
    const test::ExecHandle exec = test::open_exec(threads);
    const ResidentData<test::ExecType> data(exec, part);
    return evaluate(exec, vae, View<const float, 1>(view()), data, {.samples = samples, .seed = seed});
  }
  /// Only the first rows.
  void keep(std::int64_t rows) {
    part.rows = rows;
    part.floats.resize(std::size_t(rows) * X);
  }

  Vae vae;
  test::Array<float> flat;
  DataPart part;

 private:
  void draw(std::int64_t rows) {
    std::vector<float> z(std::size_t(rows) * Z);
    test::fill_normal({z.data(), rows, Z}, 23);
    part.rows = rows;
    part.cols = X;
    part.floats.resize(std::size_t(rows) * X);
    test::fill_normal({part.floats.data(), rows, X}, 24, std::sqrt(kVariance));
    for (std::int64_t n = 0; n < rows; ++n) {
      for (int j = 0; j < X; ++j) {
        float& value = part.floats[std::size_t(n) * X + j];
        value += bias()(j);
        for (int d = 0; d < Z; ++d) value += decoder()(d, j) * z[std::size_t(n) * Z + d];
      }
    }
  }
  Values encode(std::int64_t n, int first) {
    Values out;
    for (int d = first; d < first + Z; ++d) {
      double sum = encoder_bias()(d);
      for (int j = 0; j < X; ++j) sum += x(n, j) * encoder()(j, d);
      out.push_back(sum);
    }
    return out;
  }
};

// What float arithmetic may do to a log-weight of about 130 summed magnitudes (X terms of 1.8 + 1.4 + the
// square, half of each, and 3 Z of the latent): roundings of the means, which the squares multiply by
// |x - m| / sigma^2, about 2 a term, and of the sums. Were all of one sign they would come to 50 eps; 4 eps
// is ten times what is seen.
constexpr double kRounding = 4 * kEps * 130;

// With q(z|x) = p(z|x) every weight p(x, z) / q(z|x) is p(x): the bound is exact for each datum, for any
// number of samples.
TEST(Evaluate, WithTheExactPosteriorTheBoundIsLogPx) {
  for (const char* variance : {"fixed:0.25", "learned", "per-dimension"}) {
    LinearModel model(150, variance);
    model.set_exact_posterior();
    for (const std::int64_t samples : {1, 2, 7, 64}) {
      const Evaluation e = model.run(samples);
      ASSERT_EQ(e.log_px_of_datum.size(), 150u);
      double sum = 0;
      for (std::int64_t n = 0; n < 150; ++n) {
        const double want = model.exact_log_px(n);
        EXPECT_NEAR(e.log_px_of_datum[std::size_t(n)], want, kRounding)
            << variance << " " << samples << " " << n;
        sum += want;
      }
      EXPECT_NEAR(e.log_px.mean, sum / 150, kRounding);
      EXPECT_EQ(e.samples, samples);
      EXPECT_EQ(e.count, 150);
      EXPECT_EQ(e.clamped, 0);
    }
  }
}

TEST(Evaluate, TheKlIsExact) {
  LinearModel model(20);
  model.set_other_posterior();
  double sum = 0;
  for (std::int64_t n = 0; n < 20; ++n) sum += model.exact_kl(n);
  EXPECT_NEAR(model.run(3).kl.mean, sum / 20, kRounding);
  model.keep(1);
  const Evaluation one = model.run(3);
  EXPECT_NEAR(one.kl.mean, model.exact_kl(0), kRounding);
  EXPECT_NEAR(one.elbo.mean, one.log_px_given_z.mean - one.kl.mean, 1e-12);
}

// Each datum within 5.5 standard errors of the closed form (false alarm 4e-8 each), and all of them together
// as scattered as their standard errors say: the sum of N squares of standard normals is N +- 5 sqrt(2 N).
// Shared noise, a wrong scale of it or too few samples fail one or the other.
TEST(Evaluate, TheReconstructionTermScattersAroundItsExpectation) {
  constexpr std::int64_t kRows = 200;
  for (const std::int64_t samples : {1, 20, 500}) {
    LinearModel model(kRows);
    model.set_other_posterior();
    const Evaluation e = model.run(samples);
    double squares = 0, mean = 0;
    for (std::int64_t n = 0; n < kRows; ++n) {
      const LinearModel::Moments exact = model.log_px_given_z(n);
      const double got = e.elbo_of_datum[std::size_t(n)] + model.exact_kl(n);
      const double score = (got - exact.mean) / std::sqrt(exact.variance / double(samples));
      // A single log p(x|z) is skewed like a chi-square of few degrees: its far tail is wider.
      EXPECT_LT(std::abs(score), samples == 1 ? 9 : 5.5) << samples << " samples, datum " << n;
      squares += score * score;
      mean += got / kRows;
    }
    const double spread = samples == 1 ? 3 : 1;  // the fourth moment of the same skew
    EXPECT_NEAR(squares, kRows, spread * 5 * std::sqrt(2.0 * kRows)) << samples;
    EXPECT_NEAR(e.log_px_given_z.mean, mean, kRounding);
  }
}

// Burda et al., theorem 1: L_1 <= L_10 <= ... <= log p(x), and L_K tends to log p(x).
TEST(Evaluate, WithAnotherPosteriorTheBoundRisesTowardsLogPx) {
  constexpr std::int64_t kRows = 300;
  LinearModel model(kRows);
  model.set_other_posterior();
  double exact = 0;
  for (std::int64_t n = 0; n < kRows; ++n) exact += model.exact_log_px(n) / kRows;
  std::vector<double> gap;
  for (const std::int64_t samples : {1, 10, 100, 1000}) gap.push_back(exact - model.run(samples).log_px.mean);
  EXPECT_GT(gap[0], 0.3);  // the posterior is a poor one, so that there is something to see
  EXPECT_LT(gap[1], gap[0] / 2);
  EXPECT_LT(gap[2], gap[1] / 2);
  EXPECT_LT(gap[3], gap[2]);
  EXPECT_NEAR(gap[3], 0, 0.02);
  // In expectation L_1 is the ELBO: log p(z) - log q(z|x) of the samples in place of the KL.
  const Evaluation one = model.run(1);
  EXPECT_NEAR(one.log_px.mean, one.elbo.mean, 5 * 2 / std::sqrt(double(kRows)));  // 2 nats' deviation a datum
}

TEST(Evaluate, LatentDiagnosticsAreThoseOfTheCodes) {
  LinearModel model(300);
  model.set_other_posterior();
  const Evaluation e = model.run(1);
  ASSERT_EQ(e.latent.kl.size(), std::size_t(Z));
  double total = 0;
  for (int d = 0; d < Z; ++d) {
    double kl = 0, mean = 0, square = 0;
    for (std::int64_t n = 0; n < 300; ++n) {
      const double m = model.mu(n)[std::size_t(d)], v = model.log_var(n)[std::size_t(d)];
      kl += (m * m + std::exp(v) - v - 1) / 2 / 300;
      mean += m / 300;
      square += m * m;
    }
    EXPECT_NEAR(e.latent.kl[std::size_t(d)], kl, kRounding);
    EXPECT_NEAR(e.latent.variance_of_mean[std::size_t(d)], (square - 300 * mean * mean) / 299, kRounding);
    total += kl;
  }
  EXPECT_NEAR(e.kl.mean, total, kRounding);
  EXPECT_EQ(e.latent.active(), Z);
}

// A standard error is worth what it says: the deviations from log p(x), in units of it, have a mean square of
// 1, for 300 data within 5 sqrt(2 / 300), and 2 % that log-weights of a posterior as poor as this leave to
// the bias of 4000 samples.
TEST(Evaluate, TheStandardErrorOfEachDatumIsCalibrated) {
  constexpr std::int64_t kRows = 300;
  LinearModel model(kRows);
  model.set_other_posterior();
  const Evaluation e = model.run(4000);
  ASSERT_EQ(e.weights_of_datum.size(), std::size_t(kRows));
  double squares = 0;
  for (std::int64_t n = 0; n < kRows; ++n) {
    const WeightDiagnostics& d = e.weights_of_datum[std::size_t(n)];
    const double score = (e.log_px_of_datum[std::size_t(n)] - model.exact_log_px(n)) / d.standard_error;
    squares += score * score / kRows;
    EXPECT_GT(d.effective_samples, 1);
    EXPECT_LE(d.effective_samples, 4000);
    EXPECT_TRUE(std::isfinite(d.k_hat));
  }
  EXPECT_NEAR(squares, 1, 5 * std::sqrt(2.0 / kRows) + 0.02);
}

TEST(Evaluate, WithTheExactPosteriorAllWeightsAreEqual) {
  LinearModel model(20);
  model.set_exact_posterior();
  for (const WeightDiagnostics& d : model.run(100).weights_of_datum) {
    EXPECT_EQ(d.k_hat, -std::numeric_limits<double>::infinity());
    EXPECT_NEAR(d.effective_samples, 100, 1e-6);
    EXPECT_LT(d.standard_error, kRounding);
  }
  EXPECT_TRUE(model.run(1).weights_of_datum.empty());
}

// --- How the work is split

TEST(Evaluate, ThreadsDoNotChangeABit) {
  LinearModel model(333);
  model.set_other_posterior();
  const Evaluation one = model.run(37, 1);
  for (const int threads : {2, 3, 5}) {
    const Evaluation other = model.run(37, threads);
    EXPECT_EQ(other.elbo_of_datum, one.elbo_of_datum);
    EXPECT_EQ(other.log_px_of_datum, one.log_px_of_datum);
    EXPECT_EQ(other.kl.mean, one.kl.mean);
    EXPECT_EQ(other.log_px_given_z.mean, one.log_px_given_z.mean);
  }
}

// 333 rows go through in tiles of 128 data and 8 samples, 5 rows in tiles of 204 samples, one row in one of
// 1024: a datum's figures are its own.
TEST(Evaluate, TheTilesDoNotMatter) {
  constexpr std::int64_t kSamples = 1100;
  LinearModel model(333);
  model.set_other_posterior();
  const Evaluation all = model.run(kSamples);
  for (const std::int64_t rows : {200, 128, 5, 1}) {
    model.keep(rows);
    const Evaluation some = model.run(kSamples);
    for (std::size_t n = 0; n < std::size_t(rows); ++n) {
      EXPECT_NEAR(some.elbo_of_datum[n], all.elbo_of_datum[n], kRounding) << rows << " rows, datum " << n;
      EXPECT_NEAR(some.log_px_of_datum[n], all.log_px_of_datum[n], kRounding) << rows << " rows, datum " << n;
      EXPECT_NEAR(some.weights_of_datum[n].k_hat, all.weights_of_datum[n].k_hat, 0.01);
      EXPECT_NEAR(some.weights_of_datum[n].standard_error, all.weights_of_datum[n].standard_error, 1e-4);
    }
  }
}

TEST(Evaluate, TheSeedNamesTheNoise) {
  LinearModel model(10);
  model.set_other_posterior();
  EXPECT_EQ(model.run(3, 2, 4).elbo_of_datum, model.run(3, 2, 4).elbo_of_datum);
  EXPECT_NE(model.run(3, 2, 4).elbo_of_datum, model.run(3, 2, 5).elbo_of_datum);
}

TEST(EvaluationTile, IsBoundedWhateverTheSamples) {
  for (const std::int64_t dimensions : {1, 784, 5000, 300000}) {
    for (const std::int64_t hidden : {0, 500, 100000}) {
      VaeConfig c{.dimensions = dimensions, .hidden = {}};
      if (hidden > 0) c.hidden = {hidden, 3};
      const std::int64_t widest = std::max(dimensions, hidden);
      for (const std::int64_t rows : {1, 2, 15, 16, 17, 100, 127, 128, 129, 60000}) {
        for (const std::int64_t samples : {std::int64_t{1}, std::int64_t{2}, std::int64_t{7},
                                           std::int64_t{100}, std::int64_t{5000}, std::int64_t{1} << 26}) {
          const detail::EvaluationTile tile = detail::evaluation_tile(c, rows, samples);
          SCOPED_TRACE(testing::Message() << dimensions << " " << hidden << " " << rows << " " << samples);
          EXPECT_GE(tile.data, 1);
          EXPECT_LE(tile.data, rows);
          EXPECT_GE(tile.samples, 1);
          EXPECT_LE(tile.samples, samples);
          const std::int64_t at_once = tile.data * tile.samples;
          EXPECT_LE(at_once, 1024);
          EXPECT_TRUE(at_once <= 16 || at_once * widest * 4 <= std::int64_t{16} << 20);
          // More samples than fill a tile take no more memory.
          if (samples > 1024) {
            const detail::EvaluationTile more = detail::evaluation_tile(c, rows, 2 * samples);
            EXPECT_EQ(more.data, tile.data);
            EXPECT_EQ(more.samples, tile.samples);
          }
        }
      }
    }
  }
}

// --- Clamps, refusals

TEST(Evaluate, CountsEachClampedLogVarianceOnce) {
  LinearModel model(300, "learned", {-1.0f, 1.0f});
  model.set_exact_posterior();  // log-variances below -1.5, all of them
  for (int d = 0; d < Z; ++d) EXPECT_LT(model.encoder_bias()(Z + d), -1.0f);
  model.vae.own(model.view())(0) = 0.5f;
  EXPECT_EQ(model.run(1).clamped, 300 * Z);
  EXPECT_EQ(model.run(700).clamped, 300 * Z);
  model.vae.own(model.view())(0) = 1.5f;
  EXPECT_EQ(model.run(1).clamped, 300 * Z + 1);
  EXPECT_EQ(model.run(700).clamped, 300 * Z + 1);
}

TEST(Evaluate, CountsTheClampedLogVariancesOfEverySample) {
  LinearModel model(3, "per-element", {-1.0f, 1.0f});
  // The decoder's second half: log-variances that do not depend on z, one in four of them too high.
  const View<float, 2> weight = model.decoder();
  for (int d = 0; d < Z; ++d) std::fill_n(weight.row(d) + X, X, 0.0f);
  for (int j = 0; j < X; ++j) model.bias()(X + j) = j % 4 == 0 ? 1.25f : 0.0f;
  EXPECT_EQ(model.run(1).clamped, 3 * X / 4);
  EXPECT_EQ(model.run(50).clamped, 50 * 3 * X / 4);
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

TEST(Evaluate, RefusesDataAndSamplesOutOfRange) {
  LinearModel model(4);
  EXPECT_EQ(refusal([&] { model.run(0); }), "samples must be between 1 and 67108864, got 0");
  EXPECT_EQ(refusal([&] { model.run((std::int64_t{1} << 26) + 1); }),
            "samples must be between 1 and 67108864, got 67108865");
  model.part.cols = 16;
  EXPECT_EQ(refusal([&] { model.run(1); }), "the data have 16 columns, the model was made for 32");
  model.part.rows = 0;
  EXPECT_EQ(refusal([&] { model.run(1); }), "there are no rows to evaluate on");
}

TEST(Evaluate, ANanInTheDataReachesTheFigures) {
  LinearModel model(4);
  model.part.floats[X + 3] = std::nanf("");
  const Evaluation e = model.run(20);
  for (const double mean : {e.elbo.mean, e.log_px.mean}) EXPECT_TRUE(std::isnan(mean));
  EXPECT_TRUE(std::isnan(e.elbo_of_datum[1]));
  EXPECT_TRUE(std::isfinite(e.elbo_of_datum[2]));
}

TEST(Estimate, MeanAndStandardErrorByHand) {
  const Estimate four = estimate({1, 2, 3, 6});  // squares 4 + 1 + 0 + 9 = 14; sqrt(14 / 3 / 4)
  EXPECT_DOUBLE_EQ(four.mean, 3.0);
  EXPECT_DOUBLE_EQ(four.standard_error, std::sqrt(14.0 / 12.0));
  EXPECT_EQ(estimate({-7, -7, -7}).standard_error, 0.0);
  const Estimate far = estimate({1e9 + 1, 1e9 - 1});  // no cancellation of squares
  EXPECT_DOUBLE_EQ(far.standard_error, 1.0);
  const Estimate one = estimate({5});
  EXPECT_EQ(one.mean, 5.0);
  EXPECT_TRUE(std::isnan(one.standard_error));
}

}  // namespace
}  // namespace felbo
