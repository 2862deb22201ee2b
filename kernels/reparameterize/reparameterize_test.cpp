#include "kernels/reparameterize/reparameterize.h"

#include <gtest/gtest.h>

#include <complex>

#include "kernels/noise/noise_reference.h"
#include "kernels/reparameterize/reparameterize_reference.h"
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
  LogVarClamp clamp{};
  float log_var_scale = 1.0f;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  // 64 and 2048 are where kernels give more threads to a row.
  for (const int latent :
       {1, 2, 3, 20, 31, 32, 33, 64, 65, 127, 128, 129, 255, 256, 257, 783, 784, 785, 2049}) {
    out.push_back(
        {.batch = 3, .samples = 1, .latent = latent, .extra_stride = latent % 3, .offset = latent % 2});
    out.push_back({.batch = 7, .samples = 5, .latent = latent});
  }
  out.push_back({.batch = 1, .samples = 1, .latent = 1});
  out.push_back({.batch = 129, .samples = 1, .latent = 20, .extra_stride = 20});
  out.push_back({.batch = 5, .samples = 33, .latent = 50});
  out.push_back({.batch = 9, .samples = 2, .latent = 20, .clamp = {-1.0f, 0.5f}, .log_var_scale = 3.0f});
  out.push_back({.batch = 9, .samples = 1, .latent = 20, .clamp = {-20.0f, 20.0f}, .log_var_scale = 15.0f});
  return out;
}

constexpr std::uint32_t kFirstSample = 11;
const NoiseStream kNoise{0xfeedface12345678u, 9, Purpose::kLatent};

/// T: how the gradient of z is stored.
template <class T = float>
struct Inputs {
  explicit Inputs(const Case& c)
      : mu(c.batch, c.latent, c.extra_stride, c.offset),
        log_var(c.batch, c.latent, c.extra_stride, c.offset),
        grad_z(std::int64_t{c.batch} * c.samples, c.latent, c.extra_stride, c.offset) {
    test::fill_normal(mu.matrix(), 1);
    test::fill_normal(log_var.matrix(), 2, c.log_var_scale, -0.5f);
    test::fill_normal(grad_z.matrix(), 3);
    for (int b = 0; b < c.batch; ++b) datum.push_back(static_cast<std::uint32_t>(1000003 * (b + 1)));
  }
  double eps(int b, int s, int d) const {
    return reference::normal(kNoise.seed, kNoise.step.get(), static_cast<std::uint32_t>(kNoise.purpose),
                             datum[b], kFirstSample + static_cast<std::uint32_t>(s),
                             static_cast<std::uint32_t>(d));
  }
  View<const std::uint32_t, 1> datum_view() const {
    return {datum.data(), static_cast<std::int64_t>(datum.size())};
  }

  Guarded<float> mu, log_var;
  Guarded<T> grad_z;
  test::Array<std::uint32_t> datum;
};

// eps itself carries an absolute error of about 3e-6 at worst (noise_test.cpp); everything else is a few
// roundings.
constexpr double kEpsError = 3e-6;

template <class T = float>
Parity check_forward(const Case& c, int threads) {
  Inputs<T> in(c);
  const std::int64_t rows = std::int64_t{c.batch} * c.samples;
  Guarded<T> z(rows, c.latent, c.extra_stride, c.offset);
  Guarded<float> kl(1, c.batch), log_pz(1, rows), log_qz(1, rows);
  Guarded<std::int32_t> clamped(1, c.batch);
  reparameterize(test::exec(threads),
                 ReparameterizeArgsOf<T>{in.mu.matrix(), in.log_var.matrix(), c.clamp, kNoise,
                                         in.datum_view(), kFirstSample, c.samples, z.matrix(), kl.vector(),
                                         clamped.vector(), log_pz.vector(), log_qz.vector()});
  const auto mu = to_double(in.mu.matrix()), log_var = to_double(in.log_var.matrix());
  const auto want =
      reference::reparameterize<double>(mu, log_var, c.batch, c.samples, c.latent, c.clamp.lo, c.clamp.hi,
                                        [&](int b, int s, int d) { return in.eps(b, s, d); });
  // z: an exp within 2 ulp whose argument is halved exactly, and one fma. log q and log p: one rounding of
  // each term and the lane sum's bound, (1024 / 16 + 4) at most but here cols / 16 + 4 additions; z's own
  // error moves log p by |z| dz, and eps's error moves log q by |eps| deps. kl: exp within 2 ulp of its
  // largest term.
  std::vector<double> tol_z, tol_kl, tol_p, tol_q;
  const double additions = 8 + c.latent / 16.0;
  for (int b = 0; b < c.batch; ++b) {
    double kl_scale = 0;
    for (int d = 0; d < c.latent; ++d) {
      const double m = mu[std::size_t(b) * c.latent + d];
      const double v = std::clamp<double>(log_var[std::size_t(b) * c.latent + d], c.clamp.lo, c.clamp.hi);
      kl_scale += m * m + std::exp(v) + std::abs(v) + 1;
    }
    tol_kl.push_back(additions * kEps * kl_scale);
    for (int s = 0; s < c.samples; ++s) {
      double p = 0, q = 0, through_z = 0;
      for (int d = 0; d < c.latent; ++d) {
        const double m = mu[std::size_t(b) * c.latent + d];
        const double v = std::clamp<double>(log_var[std::size_t(b) * c.latent + d], c.clamp.lo, c.clamp.hi);
        const double e = in.eps(b, s, d), sigma = std::exp(v / 2), at = m + sigma * e;
        const double tolerance = 4 * kEps * (std::abs(m) + sigma * (std::abs(e) + 1)) + sigma * kEpsError;
        tol_z.push_back(tolerance);
        p += 1.84 + at * at;
        q += 1.84 + std::abs(v) + e * e;
        through_z += std::abs(at) * tolerance + std::abs(e) * kEpsError;
      }
      tol_p.push_back(additions * kEps * p + through_z);
      tol_q.push_back(additions * kEps * q + through_z);
    }
  }
  Parity parity;
  parity.compare("z", z.matrix(), want.z, tol_z);
  parity.compare("kl", kl.vector(), want.kl, tol_kl);
  parity.compare("log_pz", log_pz.vector(), want.log_pz, tol_p);
  parity.compare("log_qz_given_x", log_qz.vector(), want.log_qz_given_x, tol_q);
  for (int b = 0; b < c.batch; ++b)
    parity.element("clamped", b, 0, clamped.vector()(b), want.clamped[std::size_t(b)], 0);
  for (const Guarded<float>* g : {&kl, &log_pz, &log_qz, &in.mu, &in.log_var})
    g->check_guards(parity, "forward");
  z.check_guards(parity, "forward");
  return parity;
}

template <class T = float>
Parity check_backward(const Case& c, int threads, bool standard_prior = true) {
  Inputs<T> in(c);
  const float kl_scale = 0.37f;
  Guarded<T> grad_mu(c.batch, c.latent, c.extra_stride, c.offset),
      grad_log_var(c.batch, c.latent, c.extra_stride, c.offset);
  ReparameterizeGradArgsOf<T> args{
      in.mu.matrix(), in.log_var.matrix(), c.clamp,  kNoise,           in.datum_view(),      kFirstSample,
      c.samples,      in.grad_z.matrix(),  kl_scale, grad_mu.matrix(), grad_log_var.matrix()};
  args.standard_prior = standard_prior;
  reparameterize_backward(test::exec(threads), args);
  const auto mu = to_double(in.mu.matrix()), log_var = to_double(in.log_var.matrix()),
             grad_z = to_double(in.grad_z.matrix());
  const auto want = reference::reparameterize_gradient<double>(
      mu, log_var, grad_z, c.batch, c.samples, c.latent, standard_prior ? kl_scale : 0.0f, c.clamp.lo,
      c.clamp.hi, [&](int b, int s, int d) { return in.eps(b, s, d); });
  // Sums over S terms, each a product of values within a few ulp: S + 6 roundings of the sum of magnitudes.
  std::vector<double> tol_mu, tol_log_var;
  for (int b = 0; b < c.batch; ++b) {
    for (int d = 0; d < c.latent; ++d) {
      const std::size_t at = std::size_t(b) * c.latent + d;
      const double v = std::clamp<double>(log_var[at], c.clamp.lo, c.clamp.hi), sigma = std::exp(v / 2);
      double sum_mu = kl_scale * std::abs(mu[at]), sum_v = kl_scale * (std::exp(v) + 1), noise = 0;
      for (int s = 0; s < c.samples; ++s) {
        const double g = std::abs(grad_z[(std::size_t(b) * c.samples + s) * c.latent + d]);
        sum_mu += g;
        sum_v += g * std::abs(in.eps(b, s, d)) * sigma;
        noise += g * sigma * kEpsError;
      }
      tol_mu.push_back((c.samples + 6) * kEps * sum_mu);
      tol_log_var.push_back((c.samples + 6) * kEps * sum_v + noise);
    }
  }
  Parity parity;
  parity.compare("grad_mu", grad_mu.matrix(), want.mu, tol_mu);
  parity.compare("grad_log_var", grad_log_var.matrix(), want.log_var, tol_log_var);
  for (const Guarded<T>* g : {&grad_mu, &grad_log_var, &in.grad_z}) g->check_guards(parity, "backward");
  return parity;
}

constexpr PosteriorGradient kBySamples[] = {PosteriorGradient::kMonteCarlo,
                                            PosteriorGradient::kStickingTheLanding,
                                            PosteriorGradient::kDoublyReparameterized};

/// Weights of the samples that sum to 1 a datum: 1, 2, ... over their sum; or the even ones.
std::vector<float> weights_of(const Case& c, bool even) {
  std::vector<float> out;
  for (int b = 0; b < c.batch; ++b) {
    for (int s = 1; s <= c.samples; ++s)
      out.push_back(even ? 1.0f / float(c.samples) : float(s) / (0.5f * float(c.samples * (c.samples + 1))));
  }
  return out;
}

/// The estimates by samples. With even weights the op is given none.
template <class T = float>
Parity check_sample_gradient(const Case& c, PosteriorGradient kind, bool even, int threads,
                             bool standard_prior = true) {
  Inputs<T> in(c);
  const float kl_scale = 0.37f;
  Guarded<T> grad_mu(c.batch, c.latent, c.extra_stride, c.offset),
      grad_log_var(c.batch, c.latent, c.extra_stride, c.offset);
  const std::vector<float> weight = weights_of(c, even);
  const test::Array<float> given(weight.begin(), weight.end());
  ReparameterizeGradArgsOf<T> args{
      in.mu.matrix(), in.log_var.matrix(), c.clamp,  kNoise,           in.datum_view(),      kFirstSample,
      c.samples,      in.grad_z.matrix(),  kl_scale, grad_mu.matrix(), grad_log_var.matrix()};
  args.gradient = kind;
  args.standard_prior = standard_prior;
  if (!even) args.weight = {given.data(), static_cast<std::int64_t>(given.size())};
  reparameterize_backward(test::exec(threads), args);
  const auto mu = to_double(in.mu.matrix()), log_var = to_double(in.log_var.matrix()),
             grad_z = to_double(in.grad_z.matrix());
  // The reference's prior is N(0, I). Its share of the gradient by z, taken away beforehand, leaves the rest.
  std::vector<double> without = grad_z;
  for (std::size_t i = 0; !standard_prior && i < without.size(); ++i) {
    const std::size_t row = i / std::size_t(c.latent), d = i % std::size_t(c.latent);
    const std::size_t at = row / std::size_t(c.samples) * std::size_t(c.latent) + d;
    const double sigma = std::exp(std::clamp<double>(log_var[at], c.clamp.lo, c.clamp.hi) / 2);
    const double eps = in.eps(int(row) / c.samples, int(row) % c.samples, int(d));
    without[i] -= kl_scale * weight[row] * (mu[at] + sigma * eps);
  }
  const auto want = reference::sample_gradient<double>(
      kind, mu, log_var, without, {weight.begin(), weight.end()}, c.batch, c.samples, c.latent, kl_scale,
      c.clamp.lo, c.clamp.hi, [&](int b, int s, int d) { return in.eps(b, s, d); });
  // As in check_backward, with g = grad_z + kl_scale w (z - eps / sigma) for grad_z: z and 1 / sigma are exps
  // within 2 ulp and up to 3 roundings more, and eps's error moves both.
  const bool total = kind == PosteriorGradient::kMonteCarlo;
  std::vector<double> tol_mu, tol_log_var;
  for (int b = 0; b < c.batch; ++b) {
    for (int d = 0; d < c.latent; ++d) {
      const std::size_t at = std::size_t(b) * c.latent + d;
      const double v = std::clamp<double>(log_var[at], c.clamp.lo, c.clamp.hi), sigma = std::exp(v / 2);
      double sum_mu = 0, sum_v = total ? kl_scale : 0.0, noise_mu = 0, noise_v = 0;
      for (int s = 0; s < c.samples; ++s) {
        const std::size_t row = std::size_t(b) * c.samples + s;
        const double w = weight[row], e = std::abs(in.eps(b, s, d)), factor = kl_scale * w;
        const double outer = kind == PosteriorGradient::kDoublyReparameterized ? w : 1.0;
        const double z = std::abs(mu[at]) + sigma * e, other = total ? 0.0 : e / sigma;
        const double g = outer * (std::abs(grad_z[row * c.latent + d]) + factor * (z + other));
        const double moved = outer * factor * (sigma + (total ? 0.0 : 1 / sigma)) * kEpsError;
        sum_mu += g, noise_mu += moved;
        sum_v += g * e * sigma, noise_v += (moved * e + g * kEpsError) * sigma;
      }
      tol_mu.push_back((c.samples + 8) * kEps * sum_mu + noise_mu);
      tol_log_var.push_back((c.samples + 10) * kEps * sum_v + noise_v);
    }
  }
  Parity parity;
  parity.compare("grad_mu", grad_mu.matrix(), want.mu, tol_mu);
  parity.compare("grad_log_var", grad_log_var.matrix(), want.log_var, tol_log_var);
  for (const Guarded<T>* g : {&grad_mu, &grad_log_var, &in.grad_z}) g->check_guards(parity, "backward");
  return parity;
}

TEST(Reparameterize, SampleGradientsMatchTheReference) {
  for (const Case& c : cases()) {
    for (const PosteriorGradient kind : kBySamples) {
      SCOPED_TRACE(testing::Message()
                   << c.batch << " x " << c.samples << " x " << c.latent << ", " << static_cast<int>(kind));
      const Parity weighed = check_sample_gradient(c, kind, false, 3),
                   even = check_sample_gradient(c, kind, true, 1),
                   another_prior = check_sample_gradient(c, kind, false, 2, false);
      FELBO_EXPECT_PARITY(weighed);
      FELBO_EXPECT_PARITY(even);
      FELBO_EXPECT_PARITY(another_prior);
    }
    const Parity no_kl = check_backward(c, 2, false);
    FELBO_EXPECT_PARITY(no_kl);
  }
}

// Dimensions whose KL counts in part, or not at all: their gradient is that of the rest.
TEST(Reparameterize, KlIsWeighedByDimension) {
  for (const Case& c : cases()) {
    Inputs<> in(c);
    Guarded<float> with_mu(c.batch, c.latent), with_v(c.batch, c.latent), mu(c.batch, c.latent),
        v(c.batch, c.latent);
    test::Array<float> weight;
    for (int d = 0; d < c.latent; ++d) weight.push_back(float(d % 3) / 2);
    ReparameterizeGradArgs args{in.mu.matrix(),  in.log_var.matrix(), c.clamp,        kNoise,
                                in.datum_view(), kFirstSample,        c.samples,      in.grad_z.matrix(),
                                0.25f,           with_mu.matrix(),    with_v.matrix()};
    args.kl_weight = {weight.data(), c.latent};
    reparameterize_backward(test::exec(2), args);
    args.kl_weight = {};
    args.grad_mu = mu.matrix(), args.grad_log_var = v.matrix();
    for (const float of_dimension : {0.0f, 0.125f, 0.25f}) {
      args.kl_scale = of_dimension;  // exact products: the bits are the same
      reparameterize_backward(test::exec(2), args);
      for (int b = 0; b < c.batch; ++b) {
        for (int d = 0; d < c.latent; ++d) {
          if (0.25f * weight[std::size_t(d)] != of_dimension) continue;
          ASSERT_EQ(with_mu.matrix()(b, d), mu.matrix()(b, d)) << b << " " << d;
          ASSERT_EQ(with_v.matrix()(b, d), v.matrix()(b, d)) << b << " " << d;
        }
      }
    }
  }
}

TEST(Reparameterize, ForwardMatchesTheReference) {
  for (const Case& c : cases()) {
    for (const int threads : {1, 3}) {
      SCOPED_TRACE(testing::Message()
                   << c.batch << " x " << c.samples << " x " << c.latent << ", threads " << threads);
      const Parity parity = check_forward(c, threads);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Reparameterize, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    for (const int threads : {1, 3}) {
      SCOPED_TRACE(testing::Message()
                   << c.batch << " x " << c.samples << " x " << c.latent << ", threads " << threads);
      const Parity parity = check_backward(c, threads);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

#if defined(FELBO_TEST_CUDA)

// z and the gradients in bfloat16; the densities are those of z before it is rounded.
TEST(Reparameterize, BFloat16MatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent);
    const Parity forward = check_forward<BFloat16>(c, 1), backward = check_backward<BFloat16>(c, 1);
    FELBO_EXPECT_PARITY(forward);
    FELBO_EXPECT_PARITY(backward);
    for (const PosteriorGradient kind : kBySamples) {
      const Parity by_samples = check_sample_gradient<BFloat16>(c, kind, false, 1);
      FELBO_EXPECT_PARITY(by_samples);
    }
  }
}

#endif

// By hand: KL to N(0, I) of (mu, log_var) = ((.25, -.5), (-.2, .1)) and ((0, -.25), (-1, .5)).
TEST(ReparameterizeReference, KnownKl) {
  const auto zero = [](int, int, int) { return 0.0; };
  const auto out =
      reference::reparameterize<double>({.25, -.5, 0, -.25}, {-.2, .1, -1, .5}, 2, 1, 2, -20, 20, zero);
  EXPECT_NEAR(out.kl[0], 0.1682008, 5e-8);
  EXPECT_NEAR(out.kl[1], 0.2895504, 5e-8);
}

// The reference's gradient against central differences of the reference's value: loss = sum c z + kl_scale
// KL.
TEST(ReparameterizeReference, GradientIsTheDerivative) {
  const int B = 2, S = 3, Z = 2;
  std::vector<double> mu{.3, -1.2, 2., .1}, log_var{-.7, .4, 1.1, -25.};
  std::vector<double> c{.5, -1, 2, .3, -.2, .9, 1.5, -2, .1, .2, .3, -.4};
  const auto eps = [](int b, int s, int d) { return 0.3 * b - 0.7 * s + 1.1 * d; };
  const double kl_scale = 0.8;
  const auto loss = [&] {
    const auto out = reference::reparameterize<double>(mu, log_var, B, S, Z, -20, 20, eps);
    double sum = 0;
    for (std::size_t i = 0; i < c.size(); ++i) sum += c[i] * out.z[i];
    for (const double kl : out.kl) sum += kl_scale * kl;
    return sum;
  };
  const auto gradient =
      reference::reparameterize_gradient<double>(mu, log_var, c, B, S, Z, kl_scale, -20, 20, eps);
  const double h = 1e-5;  // error of a central difference: h^2 f'''/6 + eps(double) |f| / h, below 1e-8 here
  for (std::size_t i = 0; i < mu.size(); ++i) {
    for (auto [values, want] : {std::pair{&mu, gradient.mu[i]}, std::pair{&log_var, gradient.log_var[i]}}) {
      const double saved = (*values)[i];
      (*values)[i] = saved + h;
      const double up = loss();
      (*values)[i] = saved - h;
      const double down = loss();
      (*values)[i] = saved;
      EXPECT_NEAR((up - down) / (2 * h), want, 1e-8);
    }
  }
}

// The estimates by samples against central differences of their loss: grad_z . z + kl_scale sum_s w_s
/// (log q - log p), all of it for the total derivative; with q's own parameters held for those through z.
TEST(ReparameterizeReference, SampleGradientsAreDerivatives) {
  const int B = 2, S = 3, Z = 2;
  const std::vector<double> c{.5, -1, 2, .3, -.2, .9, 1.5, -2, .1, .2, .3, -.4};
  const std::vector<double> weight{.2, .5, .3, .1, .1, .8};
  const auto eps = [](int b, int s, int d) { return 0.3 * b - 0.7 * s + 1.1 * d; };
  const double kl_scale = 0.8, h = 1e-5;
  const std::vector<double> mu0{.3, -1.2, 2., .1}, log_var0{-.7, .4, 1.1, -25.};
  for (const PosteriorGradient kind : kBySamples) {
    const bool total = kind == PosteriorGradient::kMonteCarlo;
    const auto loss = [&](const std::vector<double>& mu, const std::vector<double>& log_var) {
      const auto out = reference::reparameterize<double>(mu, log_var, B, S, Z, -20, 20, eps);
      double sum = 0;
      for (int b = 0; b < B; ++b) {
        for (int s = 0; s < S; ++s) {
          const std::size_t r = std::size_t(b) * S + s;
          double log_q = 0, of_row = 0;
          for (int d = 0; d < Z; ++d) {
            const std::size_t at = std::size_t(b) * Z + d;
            const double m = total ? mu[at] : mu0[at];
            const double v = std::clamp(total ? log_var[at] : log_var0[at], -20.0, 20.0);
            const double z = out.z[r * Z + d];
            log_q -= (v + (z - m) * (z - m) / std::exp(v)) / 2;
            of_row += c[r * Z + d] * z + kl_scale * weight[r] * z * z / 2;
          }
          of_row += kl_scale * weight[r] * log_q;
          sum += of_row * (kind == PosteriorGradient::kDoublyReparameterized ? weight[r] : 1.0);
        }
      }
      return sum;
    };
    const auto gradient =
        reference::sample_gradient<double>(kind, mu0, log_var0, c, weight, B, S, Z, kl_scale, -20, 20, eps);
    for (std::size_t i = 0; i < mu0.size(); ++i) {
      auto up = mu0, down = mu0;
      up[i] += h, down[i] -= h;
      const double by_mean = (loss(up, log_var0) - loss(down, log_var0)) / (2 * h);
      up = down = log_var0;
      up[i] += h, down[i] -= h;
      const double by_log_var = (loss(mu0, up) - loss(mu0, down)) / (2 * h);
      EXPECT_NEAR(by_log_var, gradient.log_var[i], 1e-8);
      // The last log_var lies beyond the clamp, where sigma is e^-10: the difference would lose its digits.
      if (i == 3) continue;
      EXPECT_NEAR(by_mean, gradient.mu[i], 1e-8);
    }
  }
}

// Users rely on it: neither the thread count nor the batch split changes a bit, forward or backward.
TEST(Reparameterize, BitsDoNotDependOnThreadsOrBatch) {
  const Case c{.batch = 37, .samples = 3, .latent = 50};
  Inputs<> in(c);
  test::Array<float> whole_z(37 * 3 * 50), whole_grad(37 * 50), z(37 * 3 * 50), kl(37), grad_mu(37 * 50),
      grad_log_var(37 * 50);
  test::Array<std::int32_t> clamped(37);
  const auto run = [&](int threads, std::int64_t first, std::int64_t count) {
    const View<const std::uint32_t, 1> datum = in.datum_view().slice(first, count);
    const auto mu = in.mu.matrix().row_slice(first, count),
               log_var = in.log_var.matrix().row_slice(first, count);
    reparameterize(test::exec(threads), {mu,
                                         log_var,
                                         c.clamp,
                                         kNoise,
                                         datum,
                                         0,
                                         3,
                                         View<float, 2>(z.data() + first * 150, count * 3, 50),
                                         {kl.data(), count},
                                         {clamped.data(), count},
                                         {},
                                         {}});
    reparameterize_backward(
        test::exec(threads),
        {mu, log_var, c.clamp, kNoise, datum, 0, 3, in.grad_z.matrix().row_slice(first * 3, count * 3), 1.0f,
         View<float, 2>(grad_mu.data() + first * 50, count, 50),
         View<float, 2>(grad_log_var.data() + first * 50, count, 50)});
  };
  run(1, 0, 37);
  whole_z = z;
  whole_grad = grad_log_var;
  for (const int threads : {1, 2, 5}) {
    z.assign(z.size(), 0.0f);
    grad_log_var.assign(grad_log_var.size(), 0.0f);
    run(threads, 0, 10);
    run(threads, 10, 27);
    EXPECT_EQ(z, whole_z);
    EXPECT_EQ(grad_log_var, whole_grad);
  }
}

// The noise, z and the gradients are the CPU's, bit for bit: every operation on an element is the same there.
TEST(Reparameterize, BitsAreThoseOfTheCpu) {
  for (const Case& c :
       {Case{.batch = 6, .samples = 3, .latent = 50, .extra_stride = 2},
        Case{.batch = 3, .samples = 1, .latent = 130, .offset = 1},
        Case{.batch = 4, .samples = 2, .latent = 9, .clamp = {-1.0f, 0.5f}, .log_var_scale = 3.0f}}) {
    Inputs<> in(c);
    const std::int64_t rows = std::int64_t{c.batch} * c.samples;
    Guarded<float> z(rows, c.latent), kl(1, c.batch), grad_mu(c.batch, c.latent),
        grad_log_var(c.batch, c.latent);
    Guarded<float> cpu_z(rows, c.latent), cpu_grad_mu(c.batch, c.latent), cpu_grad_log_var(c.batch, c.latent);
    Guarded<std::int32_t> clamped(1, c.batch);
    ReparameterizeArgs args{in.mu.matrix(),  in.log_var.matrix(), c.clamp,   kNoise,
                            in.datum_view(), kFirstSample,        c.samples, z.matrix(),
                            kl.vector(),     clamped.vector(),    {},        {}};
    reparameterize(test::exec(1), args);
    args.z = cpu_z.matrix();
    reparameterize(CpuExec(1), args);
    EXPECT_TRUE(test::same_bits(z.matrix(), cpu_z.matrix())) << c.latent;
    ReparameterizeGradArgs grad{
        in.mu.matrix(), in.log_var.matrix(), c.clamp, kNoise,           in.datum_view(),      kFirstSample,
        c.samples,      in.grad_z.matrix(),  0.37f,   grad_mu.matrix(), grad_log_var.matrix()};
    reparameterize_backward(test::exec(1), grad);
    grad.grad_mu = cpu_grad_mu.matrix();
    grad.grad_log_var = cpu_grad_log_var.matrix();
    reparameterize_backward(CpuExec(1), grad);
    EXPECT_TRUE(test::same_bits(grad_mu.matrix(), cpu_grad_mu.matrix())) << c.latent;
    EXPECT_TRUE(test::same_bits(grad_log_var.matrix(), cpu_grad_log_var.matrix())) << c.latent;
    for (const PosteriorGradient kind : kBySamples) {
      grad.gradient = kind;
      reparameterize_backward(CpuExec(1), grad);
      auto there = grad;
      there.grad_mu = grad_mu.matrix();
      there.grad_log_var = grad_log_var.matrix();
      reparameterize_backward(test::exec(1), there);
      EXPECT_TRUE(test::same_bits(grad_mu.matrix(), cpu_grad_mu.matrix())) << c.latent;
      EXPECT_TRUE(test::same_bits(grad_log_var.matrix(), cpu_grad_log_var.matrix())) << c.latent;
    }
  }
}

TEST(Reparameterize, NanReachesTheOutputs) {
  test::Array<float> mu{0, std::nanf("")}, log_var{std::nanf(""), 0}, z(2), kl(2), grad_z{1, 1}, grad_mu(2),
      grad_log_var(2);
  test::Array<std::uint32_t> datum{0, 1};
  test::Array<std::int32_t> clamped(2);
  reparameterize(test::exec(1), {{mu.data(), 2, 1},
                                 {log_var.data(), 2, 1},
                                 {},
                                 kNoise,
                                 {datum.data(), 2},
                                 0,
                                 1,
                                 {z.data(), 2, 1},
                                 {kl.data(), 2},
                                 {clamped.data(), 2},
                                 {},
                                 {}});
  reparameterize_backward(test::exec(1), {{mu.data(), 2, 1},
                                          {log_var.data(), 2, 1},
                                          {},
                                          kNoise,
                                          {datum.data(), 2},
                                          0,
                                          1,
                                          {grad_z.data(), 2, 1},
                                          1.0f,
                                          {grad_mu.data(), 2, 1},
                                          {grad_log_var.data(), 2, 1}});
  for (int b = 0; b < 2; ++b) {
    EXPECT_TRUE(std::isnan(z[b])) << b;
    EXPECT_TRUE(std::isnan(kl[b])) << b;
  }
  EXPECT_TRUE(std::isnan(grad_log_var[0]));
  EXPECT_TRUE(std::isnan(grad_mu[1]));
}

TEST(Reparameterize, RefusesShapesThatDisagree) {
  float a[4] = {};
  std::uint32_t datum[2] = {};
  std::int32_t clamped[2];
  const ReparameterizeArgs good{{a, 2, 1}, {a, 2, 1}, {},     kNoise,       {datum, 2}, 0,
                                1,         {a, 2, 1}, {a, 2}, {clamped, 2}, {},         {}};
  for (int broken = 0; broken < 8; ++broken) {
    ReparameterizeArgs args = good;
    if (broken == 0) args.log_var = {a, 1, 1};
    if (broken == 1) args.datum = {datum, 1};
    if (broken == 2) args.z = {a, 1, 1};
    if (broken == 3) args.kl = {a, 1};
    if (broken == 4) args.samples = 0;
    if (broken == 5) args.log_pz = {a, 2};  // without log_qz_given_x
    if (broken == 6) args.clamp = {1.0f, -1.0f};
    if (broken == 7) args.clamp = {-81.0f, 0.0f};
    EXPECT_THROW(reparameterize(test::exec(1), args), std::invalid_argument) << broken;
  }
}

}  // namespace
}  // namespace felbo
