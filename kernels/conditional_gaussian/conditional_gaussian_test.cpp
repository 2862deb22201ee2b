#include "kernels/conditional_gaussian/conditional_gaussian.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/conditional_gaussian/conditional_gaussian_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/reparameterize/reparameterize.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;
using Values = std::vector<double>;

constexpr std::uint32_t kFirstSample = 11;
const NoiseStream kNoise{0xfeedface12345678u, 9, Purpose::kLatentAbove};
constexpr float kScale = 0.375f;
// eps itself carries an absolute error of about 3e-6 at worst (noise_test.cpp).
constexpr double kEpsError = 3e-6;

struct Case {
  int batch, samples, latent;
  int extra_stride = 0, offset = 0;
  LogVarClamp clamp = {};
  bool weighed = true, top = true;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  // Past 64 and 2048 columns kernels give more threads to a row; noise is made 256 columns at a time on a
  // CPU, for 16 rows.
  for (const int latent : {1, 2, 3, 4, 20, 31, 32, 33, 64, 65, 127, 128, 129, 255, 256, 257, 783, 785}) {
    out.push_back(
        {.batch = 3, .samples = 1, .latent = latent, .extra_stride = latent % 3, .offset = latent % 2});
    out.push_back({.batch = 5, .samples = 7, .latent = latent, .offset = 3, .weighed = false});
    out.push_back({.batch = 2, .samples = 3, .latent = latent, .extra_stride = 4, .top = false});
  }
  for (const int latent : {2048, 2049}) out.push_back({.batch = 2, .samples = 2, .latent = latent});
  out.push_back({.batch = 67, .samples = 5, .latent = 50});
  out.push_back({.batch = 9, .samples = 5, .latent = 33, .clamp = {-0.6f, 0.3f}});
  return out;
}

struct Problem {
  explicit Problem(const Case& c)
      : c(c),
        rows(std::int64_t{c.batch} * c.samples),
        mu(matrix(1)),
        log_var(matrix(2)),
        z(matrix(0)),
        grad_z(matrix(3)),
        grad_mu(matrix(0)),
        grad_log_var(matrix(0)),
        log(1, rows, 0, 1),
        log_standard(1, rows),
        weight(1, rows, 0, c.offset),
        clamped(1, rows) {
    test::fill_normal(log.matrix(), 4, 3.0f, -40.0f);
    for (std::int64_t r = 0; r < rows; ++r) weight.vector()(r) = 0.01f + 0.07f * static_cast<float>(r % 11);
    for (std::int64_t r = 0; r < rows; ++r) clamped.vector()(r) = static_cast<std::int32_t>(r);
    for (int b = 0; b < c.batch; ++b) datum.push_back(static_cast<std::uint32_t>(1000003 * (b + 1)));
  }
  Guarded<float> matrix(int fill) const {
    Guarded<float> m(std::int64_t{c.batch} * c.samples, c.latent, c.extra_stride, c.offset);
    if (fill == 1) test::fill_normal(m.matrix(), 1, 0.7f);
    if (fill == 2) test::fill_normal(m.matrix(), 2, 0.8f, -0.3f);
    if (fill == 3) test::fill_normal(m.matrix(), 3, 0.2f);
    return m;
  }
  View<const std::uint32_t, 1> datum_view() const { return {datum.data(), c.batch}; }
  View<const float, 1> weights() { return c.weighed ? weight.vector() : View<float, 1>(); }

  ConditionalDrawArgs draw_args() {
    return {.mu = mu.matrix(),
            .log_var = log_var.matrix(),
            .clamp = c.clamp,
            .noise = kNoise,
            .datum = datum_view(),
            .first_sample = kFirstSample,
            .samples = c.samples,
            .z = z.matrix(),
            .log_q = log.vector(),
            .log_standard = c.top ? log_standard.vector() : View<float, 1>(),
            .clamped = clamped.vector()};
  }
  ConditionalDrawGradArgs draw_grad_args() {
    return {.mu = mu.matrix(),
            .log_var = log_var.matrix(),
            .clamp = c.clamp,
            .noise = kNoise,
            .datum = datum_view(),
            .first_sample = kFirstSample,
            .samples = c.samples,
            .grad_z = grad_z.matrix(),
            .kl_scale = kScale,
            .weight = weights(),
            .standard_prior = c.top,
            .grad_mu = grad_mu.matrix(),
            .grad_log_var = grad_log_var.matrix()};
  }
  ConditionalDensityArgs density_args() {
    return {.z = z.matrix(),
            .mu = mu.matrix(),
            .log_var = log_var.matrix(),
            .clamp = c.clamp,
            .log_p = log.vector(),
            .clamped = clamped.vector()};
  }
  ConditionalDensityGradArgs density_grad_args() {
    return {.z = z.matrix(),
            .mu = mu.matrix(),
            .log_var = log_var.matrix(),
            .clamp = c.clamp,
            .samples = c.samples,
            .kl_scale = kScale,
            .weight = weights(),
            .grad_z = grad_z.matrix(),
            .grad_mu = grad_mu.matrix(),
            .grad_log_var = grad_log_var.matrix()};
  }
  /// Any h for the density.
  void place() { test::fill_normal(z.matrix(), 5); }

  Values eps_of(std::int64_t row) const {
    Values eps;
    for (int d = 0; d < c.latent; ++d)
      eps.push_back(reference::normal(
          kNoise.seed, kNoise.step.get(), static_cast<std::uint32_t>(kNoise.purpose), datum[row / c.samples],
          kFirstSample + static_cast<std::uint32_t>(row % c.samples), static_cast<std::uint32_t>(d)));
    return eps;
  }
  /// c w of a row.
  double scale_of(std::int64_t row) {
    return double(kScale) * (c.weighed ? double(weight.vector()(row)) : 1.0 / c.samples);
  }
  int clamped_of(std::int64_t row) {
    int count = 0;
    for (const double v : of(log_var, row)) count += v < c.clamp.lo || v > c.clamp.hi;
    return count;
  }
  static Values of(Guarded<float>& m, std::int64_t row) {
    const float* begin = m.matrix().row(row);
    return {begin, begin + m.matrix().cols};
  }

  Case c;
  std::int64_t rows;
  Guarded<float> mu, log_var, z, grad_z, grad_mu, grad_log_var, log, log_standard, weight;
  Guarded<std::int32_t> clamped;
  test::Array<std::uint32_t> datum;

  void check_guards(Parity& parity, const std::string& what) const {
    for (const Guarded<float>* g :
         {&mu, &log_var, &z, &grad_z, &grad_mu, &grad_log_var, &log, &log_standard, &weight})
      g->check_guards(parity, what);
    clamped.check_guards(parity, what);
  }
};

double sigma_of(const Problem& p, double log_var) {
  return std::exp(std::clamp<double>(log_var, p.c.clamp.lo, p.c.clamp.hi) / 2);
}

// An element has an exponential within 2 ulp, two or three products and sums; a row's sum of n terms adds
// n / 16 roundings in a CPU's lanes. Gradients scale products of those by c w, which itself rounds twice.
constexpr double kElement = 6 * kEps;
double row_roundings(int latent) { return (8 + std::min(latent, 1024) / 16.0) * kEps; }

TEST(ConditionalDraw, MatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    Problem p(c);
    const Values before = Problem::of(p.log, 0);
    conditional_draw(test::exec(1 + c.batch % 3), p.draw_args());
    Parity parity;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      const Values mu = Problem::of(p.mu, r), log_var = Problem::of(p.log_var, r), eps = p.eps_of(r);
      const auto want = reference::conditional_draw<double>(mu, log_var, eps, c.clamp.lo, c.clamp.hi);
      double q_error = 0, standard_error = 0;
      for (int d = 0; d < c.latent; ++d) {
        const double sigma = sigma_of(p, log_var[d]), z = want.z[d];
        const double z_error = sigma * kEpsError + kElement * (std::abs(mu[d]) + sigma * std::abs(eps[d]));
        parity.element("z", r, d, p.z.matrix()(r, d), z, z_error);
        q_error += std::abs(eps[d]) * kEpsError +
                   row_roundings(c.latent) * (1 + eps[d] * eps[d] / 2 + std::abs(log_var[d]) / 2);
        standard_error += std::abs(z) * z_error + row_roundings(c.latent) * (1 + z * z / 2);
      }
      const double start = before[std::size_t(r)];
      parity.element("log_q", r, 0, p.log.vector()(r), start + want.log_q,
                     q_error + kEps * (std::abs(start) + std::abs(want.log_q)));
      if (c.top)
        parity.element("log_standard", r, 0, p.log_standard.vector()(r), want.log_standard, standard_error);
      EXPECT_EQ(p.clamped.vector()(r), r + p.clamped_of(r)) << r;
    }
    p.check_guards(parity, "draw");
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(ConditionalDraw, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    Problem p(c);
    conditional_draw_backward(test::exec(1 + c.batch % 3), p.draw_grad_args());
    Parity parity;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      const Values mu = Problem::of(p.mu, r), log_var = Problem::of(p.log_var, r), eps = p.eps_of(r),
                   grad_z = Problem::of(p.grad_z, r);
      const double scale = p.scale_of(r), pull = c.top ? scale : 0.0;
      const auto want = reference::conditional_draw_gradient<double>(mu, log_var, eps, grad_z, scale, c.top,
                                                                     c.clamp.lo, c.clamp.hi);
      for (int d = 0; d < c.latent; ++d) {
        const double sigma = sigma_of(p, log_var[d]), e = std::abs(eps[d]);
        const double magnitude = std::abs(grad_z[d]) + pull * (std::abs(mu[d]) + sigma * e);
        const double g_error = kElement * magnitude + pull * sigma * kEpsError;
        parity.element("grad_mu", r, d, p.grad_mu.matrix()(r, d), want.mu[d], g_error);
        parity.element(
            "grad_log_var", r, d, p.grad_log_var.matrix()(r, d), want.log_var[d],
            g_error * e * sigma + magnitude * sigma * kEpsError + kElement * (magnitude * e * sigma + scale));
      }
    }
    p.check_guards(parity, "draw_backward");
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(ConditionalDensity, MatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    Problem p(c);
    p.place();
    const Values before = Problem::of(p.log, 0);
    conditional_density(test::exec(1 + c.batch % 3), p.density_args());
    Parity parity;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      const Values z = Problem::of(p.z, r), mu = Problem::of(p.mu, r), log_var = Problem::of(p.log_var, r);
      const double want =
          reference::diagonal_gaussian_log_density<double>(z, mu, log_var, c.clamp.lo, c.clamp.hi);
      double error = 0;
      for (int d = 0; d < c.latent; ++d) {
        const double t = (z[d] - mu[d]) / sigma_of(p, log_var[d]);
        error += row_roundings(c.latent) * (1 + t * t / 2 + std::abs(log_var[d]) / 2) + kElement * t * t;
      }
      const double start = before[std::size_t(r)];
      parity.element("log_p", r, 0, p.log.vector()(r), start + want,
                     error + kEps * (std::abs(start) + std::abs(want)));
      EXPECT_EQ(p.clamped.vector()(r), r + p.clamped_of(r)) << r;
    }
    p.check_guards(parity, "density");
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(ConditionalDensity, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    Problem p(c);
    p.place();
    const Values before = test::to_double(p.grad_z.matrix());
    conditional_density_backward(test::exec(1 + c.batch % 3), p.density_grad_args());
    Parity parity;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      const Values z = Problem::of(p.z, r), mu = Problem::of(p.mu, r), log_var = Problem::of(p.log_var, r);
      const double scale = p.scale_of(r);
      const auto want =
          reference::conditional_density_gradient<double>(z, mu, log_var, scale, c.clamp.lo, c.clamp.hi);
      for (int d = 0; d < c.latent; ++d) {
        const double t = (z[d] - mu[d]) / sigma_of(p, log_var[d]),
                     start = before[std::size_t(r) * std::size_t(c.latent) + std::size_t(d)];
        parity.element("grad_z", r, d, p.grad_z.matrix()(r, d), start + want.z[d],
                       2 * kElement * (std::abs(start) + std::abs(want.z[d])));
        parity.element("grad_mu", r, d, p.grad_mu.matrix()(r, d), want.mu[d],
                       2 * kElement * std::abs(want.mu[d]));
        parity.element("grad_log_var", r, d, p.grad_log_var.matrix()(r, d), want.log_var[d],
                       2 * kElement * scale * (1 + t * t));
      }
    }
    p.check_guards(parity, "density_backward");
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(AddGradient, Adds) {
  for (const Case& c : cases()) {
    Problem p(c);
    const Values before = test::to_double(p.grad_z.matrix()), more = test::to_double(p.mu.matrix());
    add_gradient(test::exec(2), {p.mu.matrix(), p.grad_z.matrix()});
    Values want, tolerance;
    for (std::size_t k = 0; k < before.size(); ++k) {
      want.push_back(before[k] + more[k]);
      tolerance.push_back(kEps * std::abs(want[k]));
    }
    Parity parity;
    parity.compare("gradient", p.grad_z.matrix(), want, tolerance);
    p.check_guards(parity, "add_gradient");
    FELBO_EXPECT_PARITY(parity);
  }
}

// By central differences: truncation below h^2 times third derivatives of order 10.
TEST(ConditionalGaussianReference, GradientsAreDerivatives) {
  const Values a{0.3, -1.2, 0.7}, v{-0.4, 0.5, 3.0}, eps{0.9, -0.3, 1.4}, grad_z{0.2, -0.5, 0.1},
      z{0.1, 0.4, -0.8};
  const double scale = 0.7, lo = -2, hi = 2, h = 1e-5;
  for (const bool top : {false, true}) {
    const auto loss = [&](const Values& mu, const Values& log_var) {
      const auto out = reference::conditional_draw<double>(mu, log_var, eps, lo, hi);
      double sum = scale * (out.log_q - (top ? out.log_standard : 0.0));
      for (std::size_t d = 0; d < 3; ++d) sum += grad_z[d] * out.z[d];
      return sum;
    };
    const auto got = reference::conditional_draw_gradient<double>(a, v, eps, grad_z, scale, top, lo, hi);
    for (std::size_t d = 0; d < 3; ++d) {
      Values up = a, down = a, up_v = v, down_v = v;
      up[d] += h, down[d] -= h, up_v[d] += h, down_v[d] -= h;
      EXPECT_NEAR((loss(up, v) - loss(down, v)) / (2 * h), got.mu[d], 1e-8) << d;
      EXPECT_NEAR((loss(a, up_v) - loss(a, down_v)) / (2 * h), got.log_var[d], 1e-8) << d;
    }
  }
  const auto loss = [&](const Values& x, const Values& mu, const Values& log_var) {
    return -scale * reference::diagonal_gaussian_log_density<double>(x, mu, log_var, lo, hi);
  };
  const auto got = reference::conditional_density_gradient<double>(z, a, v, scale, lo, hi);
  for (std::size_t d = 0; d < 3; ++d) {
    const auto moved = [&](Values values, double by) {
      values[d] += by;
      return values;
    };
    EXPECT_NEAR((loss(moved(z, h), a, v) - loss(moved(z, -h), a, v)) / (2 * h), got.z[d], 1e-8) << d;
    EXPECT_NEAR((loss(z, moved(a, h), v) - loss(z, moved(a, -h), v)) / (2 * h), got.mu[d], 1e-8) << d;
    EXPECT_NEAR((loss(z, a, moved(v, h)) - loss(z, a, moved(v, -h))) / (2 * h), got.log_var[d], 1e-8) << d;
  }
}

// mpmath: -(log(2 pi) + 0.3)/2 - (0.5 - 1.25)^2 exp(-0.3)/2 - (log(2 pi) - 1.1)/2 - (2 + 0.25)^2 exp(1.1)/2
TEST(ConditionalGaussianReference, GoldenValue) {
  EXPECT_NEAR(
      reference::diagonal_gaussian_log_density<double>({0.5, 2.0}, {1.25, -0.25}, {0.3, -1.1}, -20, 20),
      -9.25052743909048744828981285576, 1e-12);
}

// The noise of a row is that which reparameterize() gives a datum's sample under the same purpose, and that
// of another purpose is another one: h1 and h2 share none.
TEST(ConditionalDraw, NoiseIsNamedByDatumSampleAndPurpose) {
  const Case c{.batch = 5, .samples = 7, .latent = 70};
  Problem p(c);
  Guarded<float> zero(c.batch, c.latent), eps(p.rows, c.latent), kl(1, c.batch);
  Guarded<std::int32_t> clamped(1, c.batch);
  test::fill_normal(zero.matrix(), 1, 0.0f);
  test::fill_normal(p.mu.matrix(), 1, 0.0f);
  test::fill_normal(p.log_var.matrix(), 1, 0.0f);
  conditional_draw(test::exec(2), p.draw_args());
  const auto first = [&](Purpose purpose) {
    reparameterize(test::exec(1), {.mu = zero.matrix(),
                                   .log_var = zero.matrix(),
                                   .noise = {kNoise.seed, kNoise.step, purpose},
                                   .datum = p.datum_view(),
                                   .first_sample = kFirstSample,
                                   .samples = c.samples,
                                   .z = eps.matrix(),
                                   .kl = kl.vector(),
                                   .clamped = clamped.vector()});
  };
  first(kNoise.purpose);
  EXPECT_TRUE(test::same_bits(p.z.matrix(), eps.matrix()));
  std::set<std::uint32_t> purposes;
  for (const Purpose use : {Purpose::kLatentAbove, Purpose::kHeldOutLatentAbove, Purpose::kPriorBelow}) {
    for (int layer = 2; layer < 2 + kMostLayersAbove; ++layer)
      purposes.insert(static_cast<std::uint32_t>(purpose_of_layer(use, layer)));
  }
  EXPECT_EQ(purposes.size(), 3u * kMostLayersAbove);
  EXPECT_LT(*purposes.rbegin(), 64u);  // six bits of the counter
  EXPECT_GT(*purposes.begin(), static_cast<std::uint32_t>(Purpose::kCorruption));
  first(Purpose::kLatent);
  for (std::int64_t r = 0; r < p.rows; ++r) {
    int equal = 0;
    for (int d = 0; d < c.latent; ++d) equal += p.z.matrix()(r, d) == eps.matrix()(r, d);
    EXPECT_EQ(equal, 0) << r;
  }
}

// Neither the thread count nor the batch split changes a bit.
TEST(ConditionalGaussian, BitsDoNotDependOnThreadsOrBatch) {
  const Case c{.batch = 61, .samples = 3, .latent = 100};
  const auto run = [&](Problem& p, int threads, std::int64_t first, std::int64_t count) {
    const std::int64_t row = first * c.samples, rows = count * c.samples;
    const auto cut = [&](auto args) {
      args.mu = args.mu.row_slice(row, rows);
      args.log_var = args.log_var.row_slice(row, rows);
      return args;
    };
    auto draw = cut(p.draw_args());
    draw.datum = draw.datum.slice(first, count);
    draw.z = draw.z.row_slice(row, rows);
    draw.log_q = draw.log_q.slice(row, rows);
    draw.log_standard = draw.log_standard.slice(row, rows);
    draw.clamped = draw.clamped.slice(row, rows);
    conditional_draw(test::exec(threads), draw);
    auto density = cut(p.density_args());
    density.z = density.z.row_slice(row, rows);
    density.mu = p.grad_z.matrix().row_slice(row, rows);
    density.log_p = density.log_p.slice(row, rows);
    density.clamped = density.clamped.slice(row, rows);
    conditional_density(test::exec(threads), density);
    auto grad = cut(p.density_grad_args());
    grad.z = grad.z.row_slice(row, rows);
    grad.weight = grad.weight.slice(row, rows);
    grad.grad_z = grad.grad_z.row_slice(row, rows);
    grad.grad_mu = grad.grad_mu.row_slice(row, rows);
    grad.grad_log_var = grad.grad_log_var.row_slice(row, rows);
    conditional_density_backward(test::exec(threads), grad);
    auto back = cut(p.draw_grad_args());
    back.datum = back.datum.slice(first, count);
    back.weight = back.weight.slice(row, rows);
    back.grad_z = back.grad_z.row_slice(row, rows);
    back.grad_mu = back.grad_mu.row_slice(row, rows);
    back.grad_log_var = back.grad_log_var.row_slice(row, rows);
    conditional_draw_backward(test::exec(threads), back);
    add_gradient(test::exec(threads),
                 {p.grad_mu.matrix().row_slice(row, rows), p.grad_z.matrix().row_slice(row, rows)});
  };
  Problem whole(c);
  run(whole, 1, 0, c.batch);
  for (const int threads : {1, 2, 5}) {
    Problem p(c);
    run(p, threads, 0, 19);
    run(p, threads, 19, c.batch - 19);
    for (auto member : {&Problem::z, &Problem::grad_z, &Problem::grad_mu, &Problem::grad_log_var,
                        &Problem::log, &Problem::log_standard})
      EXPECT_TRUE(test::same_bits((p.*member).matrix(), (whole.*member).matrix())) << threads;
  }
}

TEST(ConditionalGaussian, NanReachesItsRowAlone) {
  const Case c{.batch = 3, .samples = 2, .latent = 40};
  Problem p(c);
  p.log_var.matrix()(3, 17) = std::nanf("");
  conditional_draw(test::exec(1), p.draw_args());
  for (std::int64_t r = 0; r < p.rows; ++r) {
    EXPECT_EQ(std::isnan(p.log.vector()(r)), r == 3) << r;
    EXPECT_EQ(std::isnan(p.log_standard.vector()(r)), r == 3) << r;
    EXPECT_EQ(std::isnan(p.z.matrix()(r, 17)), r == 3) << r;
  }
  Problem density(c);
  density.place();
  density.mu.matrix()(2, 5) = std::nanf("");
  conditional_density(test::exec(1), density.density_args());
  conditional_density_backward(test::exec(1), density.density_grad_args());
  for (std::int64_t r = 0; r < p.rows; ++r) {
    EXPECT_EQ(std::isnan(density.log.vector()(r)), r == 2) << r;
    EXPECT_EQ(std::isnan(density.grad_z.matrix()(r, 5)), r == 2) << r;
    EXPECT_EQ(std::isnan(density.grad_log_var.matrix()(r, 5)), r == 2) << r;
  }
}

TEST(ConditionalGaussian, RefusesShapesThatDisagree) {
  Problem p({.batch = 3, .samples = 2, .latent = 5});
  p.place();
  for (int broken = 0; broken < 8; ++broken) {
    ConditionalDrawArgs args = p.draw_args();
    if (broken == 0) args.log_var.cols = 4;
    if (broken == 1) args.datum.size = 6;
    if (broken == 2) args.samples = 1;
    if (broken == 3) args.z.rows = 5;
    if (broken == 4) args.log_q.size = 3;
    if (broken == 5) args.log_standard.size = 3;
    if (broken == 6) args.clamped.size = 3;
    if (broken == 7) args.first_sample = kMaxNoiseSamples - 1;
    EXPECT_THROW(conditional_draw(test::exec(1), args), std::invalid_argument) << broken;
  }
  for (int broken = 0; broken < 4; ++broken) {
    ConditionalDrawGradArgs args = p.draw_grad_args();
    ConditionalDensityGradArgs density = p.density_grad_args();
    if (broken == 0) args.grad_z.cols = density.grad_z.cols = 4;
    if (broken == 1) args.weight.size = density.weight.size = 3;
    if (broken == 2) args.grad_mu.rows = density.grad_mu.rows = 3;
    if (broken == 3) args.grad_log_var.cols = density.grad_log_var.cols = 6;
    EXPECT_THROW(conditional_draw_backward(test::exec(1), args), std::invalid_argument) << broken;
    EXPECT_THROW(conditional_density_backward(test::exec(1), density), std::invalid_argument) << broken;
  }
  for (int broken = 0; broken < 3; ++broken) {
    ConditionalDensityArgs args = p.density_args();
    if (broken == 0) args.z.rows = 5;
    if (broken == 1) args.log_p.size = 5;
    if (broken == 2) args.clamp = {1.0f, -1.0f};
    EXPECT_THROW(conditional_density(test::exec(1), args), std::invalid_argument) << broken;
  }
  EXPECT_THROW(add_gradient(test::exec(1), {p.mu.matrix().row_slice(0, 5), p.grad_z.matrix()}),
               std::invalid_argument);
}

}  // namespace
}  // namespace felbo
