#include "kernels/covariance_factor/covariance_factor.h"

#include <gtest/gtest.h>

#include <numbers>

#include "kernels/covariance_factor/covariance_factor_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/reparameterize/reparameterize.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;
using test::to_double;

struct Case {
  int batch, samples, latent;
  int extra_stride = 0, offset = 0;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  // Past 32 and 256 columns kernels give more threads to a row; noise is made 256 columns at a time on a CPU,
  // 1024 by kernels.
  for (const int latent : {1, 2, 3, 20, 31, 32, 33, 64, 127, 129, 255, 256, 257}) {
    out.push_back(
        {.batch = 3, .samples = 1, .latent = latent, .extra_stride = latent % 3, .offset = latent % 2});
    out.push_back({.batch = 2, .samples = 2, .latent = latent, .offset = 3});
    out.push_back({.batch = 3, .samples = 5, .latent = latent});
  }
  for (const int latent : {1024, 1025, 1031}) out.push_back({.batch = 2, .samples = 1, .latent = latent});
  out.push_back({.batch = 67, .samples = 1, .latent = 20, .extra_stride = 20});
  out.push_back({.batch = 5, .samples = 33, .latent = 7});
  return out;
}

constexpr std::uint32_t kFirstSample = 11;
const NoiseStream kNoise{0xfeedface12345678u, 9, Purpose::kLatent};
// eps itself carries an absolute error of about 3e-6 at worst (noise_test.cpp).
constexpr double kEpsError = 3e-6;

struct Inputs {
  explicit Inputs(const Case& c)
      : c(c),
        rows(std::int64_t{c.batch} * c.samples),
        factor(c.batch, below_diagonal(c.latent), c.extra_stride, c.offset),
        z(rows, c.latent, c.extra_stride, c.offset),
        grad_z(rows, c.latent, c.extra_stride, c.offset),
        kl(1, c.batch),
        grad_factor(c.batch, below_diagonal(c.latent), c.extra_stride, c.offset) {
    test::fill_normal(factor.matrix(), 1, 0.3f);
    test::fill_normal(z.matrix(), 2);
    test::fill_normal(grad_z.matrix(), 3);
    test::fill_normal(kl.matrix(), 4, 1.0f, 5.0f);
    for (int b = 0; b < c.batch; ++b) datum.push_back(static_cast<std::uint32_t>(1000003 * (b + 1)));
  }
  CovarianceFactorArgs args() {
    return {.factor = factor.matrix(),
            .noise = kNoise,
            .datum = datum_view(),
            .first_sample = kFirstSample,
            .samples = c.samples,
            .z = z.matrix(),
            .kl = kl.vector()};
  }
  CovarianceFactorGradArgs grad_args(float kl_scale = 0.37f) {
    return {.factor = factor.matrix(),
            .noise = kNoise,
            .datum = datum_view(),
            .first_sample = kFirstSample,
            .samples = c.samples,
            .grad_z = grad_z.matrix(),
            .kl_scale = kl_scale,
            .grad_factor = grad_factor.matrix()};
  }
  View<const std::uint32_t, 1> datum_view() const {
    return {datum.data(), static_cast<std::int64_t>(datum.size())};
  }
  /// The reference's noise, (B, S, Z), made once.
  auto draw() const {
    std::vector<double> made;
    for (int b = 0; b < c.batch; ++b) {
      for (int s = 0; s < c.samples; ++s) {
        for (int d = 0; d < c.latent; ++d)
          made.push_back(reference::normal(
              kNoise.seed, kNoise.step.get(), static_cast<std::uint32_t>(kNoise.purpose), datum[b],
              kFirstSample + static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(d)));
      }
    }
    return [made, S = c.samples, Z = c.latent](int b, int s, int d) {
      return made[(std::size_t(b) * S + s) * Z + d];
    };
  }

  Case c;
  std::int64_t rows;
  Guarded<float> factor, z, grad_z, kl, grad_factor;
  test::Array<std::uint32_t> datum;
};

std::vector<double> magnitudes(std::vector<double> values) {
  for (double& v : values) v = std::abs(v);
  return values;
}

// z_i: a sum of i products whose order has partial sums of at most i / 8 terms (a quarter of a warp, to 32
// columns), i / 16 (a CPU) or i / 32, joined by up to 5 additions, and one rounding of z for each span of 256
// columns; so 8 + i / 16 roundings of the magnitudes. KL: the same of squares, which are within half a
// rounding.
Parity check_forward(const Case& c, int threads) {
  Inputs in(c);
  const auto factor = to_double(in.factor.matrix()), z = to_double(in.z.matrix()),
             kl = to_double(in.kl.matrix());
  covariance_factor(test::exec(threads), in.args());
  const auto eps = in.draw();
  auto want = reference::covariance_factor<double>(factor, z, c.batch, c.samples, c.latent, eps);
  const auto magnitude =
      reference::covariance_factor<double>(magnitudes(factor), magnitudes(z), c.batch, c.samples, c.latent,
                                           [&](int b, int s, int d) { return std::abs(eps(b, s, d)); });
  const auto through_eps =
      reference::covariance_factor<double>(magnitudes(factor), std::vector<double>(z.size()), c.batch,
                                           c.samples, c.latent, [](int, int, int) { return kEpsError; });
  std::vector<double> tol_z, tol_kl;
  const double k = 8 + c.latent / 16.0;
  for (std::size_t r = 0; r < z.size(); ++r) tol_z.push_back(k * kEps * magnitude.z[r] + through_eps.z[r]);
  for (std::size_t b = 0; b < kl.size(); ++b) {
    want.kl[b] += kl[b];
    tol_kl.push_back(k * kEps * want.kl[b]);
  }
  Parity parity;
  parity.compare("z", in.z.matrix(), want.z, tol_z);
  parity.compare("kl", in.kl.vector(), want.kl, tol_kl);
  for (const Guarded<float>* g : {&in.factor, &in.z, &in.kl}) g->check_guards(parity, "forward");
  return parity;
}

// Sums of S + 1 terms: a rounding each, and one of kl_scale L.
Parity check_backward(const Case& c, int threads) {
  Inputs in(c);
  const double kl_scale = 0.37f;
  covariance_factor_backward(test::exec(threads), in.grad_args());
  const auto factor = to_double(in.factor.matrix()), grad_z = to_double(in.grad_z.matrix());
  const auto eps = in.draw();
  const auto want = reference::covariance_factor_gradient<double>(factor, grad_z, c.batch, c.samples,
                                                                  c.latent, kl_scale, eps);
  const auto magnitude = reference::covariance_factor_gradient<double>(
      magnitudes(factor), magnitudes(grad_z), c.batch, c.samples, c.latent, kl_scale,
      [&](int b, int s, int d) { return std::abs(eps(b, s, d)); });
  const auto through_eps = reference::covariance_factor_gradient<double>(
      factor, magnitudes(grad_z), c.batch, c.samples, c.latent, 0.0, [](int, int, int) { return kEpsError; });
  std::vector<double> tolerance;
  for (std::size_t k = 0; k < want.size(); ++k)
    tolerance.push_back((c.samples + 2) * kEps * magnitude[k] + through_eps[k]);
  Parity parity;
  parity.compare("grad_factor", in.grad_factor.matrix(), want, tolerance);
  if (want.empty()) parity.element("nothing to write", 0, 0, 0, 0, 0);
  for (const Guarded<float>* g : {&in.factor, &in.grad_z, &in.grad_factor})
    g->check_guards(parity, "backward");
  return parity;
}

TEST(CovarianceFactor, ForwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    const Parity parity = check_forward(c, 1 + c.batch % 3);
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(CovarianceFactor, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    const Parity parity = check_backward(c, 1 + c.batch % 3);
    FELBO_EXPECT_PARITY(parity);
  }
}

/// The lower triangular L of row b with sigma on its diagonal, (Z, Z).
std::vector<std::vector<double>> triangle(const std::vector<double>& factor, const std::vector<double>& sigma,
                                          int b, int Z) {
  std::vector l(static_cast<std::size_t>(Z), std::vector<double>(static_cast<std::size_t>(Z)));
  std::size_t at = std::size_t(b) * (Z * (Z - 1) / 2);
  for (int i = 0; i < Z; ++i) {
    for (int j = 0; j < i; ++j) l[i][j] = factor[at++];
    l[i][i] = sigma[std::size_t(b) * Z + i];
  }
  return l;
}

// After both ops z, the KL and log q are those of N(mu, L L^T), by the formulas of any covariance C: KL = 1/2
// (tr C + |mu|^2 - Z - log det C), log q = -1/2 (Z log 2 pi + log det C + |L^-1 (z - mu)|^2).
TEST(CovarianceFactor, CompletesTheDiagonalPosterior) {
  for (const int Z : {1, 2, 5, 20, 33}) {
    const Case c{.batch = 4, .samples = 3, .latent = Z};
    Inputs in(c);
    Guarded<float> mu(c.batch, Z), log_var(c.batch, Z), log_pz(1, in.rows), log_qz(1, in.rows);
    Guarded<std::int32_t> clamped(1, c.batch);
    test::fill_normal(mu.matrix(), 5);
    test::fill_normal(log_var.matrix(), 6, 0.5f, -0.3f);
    test::fill_normal(in.factor.matrix(), 7, 0.1f);
    reparameterize(test::exec(1), {.mu = mu.matrix(),
                                   .log_var = log_var.matrix(),
                                   .noise = kNoise,
                                   .datum = in.datum_view(),
                                   .first_sample = kFirstSample,
                                   .samples = c.samples,
                                   .z = in.z.matrix(),
                                   .kl = in.kl.vector(),
                                   .clamped = clamped.vector(),
                                   .log_pz = log_pz.vector(),
                                   .log_qz_given_x = log_qz.vector()});
    covariance_factor(test::exec(1), in.args());
    std::vector<double> sigma;
    for (const double v : to_double(log_var.matrix())) sigma.push_back(std::exp(v / 2));
    const auto factor = to_double(in.factor.matrix()), mean = to_double(mu.matrix());
    Parity parity;
    for (int b = 0; b < c.batch; ++b) {
      const auto l = triangle(factor, sigma, b, Z);
      double log_det = 0, trace = 0, squares = 0;
      for (int i = 0; i < Z; ++i) {
        log_det += 2 * std::log(l[i][i]);
        squares += mean[std::size_t(b) * Z + i] * mean[std::size_t(b) * Z + i];
        for (int j = 0; j <= i; ++j) trace += l[i][j] * l[i][j];
      }
      // As the tolerance of either op: (8 + Z / 16) roundings of terms up to these.
      const double roundings = (8 + Z / 16.0) * kEps;
      parity.element("kl", b, 0, in.kl.vector()(b), (trace + squares - Z - log_det) / 2,
                     2 * roundings * (trace + squares + Z + std::abs(log_det)));
      for (int s = 0; s < c.samples; ++s) {
        // Solve L y = z - mu from the top; what z may be off by is solved for beside it, all magnitudes
        // added.
        std::vector<double> y(std::size_t(Z), 0.0), off(y);
        double quadratic = 0, tolerance = 0;
        for (int i = 0; i < Z; ++i) {
          const double m = mean[std::size_t(b) * Z + i];
          double rest = in.z.matrix()(b * c.samples + s, i) - m, error = 2 * roundings * std::abs(m);
          for (int j = 0; j < i; ++j) {
            rest -= l[i][j] * y[j];
            error += std::abs(l[i][j]) * (roundings * std::abs(y[j]) + kEpsError + off[j]);
          }
          y[i] = rest / l[i][i];
          off[i] = error / l[i][i] + roundings * std::abs(y[i]) + kEpsError;
          quadratic += y[i] * y[i];
          tolerance += std::abs(y[i]) * off[i];
        }
        const double want = -(Z * std::log(2 * std::numbers::pi) + log_det + quadratic) / 2;
        parity.element("log_qz_given_x", b, s, log_qz.vector()(b * c.samples + s), want,
                       tolerance + roundings * (2 * Z + std::abs(log_det) + quadratic));
      }
    }
    FELBO_EXPECT_PARITY(parity);
  }
}

// mu = 0 and sigma = 1 give z = eps; a factor with a single 1, at (i, j), adds eps_j to z_i, in float.
TEST(CovarianceFactor, TheNoiseIsThatOfReparameterize) {
  const Case c{.batch = 3, .samples = 2, .latent = 67};
  Inputs in(c);
  Guarded<float> zero(c.batch, c.latent), eps(in.rows, c.latent);
  Guarded<std::int32_t> clamped(1, c.batch);
  test::fill_normal(zero.matrix(), 1, 0.0f);
  reparameterize(test::exec(1), {.mu = zero.matrix(),
                                 .log_var = zero.matrix(),
                                 .noise = kNoise,
                                 .datum = in.datum_view(),
                                 .first_sample = kFirstSample,
                                 .samples = c.samples,
                                 .z = eps.matrix(),
                                 .kl = in.kl.vector(),
                                 .clamped = clamped.vector()});
  for (int j = 0; j < c.latent - 1; ++j) {
    test::fill_normal(in.factor.matrix(), 1, 0.0f);
    test::fill_normal(in.z.matrix(), 1, 0.0f);
    test::fill_normal(in.grad_z.matrix(), 1, 0.0f);
    const int i = j + 1 + (c.latent - 2 - j) / 2;  // some row below
    for (int b = 0; b < c.batch; ++b) {
      in.factor.matrix()(b, below_diagonal(i) + j) = 1.0f;
      in.grad_z.matrix()(b * c.samples + 1, i) = 1.0f;  // of the second sample alone
    }
    covariance_factor(test::exec(1), in.args());
    covariance_factor_backward(test::exec(1), in.grad_args(0.0f));
    for (std::int64_t r = 0; r < in.rows; ++r)
      ASSERT_EQ(in.z.matrix()(r, i), eps.matrix()(r, j)) << r << " " << j;
    for (int b = 0; b < c.batch; ++b)
      ASSERT_EQ(in.grad_factor.matrix()(b, below_diagonal(i) + j), eps.matrix()(b * c.samples + 1, j)) << j;
  }
}

// loss = sum c z + kl_scale KL is quadratic in the factor, so a central difference has no error but rounding.
TEST(CovarianceFactorReference, GradientIsTheDerivative) {
  const int B = 2, S = 3, Z = 4;
  std::vector<double> factor{.3, -1.2, 2., .1, .5, -.7, .2, .9, -1.1, .6, .4, -.3};
  std::vector<double> c, z(std::size_t(B) * S * Z, 0.25);
  for (int i = 0; i < B * S * Z; ++i) c.push_back(std::sin(1.0 + i));
  const auto eps = [](int b, int s, int d) { return 0.3 * b - 0.7 * s + 1.1 * d - 0.4; };
  const double kl_scale = 0.8, h = 1e-3;
  const auto loss = [&] {
    const auto out = reference::covariance_factor<double>(factor, z, B, S, Z, eps);
    double sum = 0;
    for (std::size_t i = 0; i < c.size(); ++i) sum += c[i] * out.z[i];
    for (const double kl : out.kl) sum += kl_scale * kl;
    return sum;
  };
  const auto gradient = reference::covariance_factor_gradient<double>(factor, c, B, S, Z, kl_scale, eps);
  ASSERT_EQ(gradient.size(), factor.size());
  for (std::size_t k = 0; k < factor.size(); ++k) {
    const double saved = factor[k];
    factor[k] = saved + h;
    const double up = loss();
    factor[k] = saved - h;
    const double down = loss();
    factor[k] = saved;
    EXPECT_NEAR((up - down) / (2 * h), gradient[k], 1e-11);
  }
}

// By hand: L = ((1), (2, 1), (-1, 3, 1)), eps = (1, 10, 100).
TEST(CovarianceFactorReference, KnownProduct) {
  const auto eps = [](int, int, int d) { return d == 0 ? 1.0 : d == 1 ? 10.0 : 100.0; };
  const auto out = reference::covariance_factor<double>({2, -1, 3}, {1, 10, 100}, 1, 1, 3, eps);
  EXPECT_EQ(out.z, (std::vector<double>{1, 12, 129}));
  EXPECT_EQ(out.kl, (std::vector<double>{7}));
}

// Users rely on it: neither the thread count nor the batch split changes a bit.
TEST(CovarianceFactor, BitsDoNotDependOnThreadsOrBatch) {
  const Case c{.batch = 37, .samples = 3, .latent = 50};
  Inputs whole(c);
  covariance_factor(test::exec(1), whole.args());
  covariance_factor_backward(test::exec(1), whole.grad_args());
  for (const int threads : {1, 2, 5}) {
    Inputs in(c);
    const auto run = [&](std::int64_t first, std::int64_t count) {
      auto args = in.args();
      auto grad = in.grad_args();
      args.factor = grad.factor = in.factor.matrix().row_slice(first, count);
      args.datum = grad.datum = in.datum_view().slice(first, count);
      args.z = in.z.matrix().row_slice(first * c.samples, count * c.samples);
      args.kl = in.kl.vector().slice(first, count);
      grad.grad_z = in.grad_z.matrix().row_slice(first * c.samples, count * c.samples);
      grad.grad_factor = in.grad_factor.matrix().row_slice(first, count);
      covariance_factor(test::exec(threads), args);
      covariance_factor_backward(test::exec(threads), grad);
    };
    run(0, 10);
    run(10, 27);
    EXPECT_TRUE(test::same_bits(in.z.matrix(), whole.z.matrix()));
    EXPECT_TRUE(test::same_bits(in.kl.matrix(), whole.kl.matrix()));
    EXPECT_TRUE(test::same_bits(in.grad_factor.matrix(), whole.grad_factor.matrix()));
  }
}

// Every operation on an element of the gradient is the CPU's.
TEST(CovarianceFactor, GradientBitsAreThoseOfTheCpu) {
  for (const Case& c : {Case{.batch = 6, .samples = 7, .latent = 29, .extra_stride = 2},
                        Case{.batch = 3, .samples = 1, .latent = 130, .offset = 1},
                        Case{.batch = 2, .samples = 5, .latent = 260}}) {
    Inputs in(c), cpu(c);
    covariance_factor_backward(test::exec(1), in.grad_args());
    covariance_factor_backward(CpuExec(1), cpu.grad_args());
    EXPECT_TRUE(test::same_bits(in.grad_factor.matrix(), cpu.grad_factor.matrix())) << c.latent;
  }
}

TEST(CovarianceFactor, KlMayBeLeftOut) {
  const Case c{.batch = 3, .samples = 2, .latent = 40};
  Inputs with(c), without(c);
  auto args = without.args();
  args.kl = {};
  covariance_factor(test::exec(1), with.args());
  covariance_factor(test::exec(1), args);
  EXPECT_TRUE(test::same_bits(with.z.matrix(), without.z.matrix()));
}

TEST(CovarianceFactor, NanReachesTheOutputs) {
  const Case c{.batch = 2, .samples = 2, .latent = 40};
  Inputs in(c);
  const std::int64_t at = below_diagonal(30) + 17;
  in.factor.matrix()(1, at) = std::nanf("");
  covariance_factor(test::exec(1), in.args());
  covariance_factor_backward(test::exec(1), in.grad_args());
  EXPECT_FALSE(std::isnan(in.kl.vector()(0)));
  EXPECT_TRUE(std::isnan(in.kl.vector()(1)));
  for (std::int64_t r = 0; r < in.rows; ++r) EXPECT_EQ(std::isnan(in.z.matrix()(r, 30)), r >= 2) << r;
  EXPECT_TRUE(std::isnan(in.grad_factor.matrix()(1, at)));
  Inputs other(c);
  other.grad_z.matrix()(3, 30) = std::nanf("");
  covariance_factor_backward(test::exec(1), other.grad_args());
  for (int j = 0; j < 30; ++j) EXPECT_TRUE(std::isnan(other.grad_factor.matrix()(1, below_diagonal(30) + j)));
  EXPECT_FALSE(std::isnan(other.grad_factor.matrix()(1, below_diagonal(31))));
}

TEST(CovarianceFactor, RefusesShapesThatDisagree) {
  Inputs in({.batch = 3, .samples = 2, .latent = 5});
  for (int broken = 0; broken < 7; ++broken) {
    CovarianceFactorArgs args = in.args();
    if (broken == 0) args.factor.cols = 9;
    if (broken == 1) args.factor.rows = 2;
    if (broken == 2) args.datum.size = 2;
    if (broken == 3) args.z.rows = 5;
    if (broken == 4) args.kl.size = 6;
    if (broken == 5) args.samples = 0;
    if (broken == 6) args.first_sample = kMaxNoiseSamples - 1;
    EXPECT_THROW(covariance_factor(test::exec(1), args), std::invalid_argument) << broken;
  }
  CovarianceFactorGradArgs grad = in.grad_args();
  grad.grad_factor.cols = 9;
  EXPECT_THROW(covariance_factor_backward(test::exec(1), grad), std::invalid_argument);
  grad = in.grad_args();
  grad.grad_z.cols = 6;
  EXPECT_THROW(covariance_factor_backward(test::exec(1), grad), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
