// Every posterior with every prior, without a network: z, its terms and the way back against a reference that
// is written from the definitions, in double, and central differences of it.
#include "host/model/latent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <string>

#include "host/model/latent_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Parity;
using Point = reference::LatentPoint;
using Terms = reference::LatentTerms;
using Values = std::vector<double>;

constexpr int B = 3, Z = 4, K = 5, X = 2;
constexpr float kKlScale = 0.4f;
const NoiseStream kNoise{42, 7, Purpose::kLatent};

constexpr PosteriorFamily kPosteriors[] = {
    PosteriorFamily::kDiagonalGaussian, PosteriorFamily::kIsotropicGaussian,
    PosteriorFamily::kFullCovarianceGaussian, PosteriorFamily::kPlanarFlow};
constexpr PriorFamily kPriors[] = {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                   PriorFamily::kUniform, PriorFamily::kMixture, PriorFamily::kVamp};

bool exists(PosteriorFamily posterior, PriorFamily prior) {
  return prior != PriorFamily::kVamp || posterior == PosteriorFamily::kDiagonalGaussian;
}

VaeConfig config_of(PosteriorFamily posterior, PriorFamily prior) {
  return {.dimensions = X,
          .latent = Z,
          .posterior = {.family = posterior, .flow_steps = 3},
          .prior = {.family = prior, .components = K}};
}

reference::LatentReference reference_of(const Vae& vae, int samples) {
  return {vae, kNoise, {10, 11, 12}, samples};
}

/// Of what the decoder reads, the rest of the loss: sum_i g_i u_i + u_i^2 / 10.
constexpr double kCurve = 0.1;

struct Case {
  PosteriorFamily posterior;
  PriorFamily prior;
  PosteriorGradient gradient;
  bool weighed;
};

struct Problem {
  explicit Problem(const Case& c, int samples = 3)
      : which(c),
        vae(config_of(c.posterior, c.prior)),
        samples(samples),
        rows(B * samples),
        posterior(fill(B * vae.encoder().out(), 1, 0.6f)),
        pseudo(fill(c.prior == PriorFamily::kVamp ? K * 2 * Z : 0, 2, 0.7f)),
        parameters(fill(vae.table().size(), 3, 0.7f)),
        slope(fill(rows * Z, 4, 0.5f)) {
    for (int r = 0; r < rows; ++r)  // 1, 2, ... over their sum
      weight.push_back(static_cast<float>(1 + r % samples) /
                       (0.5f * static_cast<float>(samples * (samples + 1))));
  }

  static test::Array<float> fill(std::int64_t size, std::uint64_t seed, float scale) {
    test::Array<float> out(static_cast<std::size_t>(size));
    test::fill_normal({out.data(), 1, size}, seed, scale, -0.1f);
    return out;
  }
  Point point() const {
    return {{posterior.begin(), posterior.end()},
            {pseudo.begin(), pseudo.end()},
            {parameters.begin(), parameters.end()}};
  }
  bool analytic() const { return which.gradient == PosteriorGradient::kAnalyticKl; }
  double weight_of(int row) const { return which.weighed ? double(weight[std::size_t(row)]) : 1.0 / samples; }
  /// What kAnalyticKl's and kMonteCarlo's gradients are of.
  double loss(const Point& p) const {
    const Terms t = reference_of(vae, samples).terms(p);
    double loss = 0;
    for (std::size_t i = 0; i < t.code.size(); ++i)
      loss += double(slope[i]) * t.code[i] + kCurve * t.code[i] * t.code[i];
    for (int b = 0; b < B && analytic(); ++b) loss += kKlScale * t.kl[std::size_t(b)];
    for (int r = 0; r < rows && !analytic(); ++r)
      loss += kKlScale * weight_of(r) * (t.log_qz[std::size_t(r)] - t.log_pz[std::size_t(r)]);
    return loss;
  }

  Case which;
  Vae vae;
  int samples, rows;
  test::Array<float> posterior, pseudo, parameters, slope, weight;
};

/// What the ops make of it.
struct Outcome {
  explicit Outcome(Problem& p, bool want_logs = true)
      : code(std::size_t(p.rows) * Z),
        kl(B),
        log_pz(std::size_t(p.rows)),
        log_qz(std::size_t(p.rows)),
        grad_posterior(p.posterior.size()),
        grad_pseudo(p.pseudo.size()),
        gradients(p.parameters.size()) {
    const test::ExecHandle exec = test::open_exec(2);
    const auto view = [](auto& values) {
      return View<std::remove_reference_t<decltype(values[0])>, 1>{values.data(),
                                                                   std::int64_t(values.size())};
    };
    const std::int64_t E = p.vae.encoder().out(), pseudo_rows = p.vae.pseudo_rows();
    test::Array<float> z(code.size()), grad_z(code.size());
    test::Array<std::int32_t> clamped(B);
    test::Array<std::uint32_t> datum{10, 11, 12};
    const LatentWorkspace<test::ExecType> work(exec, p.vae, B, p.samples, true);
    const LatentDrawOf<float> draw{.posterior = View<const float, 2>(p.posterior.data(), B, E),
                                   .pseudo = View<const float, 2>(p.pseudo.data(), pseudo_rows, 2 * Z),
                                   .parameters = View<float, 1>(view(p.parameters)),
                                   .noise = kNoise,
                                   .datum = View<std::uint32_t, 1>(view(datum)),
                                   .samples = p.samples,
                                   .z = View<float, 2>(z.data(), p.rows, Z),
                                   .kl = view(kl),
                                   .clamped = view(clamped),
                                   .log_pz = view(log_pz),
                                   .log_qz_given_x = view(log_qz),
                                   .want_logs = want_logs};
    const View<const float, 2> read = draw_latent<test::ExecType, float>(exec, p.vae, draw, work);
    const std::vector<float> seen =
        to_host<test::ExecType>(exec, View<const float, 1>{read.data, p.rows * Z});
    std::ranges::copy(seen, code.begin());
    for (std::size_t i = 0; i < grad_z.size(); ++i)
      grad_z[i] = float(double(p.slope[i]) + 2 * kCurve * double(code[i]));
    draw_latent_backward<test::ExecType, float>(
        exec, p.vae, draw,
        {.grad_z = View<float, 2>(grad_z.data(), p.rows, Z),
         .gradient = p.which.gradient,
         .kl_scale = kKlScale,
         .weight = p.which.weighed ? View<float, 1>(view(p.weight)) : View<float, 1>(),
         .kl_weight = {},
         .grad_posterior = View<float, 2>(grad_posterior.data(), B, E),
         .grad_pseudo = View<float, 2>(grad_pseudo.data(), pseudo_rows, 2 * Z),
         .gradients = view(gradients)},
        work);
    zero<float>(exec, View<float, 1>{z.data(), 0});  // waits, on a device
    to_host<test::ExecType>(exec, View<const float, 1>{read.data, 1});
  }
  test::Array<float> code, kl, log_pz, log_qz, grad_posterior, grad_pseudo, gradients;
};

std::string name_of(const Case& c) {
  return "posterior " + std::to_string(int(c.posterior)) + ", prior " + std::to_string(int(c.prior)) +
         ", gradient " + std::to_string(int(c.gradient)) + (c.weighed ? ", weighed" : "");
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const PosteriorFamily posterior : kPosteriors) {
    for (const PriorFamily prior : kPriors) {
      if (!exists(posterior, prior)) continue;
      if (has_closed_kl(posterior, prior))
        out.push_back({posterior, prior, PosteriorGradient::kAnalyticKl, false});
      out.push_back({posterior, prior, PosteriorGradient::kMonteCarlo, false});
      out.push_back({posterior, prior, PosteriorGradient::kMonteCarlo, true});
    }
  }
  return out;
}

// Values are sums of a few dozen terms of order 1 in float, on normals that are right within 3e-6: they come
// within 1e-4, where a term that is missing is off by 0.01 and more.
constexpr double kValue = 1e-4;

void compare(Parity& parity, const char* what, const test::Array<float>& got, const Values& want) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < want.size(); ++i)
    parity.element(what, 0, std::int64_t(i), double(got[i]), want[i], kValue * (1 + std::abs(want[i])));
}

TEST(Latent, TermsAreThoseOfTheDefinitions) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    Problem p(c);
    const Outcome got(p);
    const Terms want = reference_of(p.vae, p.samples).terms(p.point());
    Parity parity;
    compare(parity, "code", got.code, want.code);
    compare(parity, "kl", got.kl, want.kl);
    compare(parity, "log_pz", got.log_pz, want.log_pz);
    compare(parity, "log_qz_given_x", got.log_qz, want.log_qz);
    FELBO_EXPECT_PARITY(parity);
  }
}

// Bounds of log-variances that leave out 0 do not reach N(0, I).
TEST(Latent, TheStandardPriorIsNotClamped) {
  for (const PosteriorFamily posterior :
       {PosteriorFamily::kFullCovarianceGaussian, PosteriorFamily::kPlanarFlow}) {
    Problem p({posterior, PriorFamily::kStandardNormal, PosteriorGradient::kMonteCarlo, false});
    VaeConfig config = p.vae.config();
    config.clamp = {-10.0f, -1.0f};
    p.vae = Vae(config);
    const Outcome got(p);
    Parity parity;
    for (int r = 0; r < p.rows; ++r) {
      double log_pz = 0;
      for (int d = 0; d < Z; ++d) {
        const double z = got.code[std::size_t(r * Z + d)];
        log_pz -= (std::log(2 * std::numbers::pi) + z * z) / 2;
      }
      parity.element("log_pz", r, 0, double(got.log_pz[std::size_t(r)]), log_pz, kValue);
    }
    FELBO_EXPECT_PARITY(parity);
  }
}

// The KL in closed form, which `elbo` takes, is the mean of what `elbo-mc` takes: within 5 standard errors of
// 4096 samples, a false alarm in 1 of 70,000 runs of these 24 comparisons.
TEST(Latent, TheClosedKlIsThatOfTheSamples) {
  for (const Case& c : cases()) {
    if (c.gradient != PosteriorGradient::kAnalyticKl) continue;
    SCOPED_TRACE(name_of(c));
    Problem p(c, 4096);
    const Outcome got(p);
    for (int b = 0; b < B; ++b) {
      double sum = 0, squares = 0;
      for (int s = 0; s < p.samples; ++s) {
        const auto r = std::size_t(b * p.samples + s);
        const double kl = double(got.log_qz[r]) - double(got.log_pz[r]);
        sum += kl;
        squares += kl * kl;
      }
      const double mean = sum / p.samples, error = std::sqrt((squares / p.samples - mean * mean) / p.samples);
      EXPECT_NEAR(double(got.kl[std::size_t(b)]), mean, 5 * error + 1e-4) << b;
    }
  }
}

/// The derivatives of `f` by the elements of a member of Point.
Values derivatives(const Point& at, Values Point::*member, const std::function<double(const Point&)>& f) {
  const double h = 1e-5;  // truncation and rounding below 1e-8
  Values out;
  for (std::size_t i = 0; i < (at.*member).size(); ++i) {
    Point up = at, down = at;
    (up.*member)[i] += h;
    (down.*member)[i] -= h;
    out.push_back((f(up) - f(down)) / (2 * h));
  }
  return out;
}

TEST(Latent, GradientsAreDerivatives) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    Problem p(c);
    const Outcome got(p, p.which.gradient != PosteriorGradient::kAnalyticKl);
    const auto loss = [&](const Point& at) { return p.loss(at); };
    Parity parity;
    compare(parity, "posterior", got.grad_posterior, derivatives(p.point(), &Point::posterior, loss));
    if (!p.pseudo.empty())
      compare(parity, "pseudo", got.grad_pseudo, derivatives(p.point(), &Point::pseudo, loss));
    const Values by_parameter = derivatives(p.point(), &Point::parameters, loss);
    for (const ParameterEntry& e : p.vae.table().entries()) {
      if (!e.name.starts_with("prior.") || e.name == "prior.pseudo_inputs") continue;
      for (std::int64_t i = e.offset; i < e.offset + e.size; ++i) {
        const double want = by_parameter[std::size_t(i)];
        parity.element(e.name, 0, i - e.offset, double(got.gradients[std::size_t(i)]), want,
                       kValue * (1 + std::abs(want)));
      }
    }
    FELBO_EXPECT_PARITY(parity);
  }
}

// Through z alone: g = d loss / d z of the rest - c w d log p / dz, and of log q's own derivative by z; with
// the derivative of log p by central differences.
TEST(Latent, GradientsThroughZAloneTakeThePrior) {
  for (const PosteriorGradient kind :
       {PosteriorGradient::kStickingTheLanding, PosteriorGradient::kDoublyReparameterized}) {
    for (const PriorFamily prior : kPriors) {
      const Case c{PosteriorFamily::kDiagonalGaussian, prior, kind, true};
      SCOPED_TRACE(name_of(c));
      Problem p(c);
      const Outcome got(p);
      const reference::LatentReference by_definition = reference_of(p.vae, p.samples);
      const Point at = p.point();
      const reference::Mixture<double> mixture = by_definition.prior_of(at);
      Values want(std::size_t(B) * 2 * Z);
      for (int b = 0; b < B; ++b) {
        const double* row = at.posterior.data() + 2 * Z * b;
        for (int s = 0; s < p.samples; ++s) {
          Values z;
          for (int d = 0; d < Z; ++d)
            z.push_back(row[d] + std::exp(row[Z + d] / 2) * by_definition.eps(b, s, d));
          const int r = b * p.samples + s;
          for (int d = 0; d < Z; ++d) {
            const double sigma = std::exp(row[Z + d] / 2), e = by_definition.eps(b, s, d), h = 1e-5,
                         w = p.weight_of(r), cw = double(kKlScale) * w;
            Values up = z, down = z;
            up[std::size_t(d)] += h, down[std::size_t(d)] -= h;
            const double slope = (reference::mixture_log_density(mixture, up.data()) -
                                  reference::mixture_log_density(mixture, down.data())) /
                                 (2 * h);
            const double value = z[std::size_t(d)],
                         density = std::exp(-value * value / 2) / std::sqrt(2 * std::numbers::pi);
            const bool cube = prior == PriorFamily::kUniform;
            const double u = cube ? std::erfc(-value / std::sqrt(2.0)) / 2 : value;
            const double rest =
                (double(p.slope[std::size_t(r * Z + d)]) + 2 * kCurve * u) * (cube ? density : 1);
            double g = rest - cw * slope - cw * e / sigma;
            if (kind == PosteriorGradient::kDoublyReparameterized) g *= w;
            want[std::size_t(2 * Z * b + d)] += g;
            want[std::size_t(2 * Z * b + Z + d)] += g * e * sigma / 2;
          }
        }
      }
      Parity parity;
      compare(parity, "posterior", got.grad_posterior, want);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Latent, FamiliesHaveNames) {
  EXPECT_EQ(posterior_family_from_name("isotropic-gaussian"), PosteriorFamily::kIsotropicGaussian);
  EXPECT_EQ(prior_family_from_name("vamp"), PriorFamily::kVamp);
  const auto refusal = [](const auto& f) {
    try {
      f();
    } catch (const std::invalid_argument& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(
      refusal([] { posterior_family_from_name("flow"); }),
      "--posterior must be diagonal-gaussian, isotropic-gaussian, full-covariance-gaussian or planar-flow, "
      "got 'flow'");
  EXPECT_EQ(refusal([] { prior_family_from_name("vampire"); }),
            "--prior must be standard-normal, diagonal-gaussian, uniform, mixture or vamp, got 'vampire'");
  EXPECT_NE(refusal([] { Vae(config_of(PosteriorFamily::kPlanarFlow, PriorFamily::kVamp)); }), "accepted");
  VaeConfig none = config_of(PosteriorFamily::kDiagonalGaussian, PriorFamily::kMixture);
  none.prior.components = 0;
  EXPECT_NE(refusal([&] { Vae vae(none); }), "accepted");
}

}  // namespace
}  // namespace felbo
