#include "kernels/planar_flow/planar_flow.h"

#include <gtest/gtest.h>

#include <functional>

#include "host/check/planar_flow_bound.h"
#include "kernels/planar_flow/planar_flow_math.h"
#include "kernels/planar_flow/planar_flow_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::Parity;
using test::to_double;

struct Case {
  int batch, samples, latent, steps;
  int extra_stride = 0, offset = 0;
  float scale = 1.0f;  // of u and w, over the root of Z
  bool weighed = false;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  // 64 and 2048 are where kernels give more threads to a row.
  for (const int latent : {1, 2, 3, 20, 31, 32, 33, 64, 65, 127, 129}) {
    for (const int steps : {1, 2, 4, 8}) {
      const int samples = steps == 2 ? 2 : steps == 4 ? 5 : 1;
      out.push_back({.batch = 5,
                     .samples = samples,
                     .latent = latent,
                     .steps = steps,
                     .extra_stride = latent % 3,
                     .offset = steps % 3,
                     .weighed = steps == 4});
    }
  }
  out.push_back({.batch = 2, .samples = 2, .latent = 2049, .steps = 2});
  out.push_back({.batch = 67, .samples = 1, .latent = 20, .steps = 4, .extra_stride = 20});
  out.push_back({.batch = 3, .samples = 33, .latent = 7, .steps = 3, .weighed = true});
  // What an encoder gives at first, and later on.
  for (const float scale : {1e-4f, 0.03f, 4.0f})
    out.push_back({.batch = 9, .samples = 2, .latent = 20, .steps = 4, .scale = scale});
  return out;
}

constexpr float kScale = 0.37f;

struct Inputs {
  explicit Inputs(const Case& c)
      : c(c),
        rows(std::int64_t{c.batch} * c.samples),
        flow(c.batch, planar_flow_columns(c.latent, c.steps), c.extra_stride, c.offset),
        z(rows, c.latent, c.extra_stride, c.offset),
        log_q(1, rows),
        activation(rows, c.steps, c.extra_stride, c.offset),
        grad_z(rows, c.latent, c.extra_stride, c.offset),
        grad_flow(c.batch, planar_flow_columns(c.latent, c.steps), c.extra_stride, c.offset) {
    test::fill_normal(flow.matrix(), 1, c.scale / std::sqrt(float(c.latent)));
    test::fill_normal(z.matrix(), 2);
    test::fill_normal(log_q.matrix(), 3, 1.0f, -20.0f);
    test::fill_normal(activation.matrix(), 4, 1.5f);
    test::fill_normal(grad_z.matrix(), 5);
    if (!c.weighed) return;
    for (std::int64_t r = 0; r < rows; ++r)
      weight.push_back(float(r % c.samples + 1) / (0.5f * float(c.samples * (c.samples + 1))));
  }
  PlanarFlowArgs args() {
    return {.flow = flow.matrix(),
            .samples = c.samples,
            .z = z.matrix(),
            .log_qz_given_x = log_q.vector(),
            .activation = activation.matrix()};
  }
  PlanarFlowGradArgs grad_args() {
    return {.flow = flow.matrix(),
            .samples = c.samples,
            .z = z.matrix(),
            .activation = activation.matrix(),
            .kl_scale = kScale,
            .weight = {weight.empty() ? nullptr : weight.data(), static_cast<std::int64_t>(weight.size())},
            .grad_z = grad_z.matrix(),
            .grad_flow = grad_flow.matrix()};
  }
  std::vector<double> scales() const {
    std::vector<double> out;
    for (std::int64_t r = 0; r < rows; ++r)
      out.push_back(double{kScale} * (c.weighed ? weight[std::size_t(r)] : 1.0 / c.samples));
    return out;
  }

  Case c;
  std::int64_t rows;
  Guarded<float> flow, z, log_q, activation, grad_z, grad_flow;
  test::Array<float> weight;
};

/// A bound that lets everything pass would say nothing: it has to stay below a thousandth of what it bounds.
void expect_tight(const std::vector<double>& tolerance, const std::vector<double>& want) {
  double most = 0, scale = 1;
  for (const double t : tolerance) most = std::max(most, t);
  for (const double v : want) scale = std::max(scale, std::abs(v));
  EXPECT_LT(most, 1e-3 * scale);
}

// The tolerances are running error bounds of the op's own formulas (planar_flow_bound.h): a chain multiplies
// the error of z by up to 1 + |w| |u^| a step.
Parity check_forward(const Case& c, int threads) {
  Inputs in(c);
  const auto want =
      reference::planar_flow<double>(to_double(in.flow.matrix()), to_double(in.z.matrix()),
                                     to_double(in.log_q.matrix()), c.batch, c.samples, c.latent, c.steps);
  const auto tolerance =
      checks::planar_flow_tolerance(in.flow.matrix(), in.z.matrix(), in.log_q.vector(), c.samples, c.steps);
  expect_tight(tolerance.z, want.z);
  expect_tight(tolerance.log_q, want.log_q);
  planar_flow(test::exec(threads), in.args());
  Parity parity;
  parity.compare("z", in.z.matrix(), want.z, tolerance.z);
  parity.compare("log_qz_given_x", in.log_q.vector(), want.log_q, tolerance.log_q);
  parity.compare("activation", in.activation.matrix(), want.activation, tolerance.activation);
  for (const Guarded<float>* g : {&in.flow, &in.z, &in.log_q, &in.activation})
    g->check_guards(parity, "forward");
  return parity;
}

Parity check_backward(const Case& c, int threads) {
  Inputs in(c);
  const auto want = reference::planar_flow_gradient<double>(
      to_double(in.flow.matrix()), to_double(in.z.matrix()), to_double(in.activation.matrix()),
      to_double(in.grad_z.matrix()), in.scales(), c.batch, c.samples, c.latent, c.steps);
  const auto tolerance =
      checks::planar_flow_grad_tolerance(in.flow.matrix(), in.z.matrix(), in.activation.matrix(),
                                         in.grad_z.matrix(), in.scales(), c.samples, c.steps);
  expect_tight(tolerance.z, want.z);
  expect_tight(tolerance.grad_z, want.grad_z);
  expect_tight(tolerance.grad_flow, want.flow);
  planar_flow_backward(test::exec(threads), in.grad_args());
  Parity parity;
  parity.compare("z", in.z.matrix(), want.z, tolerance.z);
  parity.compare("grad_z", in.grad_z.matrix(), want.grad_z, tolerance.grad_z);
  parity.compare("grad_flow", in.grad_flow.matrix(), want.flow, tolerance.grad_flow);
  for (const Guarded<float>* g : {&in.flow, &in.z, &in.activation, &in.grad_z, &in.grad_flow})
    g->check_guards(parity, "backward");
  return parity;
}

TEST(PlanarFlow, ForwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent << ", " << c.steps
                                    << " steps, scale " << c.scale);
    const Parity parity = check_forward(c, 1 + c.batch % 3);
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(PlanarFlow, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.samples << " x " << c.latent << ", " << c.steps
                                    << " steps, scale " << c.scale);
    const Parity parity = check_backward(c, 1 + c.batch % 3);
    FELBO_EXPECT_PARITY(parity);
  }
}

// --- The reference

std::vector<double> normals(std::int64_t n, std::uint64_t seed, float scale = 1.0f) {
  Guarded<float> out(1, n);
  test::fill_normal(out.matrix(), seed, scale);
  return to_double(out.matrix());
}

/// log |det| by elimination with pivots.
double log_determinant(std::vector<std::vector<double>> m) {
  double log = 0;
  for (std::size_t k = 0; k < m.size(); ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < m.size(); ++i) {
      if (std::abs(m[i][k]) > std::abs(m[pivot][k])) pivot = i;
    }
    std::swap(m[k], m[pivot]);
    log += std::log(std::abs(m[k][k]));
    for (std::size_t i = k + 1; i < m.size(); ++i) {
      for (std::size_t j = m.size(); j-- > k;) m[i][j] -= m[i][k] / m[k][k] * m[k][j];
    }
  }
  return log;
}

// The Jacobian of the whole chain by central differences: their error is h^2 / 6 times a third derivative,
// which for these sizes stays below 1e3, and eps(double) / h, so below 2e-8 an element.
TEST(PlanarFlowReference, LogDetIsThatOfTheJacobian) {
  const double h = 1e-5;
  for (const int Z : {1, 2, 3, 5, 8}) {
    for (const int steps : {1, 2, 4}) {
      for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        const auto flow = normals(planar_flow_columns(Z, steps), seed, 1.2f), z = normals(Z, seed + 100);
        const auto chain = [&](const std::vector<double>& at) {
          return reference::planar_flow<double>(flow, at, {0.0}, 1, 1, Z, steps);
        };
        std::vector jacobian(static_cast<std::size_t>(Z), std::vector<double>(static_cast<std::size_t>(Z)));
        for (int j = 0; j < Z; ++j) {
          auto up = z, down = z;
          up[j] += h, down[j] -= h;
          const auto above = chain(up).z, below = chain(down).z;
          for (int i = 0; i < Z; ++i) jacobian[i][j] = (above[i] - below[i]) / (2 * h);
        }
        EXPECT_NEAR(-chain(z).log_q[0], log_determinant(jacobian), 1e-6) << Z << " " << steps << " " << seed;
      }
    }
  }
}

/// grad_z . z_T + sum_bs scale_bs log q(z_bs), as a function of one number of the inputs.
struct Loss {
  std::vector<double> flow, z, c, scale;
  int B, S, Z, steps;
  double operator()() const {
    const auto out =
        reference::planar_flow<double>(flow, z, std::vector<double>(scale.size()), B, S, Z, steps);
    double sum = 0;
    for (std::size_t i = 0; i < c.size(); ++i) sum += c[i] * out.z[i];
    for (std::size_t r = 0; r < scale.size(); ++r) sum += scale[r] * out.log_q[r];
    return sum;
  }
  double slope(double& at, double h = 1e-6) {
    const double saved = at;
    at = saved + h;
    const double up = (*this)();
    at = saved - h;
    const double down = (*this)();
    at = saved;
    return (up - down) / (2 * h);
  }
};

// A central difference is off by eps(double) / h, some 1e-9 here, and by h^2 times a third derivative; 1e-7
// where m'' jumps.
TEST(PlanarFlowReference, GradientIsTheDerivative) {
  for (const int Z : {1, 2, 5}) {
    for (const int steps : {1, 2, 4}) {
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const int B = 2, S = 3;
        Loss loss{normals(B * planar_flow_columns(Z, steps), seed, seed == 5 ? 0.05f : 1.0f),
                  normals(B * S * Z, seed + 10),
                  normals(B * S * Z, seed + 20),
                  {.2, .5, .3, .1, .1, .8},
                  B,
                  S,
                  Z,
                  steps};
        const auto forward = reference::planar_flow<double>(loss.flow, loss.z, loss.scale, B, S, Z, steps);
        const auto gradient = reference::planar_flow_gradient<double>(
            loss.flow, forward.z, forward.activation, loss.c, loss.scale, B, S, Z, steps);
        for (std::size_t i = 0; i < loss.flow.size(); ++i)
          EXPECT_NEAR(loss.slope(loss.flow[i]), gradient.flow[i], 1e-7 * (1 + std::abs(gradient.flow[i])))
              << i;
        for (std::size_t i = 0; i < loss.z.size(); ++i) {
          EXPECT_NEAR(loss.slope(loss.z[i]), gradient.grad_z[i], 1e-7 * (1 + std::abs(gradient.grad_z[i])))
              << i;
          EXPECT_NEAR(gradient.z[i], loss.z[i], 1e-12);
        }
      }
    }
  }
}

// w . u^ = m(w . u) > -1, so that each step is invertible, and u^ is moved along w alone.
TEST(PlanarFlowReference, EachStepIsInvertible) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const int Z = 1 + int(seed % 7);
    const reference::PlanarStep<double> step(normals(planar_flow_columns(Z, 1), seed, 2.0f), 0, 0, Z, 1);
    double product = 0;
    for (int i = 0; i < Z; ++i) product += step.w[i] * step.u_hat[i];
    EXPECT_GT(product, -1.0);
    EXPECT_NEAR(product, step.x < 0 ? std::exp(step.x) - 1 : step.x, 1e-13 * (1 + std::abs(step.x)));
    for (int i = 0; i < Z; ++i) EXPECT_GT(step.det(0.3 * i), 0.0);
    if (step.x < 0) continue;
    EXPECT_EQ(step.u_hat, step.u);
  }
}

// By hand, Z = 2: u = (1, 0), w = (2, 1), b = -1, z = (1, 0) make a = 1, w . u = 2 and D = 1 + 2 (1 - tanh^2
// 1); with u =
// (-1, 0) instead w . u = -2, u^ = u + (e^-2 + 1) w / 5.
TEST(PlanarFlowReference, KnownStep) {
  const double h = 0.76159415595576489, s = 0.41997434161402607;
  const auto right = reference::planar_flow<double>({1, 0, 2, 1, -1}, {1, 0}, {0}, 1, 1, 2, 1);
  EXPECT_NEAR(right.z[0], 1 + h, 1e-15);
  EXPECT_NEAR(right.z[1], 0, 1e-15);
  EXPECT_NEAR(right.log_q[0], -std::log(1 + 2 * s), 1e-15);
  EXPECT_NEAR(right.activation[0], 1, 1e-15);
  const double m = -0.86466471676338731, along = 1.13533528323661269 / 5;
  const auto left = reference::planar_flow<double>({-1, 0, 2, 1, -1}, {1, 0}, {0}, 1, 1, 2, 1);
  EXPECT_NEAR(left.z[0], 1 + (-1 + 2 * along) * h, 1e-15);
  EXPECT_NEAR(left.z[1], along * h, 1e-15);
  EXPECT_NEAR(left.log_q[0], -std::log(1 + m * s), 1e-15);
}

// --- Extremes

/// One datum and sample through one step.
struct OneStep {
  OneStep(const std::vector<float>& flow, const std::vector<float>& at, const std::vector<float>& gradient)
      : flow(1, std::int64_t(flow.size())),
        z(1, std::int64_t(at.size())),
        log_q(1, 1),
        activation(1, 1),
        grad_z(1, std::int64_t(at.size())),
        grad_flow(1, std::int64_t(flow.size())) {
    std::ranges::copy(flow, this->flow.matrix().row(0));
    std::ranges::copy(at, z.matrix().row(0));
    std::ranges::copy(gradient, grad_z.matrix().row(0));
    log_q.vector()(0) = 0.0f;
    planar_flow(test::exec(1), {.flow = this->flow.matrix(),
                                .z = z.matrix(),
                                .log_qz_given_x = log_q.vector(),
                                .activation = activation.matrix()});
    after.assign(z.vector().begin(), z.vector().end());
    planar_flow_backward(test::exec(1), {.flow = this->flow.matrix(),
                                         .z = z.matrix(),
                                         .activation = activation.matrix(),
                                         .grad_z = grad_z.matrix(),
                                         .grad_flow = grad_flow.matrix()});
  }
  Guarded<float> flow, z, log_q, activation, grad_z, grad_flow;
  std::vector<float> after;  // z_T
};

std::vector<float> row(Guarded<float>& of) { return {of.vector().begin(), of.vector().end()}; }

// Parameters that are 0 change nothing, and their gradient is that of z' = z + u tanh(w . z + b), log det = w
// . u there: 0 by u but for -w / D = 0, by w and b because u = 0.
TEST(PlanarFlow, ZeroParametersAreTheIdentity) {
  OneStep step({0, 0, 0, 0, 0, 0, 0}, {0.5f, -2.0f, 3.0f}, {1.0f, 2.0f, -0.5f});
  EXPECT_EQ(step.after, (std::vector<float>{0.5f, -2.0f, 3.0f}));
  EXPECT_EQ(step.log_q.vector()(0), 0.0f);
  EXPECT_EQ(row(step.grad_z), (std::vector<float>{1.0f, 2.0f, -0.5f}));
  for (const float g : row(step.grad_flow)) EXPECT_EQ(g, 0.0f);
}

// w = 0: z' = z + u tanh b; log det = 0, d log det / d w = u (1 - tanh^2 b), d log det / d u = 0.
TEST(PlanarFlow, WithoutDirectionZIsShifted) {
  const float h = std::tanh(0.75f);
  OneStep step({0.5f, -1.0f, 0, 0, 0.75f}, {0.25f, 2.0f}, {1.0f, -2.0f});
  const double s = 1 - std::pow(std::tanh(0.75), 2), by_a = s * (1 * 0.5 + 2 * 1.0);
  EXPECT_NEAR(step.after[0], 0.25 + 0.5 * h, 1e-6);
  EXPECT_NEAR(step.after[1], 2.0 - h, 1e-6);
  EXPECT_EQ(step.log_q.vector()(0), 0.0f);
  EXPECT_EQ(row(step.grad_z), (std::vector<float>{1.0f, -2.0f}));
  const auto grad = row(step.grad_flow);
  EXPECT_NEAR(grad[0], h, 1e-6);
  EXPECT_NEAR(grad[1], -2 * h, 1e-6);
  EXPECT_NEAR(grad[2], by_a * 0.25 - s * 0.5, 1e-6);
  EXPECT_NEAR(grad[3], by_a * 2.0 + s * 1.0, 1e-6);
  EXPECT_NEAR(grad[4], by_a, 1e-6);
}

// From |w| = 1 down to where its square underflows: everything stays finite, and u^ within |u|^2 |w| / 2 of
// u.
TEST(PlanarFlow, SmallDirectionsAreHarmless) {
  for (float size = 1.0f; size > 0.0f; size *= 0.1f) {
    SCOPED_TRACE(size);
    const float b = 0.75f, h = std::tanh(b);
    OneStep step({3.0f, -1.0f, -size, 0.5f * size, b}, {0.25f, 2.0f}, {1.0f, -2.0f});
    for (const float g : row(step.grad_flow)) EXPECT_LT(std::abs(g), 50.0f);
    for (const float g : row(step.grad_z)) EXPECT_LT(std::abs(g), 50.0f);
    if (size > 1e-3f) continue;
    const float moved = 5 * 1.2f * size + 1e-6f;
    EXPECT_NEAR(step.after[0], 0.25f + 3 * h, 2 * moved + 4 * size);
    EXPECT_NEAR(step.after[1], 2.0f - h, 2 * moved + 4 * size);
    EXPECT_NEAR(step.log_q.vector()(0), 0.0f, 4 * size);
  }
}

// a = 0 is where det is smallest: e^x. Z = 1, w = 1: u = x.
TEST(PlanarFlow, DetKeepsItsDigitsNearZeroAndIsBoundedBelow) {
  for (const float x : {-0.1f, -1.0f, -10.0f, -40.0f, -79.0f, -80.0f, -81.0f, -1e4f, -1e30f}) {
    OneStep step({x, 1.0f, 0.0f}, {0.0f}, {0.0f});
    const double log_det = std::max(x, -80.0f);
    EXPECT_NEAR(step.log_q.vector()(0), -log_det, 1e-6 * std::abs(log_det)) << x;
    // The loss is log q = -log det: its slope by u is -1, and beyond the bound 0.
    EXPECT_NEAR(row(step.grad_flow)[0], x < -80.0f ? 0.0 : -1.0, 1e-5) << x;
  }
}

// Large w . u: m is w . u itself. And a saturated tanh: no NaN, log det 0 in the limit.
TEST(PlanarFlow, LargeParametersStayFinite) {
  for (const float x : {1.0f, 1e3f, 1e10f, 1e18f}) {
    OneStep step({x, 1.0f, 0.0f}, {0.0f}, {0.0f});
    EXPECT_NEAR(step.log_q.vector()(0), -std::log1p(double{x}), 1e-6 * std::log1p(double{x})) << x;
    EXPECT_NEAR(row(step.grad_flow)[0], -1 / (1 + double{x}), 1e-6 / (1 + double{x})) << x;
  }
  for (const float b : {-1e30f, -100.0f, 100.0f, 1e30f}) {
    OneStep step({2.0f, 1.0f, b}, {0.5f}, {1.0f});
    EXPECT_EQ(step.after[0], b > 0 ? 2.5f : -1.5f) << b;
    EXPECT_EQ(step.log_q.vector()(0), 0.0f) << b;
    EXPECT_EQ(row(step.grad_flow)[2], 0.0f) << b;
  }
}

TEST(PlanarFlow, OverflowIsNotHidden) {
  for (const float sign : {-1.0f, 1.0f}) {
    OneStep step({sign * 1e30f, 1e30f, 0.5f}, {0.5f}, {1.0f});
    EXPECT_FALSE(std::isfinite(step.log_q.vector()(0)) && std::isfinite(step.after[0])) << sign;
    EXPECT_FALSE(std::isfinite(row(step.grad_flow)[2])) << sign;
  }
}

// The functions of one step against the library's in double, over all that they may meet.
TEST(PlanarFlow, TanhAndItsSlopeAreWithinTheirBound) {
  for (float a = -60.0f; a < 60.0f; a += 0.0371f) {
    for (const float at : {a, a * 1e-3f, a * 1e-6f}) {
      const auto got = planar_flow_math::tanh_and_slope(at);
      const double e = std::exp(-2 * std::abs(double{at})), s = 4 * e / ((1 + e) * (1 + e));
      ASSERT_NEAR(got.value, std::tanh(double{at}), 8 * test::kEps * std::abs(std::tanh(double{at}))) << at;
      if (std::abs(at) > 43) continue;  // where it is not far above the smallest float, 0 in its place
      ASSERT_NEAR(got.slope, s, 8 * test::kEps * s) << at;
    }
  }
}
TEST(PlanarFlow, TheBendIsWithinItsBound) {
  for (float x = -90.0f; x < 20.0f; x += 0.0371f) {
    for (const float at : {x, x * 1e-2f, x * 1e-5f}) {
      const auto got = planar_flow_math::bend(at, 0.5f);
      const double v = std::max(-80.0, double{at}), m = at < 0 ? std::expm1(v) : at;
      const double excess = at < 0 ? m - double{at} : 0.0, slope = at < -80 ? 0 : at < 0 ? std::exp(v) : 1.0;
      ASSERT_NEAR(got.m, m, 5 * test::kEps * std::abs(m)) << at;
      ASSERT_NEAR(got.slope, slope, 2 * test::kEps * slope) << at;
      const double own = at < -0.35f ? 3 * (1 + std::abs(at)) : 4 * excess;
      ASSERT_NEAR(got.along, 2 * excess, 2 * test::kEps * own) << at;
      ASSERT_NEAR(got.along_slope, 2 * (slope - 1), 2 * 5 * test::kEps * std::min(1.0, std::abs(double{at})))
          << at;
    }
  }
}

// --- What users rely on

// Neither the thread count nor the batch split changes a bit.
TEST(PlanarFlow, BitsDoNotDependOnThreadsOrBatch) {
  const Case c{.batch = 37, .samples = 3, .latent = 50, .steps = 3};
  Inputs whole(c);
  planar_flow(test::exec(1), whole.args());
  planar_flow_backward(test::exec(1), whole.grad_args());
  for (const int threads : {1, 2, 5}) {
    Inputs in(c);
    const auto run = [&](std::int64_t first, std::int64_t count) {
      auto args = in.args();
      auto grad = in.grad_args();
      const std::int64_t row = first * c.samples, rows = count * c.samples;
      args.flow = grad.flow = in.flow.matrix().row_slice(first, count);
      args.z = grad.z = in.z.matrix().row_slice(row, rows);
      args.log_qz_given_x = in.log_q.vector().slice(row, rows);
      args.activation = in.activation.matrix().row_slice(row, rows);
      grad.activation = args.activation;
      grad.grad_z = in.grad_z.matrix().row_slice(row, rows);
      grad.grad_flow = in.grad_flow.matrix().row_slice(first, count);
      planar_flow(test::exec(threads), args);
      planar_flow_backward(test::exec(threads), grad);
    };
    run(0, 10);
    run(10, 27);
    EXPECT_TRUE(test::same_bits(in.z.matrix(), whole.z.matrix()));
    EXPECT_TRUE(test::same_bits(in.log_q.matrix(), whole.log_q.matrix()));
    EXPECT_TRUE(test::same_bits(in.activation.matrix(), whole.activation.matrix()));
    EXPECT_TRUE(test::same_bits(in.grad_z.matrix(), whole.grad_z.matrix()));
    EXPECT_TRUE(test::same_bits(in.grad_flow.matrix(), whole.grad_flow.matrix()));
  }
}

// z_0 comes back through a chain of 8 steps, within a rounding of each z_t and u^ tanh(a).
TEST(PlanarFlow, TheBackwardPassFindsTheFirstZ) {
  const Case c{.batch = 5, .samples = 2, .latent = 40, .steps = 8};
  Inputs in(c);
  const auto before = to_double(in.z.matrix());
  planar_flow(test::exec(2), in.args());
  planar_flow_backward(test::exec(2), in.grad_args());
  Parity parity;
  parity.compare("z", in.z.matrix(), before, 8 * 2 * test::kEps * 8.0);  // |z_t| stays below 8
  FELBO_EXPECT_PARITY(parity);
}

TEST(PlanarFlow, TheActivationMayBeLeftOut) {
  const Case c{.batch = 3, .samples = 2, .latent = 40, .steps = 2};
  Inputs with(c), without(c);
  auto args = without.args();
  args.activation = {};
  planar_flow(test::exec(1), with.args());
  planar_flow(test::exec(1), args);
  EXPECT_TRUE(test::same_bits(with.z.matrix(), without.z.matrix()));
  EXPECT_TRUE(test::same_bits(with.log_q.matrix(), without.log_q.matrix()));
}

TEST(PlanarFlow, NoStepsChangeNothing) {
  const Case c{.batch = 3, .samples = 2, .latent = 4, .steps = 0};
  Inputs in(c), untouched(c);
  planar_flow(test::exec(1), in.args());
  planar_flow_backward(test::exec(1), in.grad_args());
  EXPECT_TRUE(test::same_bits(in.z.matrix(), untouched.z.matrix()));
  EXPECT_TRUE(test::same_bits(in.log_q.matrix(), untouched.log_q.matrix()));
  EXPECT_TRUE(test::same_bits(in.grad_z.matrix(), untouched.grad_z.matrix()));
}

TEST(PlanarFlow, NanReachesTheOutputs) {
  const Case c{.batch = 3, .samples = 2, .latent = 5, .steps = 2};
  const std::int64_t u = 2, w = 5 + 2, bias = 10;
  for (const std::int64_t at : {u, w, bias}) {
    Inputs in(c);
    in.flow.matrix()(1, at) = std::nanf("");
    planar_flow(test::exec(1), in.args());
    for (std::int64_t r = 0; r < in.rows; ++r) {
      const bool hit = r / c.samples == 1;
      EXPECT_EQ(std::isnan(in.log_q.vector()(r)), hit) << at;
      EXPECT_EQ(std::isnan(in.z.matrix()(r, 2)), hit) << at;
    }
    Inputs back(c);
    back.flow.matrix()(1, at) = std::nanf("");
    if (at == bias) back.activation.matrix()(2, 0) = std::nanf("");  // what it makes of a
    planar_flow_backward(test::exec(1), back.grad_args());
    EXPECT_TRUE(std::isnan(back.grad_flow.matrix()(1, at))) << at;
    EXPECT_FALSE(std::isnan(back.grad_flow.matrix()(0, at))) << at;
  }
  Inputs in(c);
  in.z.matrix()(3, 4) = std::nanf("");
  in.grad_z.matrix()(5, 0) = std::nanf("");
  Inputs back(c);
  back.grad_z.matrix()(5, 0) = std::nanf("");
  planar_flow(test::exec(1), in.args());
  planar_flow_backward(test::exec(1), back.grad_args());
  for (int d = 0; d < c.latent; ++d) EXPECT_TRUE(std::isnan(in.z.matrix()(3, d)));
  EXPECT_TRUE(std::isnan(in.log_q.vector()(3)));
  for (int d = 0; d < c.latent; ++d) EXPECT_TRUE(std::isnan(back.grad_z.matrix()(5, d)));
  EXPECT_TRUE(std::isnan(back.grad_flow.matrix()(2, bias)));
}

TEST(PlanarFlow, RefusesShapesThatDisagree) {
  Inputs in({.batch = 3, .samples = 2, .latent = 5, .steps = 2});
  for (int broken = 0; broken < 6; ++broken) {
    PlanarFlowArgs args = in.args();
    if (broken == 0) args.flow.cols = 21;
    if (broken == 1) args.flow.rows = 2;
    if (broken == 2) args.samples = 0;
    if (broken == 3) args.z.rows = 5;
    if (broken == 4) args.log_qz_given_x.size = 5;
    if (broken == 5) args.activation.cols = 1;
    EXPECT_THROW(planar_flow(test::exec(1), args), std::invalid_argument) << broken;
  }
  float weight[5] = {};
  for (int broken = 0; broken < 4; ++broken) {
    PlanarFlowGradArgs args = in.grad_args();
    if (broken == 0) args.activation = {};
    if (broken == 1) args.weight = {weight, 5};
    if (broken == 2) args.grad_z.cols = 4;
    if (broken == 3) args.grad_flow.cols = 11;
    EXPECT_THROW(planar_flow_backward(test::exec(1), args), std::invalid_argument) << broken;
  }
}

}  // namespace
}  // namespace felbo
