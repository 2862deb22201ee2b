#include "kernels/elbo_loss/elbo_loss.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/elbo_loss/elbo_loss_reference.h"
#include "kernels/gather/gather_math.h"
#include "kernels/reparameterize/reparameterize.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// Results below the smallest normal number may be flushed to zero.
constexpr double kTiny = 3e-38;

/// Every p(x|z) that one launch can do; the bounds of log-variances are crossed by the test data.
std::vector<Likelihood> all_likelihoods() {
  const LogVarClamp clamp{-1.5f, 2.0f};
  return {likelihood_from_names("bernoulli", "unit", clamp), likelihood_from_names("gaussian", "unit", clamp),
          likelihood_from_names("gaussian", "fixed:0.3", clamp),
          likelihood_from_names("gaussian", "per-element", clamp)};
}
std::string label(const Likelihood& which) {
  return (which.family == LikelihoodFamily::kBernoulli ? "bernoulli" : "gaussian") + std::string("/") +
         std::to_string(static_cast<int>(which.variance));
}

struct Size {
  std::int64_t data, samples, dimensions, latent;
};
/// How the memory lies: gaps between rows, elements by which the first is misaligned, and whether the
/// gradient goes over the output.
struct Layout {
  std::int64_t gap = 0, offset = 0;
  bool in_place = true;
};

/// Arguments of one call in guarded memory, with inputs from a fixed seed.
template <class Data>
class Problem {
 public:
  Problem(const Likelihood& which, Size size, Layout layout = {}, std::uint64_t seed = 1)
      : which(which),
        size(size),
        in_place(layout.in_place),
        rows(size.data * size.samples),
        x(size.data, size.dimensions, layout.gap, layout.offset),
        output(rows, which.outputs() * size.dimensions, 2 * layout.gap, layout.offset),
        mu(size.data, size.latent, layout.gap, layout.offset),
        log_var(size.data, size.latent, 2 * layout.gap, layout.offset),
        log_px(1, rows, 0, layout.offset),
        kl(1, size.data, 0, layout.offset),
        elbo(1, size.data),
        grad(rows, which.outputs() * size.dimensions, 3 * layout.gap, (layout.offset + 1) % 4),
        grad_mu(size.data, size.latent, layout.gap, layout.offset),
        grad_log_var(size.data, size.latent, layout.gap, layout.offset),
        clamped(1, rows),
        posterior_clamped(1, size.data) {
    fill_x(seed);
    test::fill_normal(output.matrix(), seed + 1, 1.5f);
    test::fill_normal(mu.matrix(), seed + 2);
    test::fill_normal(log_var.matrix(), seed + 3, 1.5f, -0.5f);
  }

  ElboLossArgs<Data> args(bool want_gradient = true, float beta = 0.7f, float loss_scale = 0.37f) {
    ElboLossArgs<Data> a;
    a.x = x.matrix();
    if (!std::is_same_v<Data, float>) a.divisor = kDivisor;
    a.samples = static_cast<int>(size.samples);
    a.output = output.matrix();
    a.mu = mu.matrix();
    a.log_var = log_var.matrix();
    a.clamp = kClamp;
    a.beta = beta;
    a.loss_scale = loss_scale;
    a.want_gradient = want_gradient;
    a.log_px_given_z = log_px.vector();
    a.kl = kl.vector();
    a.elbo = elbo.vector();
    a.clamped = clamped.vector();
    a.posterior_clamped = posterior_clamped.vector();
    a.grad_output = gradient();
    a.grad_mu = grad_mu.matrix();
    a.grad_log_var = grad_log_var.matrix();
    return a;
  }
  /// Where the gradient by the output goes.
  View<float, 2> gradient() { return in_place ? output.matrix() : grad.matrix(); }

  /// The reference's input, from the memory as it is now; bytes as the nearest float to byte / divisor.
  reference::ElboLossInput<double> input(double beta, double loss_scale) {
    reference::ElboLossInput<double> in{size.data, size.samples, size.dimensions, size.latent};
    in.x = test::to_double(x.matrix());
    if (!std::is_same_v<Data, float>) {
      for (double& v : in.x) v = static_cast<double>(static_cast<float>(v / kDivisor));
    }
    in.output = test::to_double(output.matrix());
    in.mu = test::to_double(mu.matrix());
    in.log_var = test::to_double(log_var.matrix());
    in.lo = kClamp.lo;
    in.hi = kClamp.hi;
    in.beta = beta;
    in.loss_scale = loss_scale;
    return in;
  }

  void check_guards(Parity& parity, const std::string& what) const {
    x.check_guards(parity, what + " x");
    for (const Guarded<float>* g :
         {&output, &mu, &log_var, &log_px, &kl, &elbo, &grad, &grad_mu, &grad_log_var}) {
      g->check_guards(parity, what);
    }
    clamped.check_guards(parity, what + " clamped");
    posterior_clamped.check_guards(parity, what + " posterior_clamped");
  }

  static constexpr float kDivisor = 255.0f;
  static constexpr LogVarClamp kClamp{-2.5f, 1.5f};
  Likelihood which;
  Size size;
  bool in_place;
  std::int64_t rows;
  Guarded<Data> x;
  Guarded<float> output, mu, log_var, log_px, kl, elbo, grad, grad_mu, grad_log_var;
  Guarded<std::int32_t> clamped, posterior_clamped;

 private:
  // For a Bernoulli, and for bytes, two thirds are the ends of the range, the rest grey.
  void fill_x(std::uint64_t seed) {
    Guarded<float> values(size.data, size.dimensions);
    const View<float, 2> from = values.matrix();
    test::fill_normal(from, seed);
    const bool bytes = !std::is_same_v<Data, float>;
    for (std::int64_t i = 0; i < from.rows; ++i) {
      for (std::int64_t j = 0; j < from.cols; ++j) {
        float v = from(i, j);
        if (bytes || which.family == LikelihoodFamily::kBernoulli) v = std::clamp(0.5f + v, 0.0f, 1.0f);
        x.matrix()(i, j) = static_cast<Data>(bytes ? std::round(kDivisor * v) : v);
      }
    }
  }
};

// Where the tolerances come from, in units of kEps, one rounding being 1/2. An element of log p or of its
// gradient: 6, as in likelihood_test.cpp, and 1 for the rounded factor of the gradient. An element of the KL:
// exp within 2 ulp of its largest term, and 4 roundings. The KL's gradient by mu: the factor and the product
// are rounded; by log_var: exp, the factor and 3 more. A sum of n: each of 16 lanes adds up to 64 elements
// before they go on in double, 4 additions join the lanes, and the result is rounded once.
double tolerance_of_sum(double element, std::int64_t n) {
  return element + 0.5 * (static_cast<double>(std::min<std::int64_t>(n, 1024)) / 16 + 4) + 1;
}

std::vector<double> tolerances(const std::vector<double>& scale, double k, double smallest) {
  std::vector<double> out;
  for (const double s : scale) out.push_back(k * kEps * s + smallest);
  return out;
}

void compare_counts(Parity& parity, const std::string& what, View<std::int32_t, 1> got,
                    const std::vector<std::int32_t>& want) {
  for (std::int64_t i = 0; i < got.size; ++i) {
    parity.element(what, i, 0, got(i), want[static_cast<std::size_t>(i)], 0.0);
  }
}

template <class Data>
void compare(Parity& parity, const std::string& what, Problem<Data>& p,
             const reference::ElboLossOutcome<double>& want) {
  const double px = tolerance_of_sum(6, p.size.dimensions), kl = tolerance_of_sum(4, p.size.latent);
  const double tiny = kTiny * static_cast<double>(p.size.dimensions);
  const auto values = [&](const char* name, Guarded<float>& got, const reference::Scaled<double>& value,
                          double k) {
    parity.compare(what + name, View<const float, 1>(got.vector()), value.value,
                   tolerances(value.scale, k, tiny));
  };
  values(" log_px", p.log_px, want.log_px, px);
  values(" kl", p.kl, want.kl, kl);
  values(" elbo", p.elbo, want.elbo, std::max(px, kl) + 1);
  parity.compare(what + " grad_output", p.gradient(), want.grad_output.value,
                 tolerances(want.grad_output.scale, 7, kTiny));
  parity.compare(what + " grad_mu", p.grad_mu.matrix(), want.grad_mu.value,
                 tolerances(want.grad_mu.scale, 1, kTiny));
  parity.compare(what + " grad_log_var", p.grad_log_var.matrix(), want.grad_log_var.value,
                 tolerances(want.grad_log_var.scale, 4, kTiny));
  compare_counts(parity, what + " clamped", p.clamped.vector(), want.clamped);
  compare_counts(parity, what + " posterior_clamped", p.posterior_clamped.vector(), want.posterior_clamped);
  p.check_guards(parity, what);
}

template <class Data>
void expect_parity(const Likelihood& which, Size size, Layout layout, int threads) {
  const std::string what =
      fmt::format("{} {} B {} S {} X {} Z {}", label(which), std::is_same_v<Data, float> ? "float" : "byte",
                  size.data, size.samples, size.dimensions, size.latent);
  Problem<Data> p(which, size, layout, static_cast<std::uint64_t>(size.dimensions));
  const float beta = 0.7f, loss_scale = 0.37f;
  const auto want = reference::elbo_loss(which, p.input(beta, loss_scale));
  elbo_loss(test::exec(threads), which, p.args(true, beta, loss_scale));
  Parity parity;
  compare(parity, what, p, want);
  if (!layout.in_place) {
    Problem<Data> before(which, size, layout, static_cast<std::uint64_t>(size.dimensions));
    EXPECT_TRUE(test::same_bits(p.output.matrix(), before.output.matrix())) << what;
  }
  FELBO_EXPECT_PARITY(parity);
}
void expect_parity_of_both(const Likelihood& which, Size size, Layout layout, int threads) {
  expect_parity<float>(which, size, layout, threads);
  expect_parity<std::uint8_t>(which, size, layout, threads);
}

// --- The reference

// KL by hand, as reparameterize_test.cpp has it; log-densities by mpmath, as likelihood_test.cpp has them.
TEST(ElboLossReference, KnownValues) {
  const Likelihood bernoulli = likelihood_from_names("bernoulli", "unit", {});
  const auto one = reference::elbo_loss<double>(
      bernoulli, {1, 2, 1, 2, {1.0}, {2.5, -2.5}, {.25, -.5}, {-.2, .1}, -20, 20, 4.0, 0.5});
  EXPECT_NEAR(one.log_px.value[0], -0.07888973429254962334404392, 1e-15);
  EXPECT_NEAR(one.log_px.value[1], -2.578889734292549623344044, 1e-15);
  EXPECT_NEAR(one.kl.value[0], 0.1682008, 5e-8);
  EXPECT_NEAR(one.elbo.value[0], -1.328889734292549623344044 - one.kl.value[0], 1e-15);
  EXPECT_NEAR(one.loss, 0.5 * (4.0 * one.kl.value[0] + 1.328889734292549623344044), 1e-15);
  const Likelihood gaussian = likelihood_from_names("gaussian", "per-element", {});
  const auto two =
      reference::elbo_loss<double>(gaussian, {1, 1, 1, 2, {0.5}, {-1.5, -2.0}, {0, -.25}, {-1, .5}});
  EXPECT_NEAR(two.log_px.value[0], -14.69705073106597319624118, 1e-13);
  EXPECT_NEAR(two.kl.value[0], 0.2895504, 5e-8);
}

// The reference's gradients against central differences of the reference's loss, in long double: the error of
// a difference is h^2 f''' / 6 + eps f / h, below 1e-9 of the loss's scale here.
TEST(ElboLossReference, GradientsAreTheDerivatives) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem<float> p(which, {2, 3, 4, 3});
    const auto in = p.input(0.7, 0.37);
    reference::ElboLossInput<long double> point{2, 3, 4, 3};
    point.x.assign(in.x.begin(), in.x.end());
    point.output.assign(in.output.begin(), in.output.end());
    point.mu.assign(in.mu.begin(), in.mu.end());
    point.log_var.assign(in.log_var.begin(), in.log_var.end());
    point.lo = in.lo, point.hi = in.hi, point.beta = 0.7L, point.loss_scale = 0.37L;
    const auto out = reference::elbo_loss(which, point);
    long double scale = 0;
    for (const long double s : out.elbo.scale) scale += s;
    const auto check = [&](std::vector<long double>& at, const std::vector<long double>& gradient) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        const long double h = 1e-6L, kept = at[i];
        at[i] = kept + h;
        const long double above = reference::elbo_loss(which, point).loss;
        at[i] = kept - h;
        const long double below = reference::elbo_loss(which, point).loss;
        at[i] = kept;
        EXPECT_LE(std::abs((above - below) / (2 * h) - gradient[i]), 1e-9L * scale) << label(which) << i;
      }
    };
    check(point.output, out.grad_output.value);
    check(point.mu, out.grad_mu.value);
    check(point.log_var, out.grad_log_var.value);
  }
}

// --- The fast path against the reference

TEST(ElboLoss, MatchesTheReferenceForEveryWidth) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {1,   2,   15,  16,  17,  31,  32,   33,   127,  128, 129,
                                    255, 256, 257, 783, 784, 785, 1023, 1024, 1025, 2049}) {
      expect_parity_of_both(which, {3, 1, cols, 20}, {cols % 3, cols % 2, cols % 5 < 2}, 1);
      expect_parity_of_both(which, {2, 3, cols, 5}, {cols % 5, cols % 4, cols % 7 < 4}, 2);
    }
  }
}

TEST(ElboLoss, MatchesTheReferenceForEveryLatentWidth) {
  for (const Likelihood& which : {all_likelihoods().front(), all_likelihoods().back()}) {
    for (const std::int64_t latent :
         {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 1025, 2049}) {
      expect_parity_of_both(which, {3, 1, 33, latent}, {latent % 3, latent % 2, latent % 5 < 2}, 2);
      expect_parity<float>(which, {2, 2, 1040, latent}, {}, 1);
    }
  }
}

TEST(ElboLoss, MatchesTheReferenceForEveryHeight) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t data : {1, 2, 31, 32, 33, 64, 65, 127, 128, 129, 257}) {
      expect_parity_of_both(which, {data, 1, 36, 8}, {}, 2);
      expect_parity_of_both(which, {data, 2, 20, 3}, {1, 3, false}, 3);
    }
    expect_parity_of_both(which, {2, 70, 20, 3}, {}, 3);
  }
}

// Long rows keep the error bound of short ones.
TEST(ElboLoss, MatchesTheReferenceForLongRows) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {16384, 16385, 70001})
      expect_parity_of_both(which, {2, 1, cols, 4}, {}, 2);
    expect_parity_of_both(which, {1, 2, 32000, 4}, {4, 0, false}, 2);
  }
}

// --- The same numbers by other ways

/// Whether everything that two calls gave out has the same bits.
template <class A, class B>
void expect_same(Problem<A>& a, Problem<B>& b, const std::string& what) {
  EXPECT_TRUE(test::same_bits(a.log_px.matrix(), b.log_px.matrix())) << what;
  EXPECT_TRUE(test::same_bits(a.kl.matrix(), b.kl.matrix())) << what;
  EXPECT_TRUE(test::same_bits(a.elbo.matrix(), b.elbo.matrix())) << what;
  EXPECT_TRUE(test::same_bits(a.gradient(), b.gradient())) << what;
  EXPECT_TRUE(test::same_bits(a.grad_mu.matrix(), b.grad_mu.matrix())) << what;
  EXPECT_TRUE(test::same_bits(a.grad_log_var.matrix(), b.grad_log_var.matrix())) << what;
}

// All gradients are those of likelihood() and reparameterize_backward(), bit for bit, here and on the CPU: a
// user may change from one to the other.
TEST(ElboLoss, GradientsAreThoseOfTheSeparateOps) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {35, 128, 1030}) {
      Problem<float> fused(which, {5, 2, cols, 19}), separate(which, {5, 2, cols, 19});
      elbo_loss(test::exec(2), which, fused.args());
      LikelihoodArgs a;
      a.x = separate.x.matrix();
      a.samples = 2;
      a.output = separate.output.matrix();
      a.grad_scale = -0.37f / 2.0f;
      a.log_px_given_z = separate.log_px.vector();
      a.clamped = separate.clamped.vector();
      likelihood(test::exec(2), which, a);
      EXPECT_TRUE(test::same_bits(fused.output.matrix(), separate.output.matrix())) << label(which) << cols;
      Guarded<float> grad_z(10, 19);
      for (float& g : grad_z.vector()) g = 0.0f;
      const test::Array<std::uint32_t> datum(5);
      reparameterize_backward(test::exec(2), {separate.mu.matrix(),
                                              separate.log_var.matrix(),
                                              Problem<float>::kClamp,
                                              NoiseStream{},
                                              {datum.data(), 5},
                                              0,
                                              2,
                                              grad_z.matrix(),
                                              0.37f * 0.7f,
                                              separate.grad_mu.matrix(),
                                              separate.grad_log_var.matrix()});
      EXPECT_TRUE(test::same_bits(fused.grad_mu.matrix(), separate.grad_mu.matrix())) << cols;
      EXPECT_TRUE(test::same_bits(fused.grad_log_var.matrix(), separate.grad_log_var.matrix())) << cols;
      Problem<float> cpu(which, {5, 2, cols, 19});
      elbo_loss(CpuExec(1), which, cpu.args());
      EXPECT_TRUE(test::same_bits(fused.gradient(), cpu.gradient())) << label(which) << cols;
      EXPECT_TRUE(test::same_bits(fused.grad_mu.matrix(), cpu.grad_mu.matrix())) << cols;
      EXPECT_TRUE(test::same_bits(fused.grad_log_var.matrix(), cpu.grad_log_var.matrix())) << cols;
    }
  }
}

TEST(ElboLoss, InPlaceAndApartGiveTheSame) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {36, 37, 1028}) {
      Problem<float> over(which, {5, 3, cols, 7}), apart(which, {5, 3, cols, 7}, {0, 0, false});
      elbo_loss(test::exec(2), which, over.args());
      elbo_loss(test::exec(2), which, apart.args());
      expect_same(over, apart, label(which));
    }
  }
}

TEST(ElboLoss, BytesGiveTheBitsOfTheirQuotients) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {37, 784, 1030}) {
      Problem<std::uint8_t> bytes(which, {5, 2, cols, 7});
      Problem<float> floats(which, {5, 2, cols, 7});
      for (std::int64_t i = 0; i < 5; ++i) {
        for (std::int64_t j = 0; j < cols; ++j) {
          floats.x.matrix()(i, j) = static_cast<float>(bytes.x.matrix()(i, j)) / 255.0f;
        }
      }
      elbo_loss(test::exec(2), which, bytes.args());
      elbo_loss(test::exec(2), which, floats.args());
      expect_same(bytes, floats, label(which));
    }
  }
}

// A byte by way of the reciprocal is the nearest float to its quotient, whatever the divisor.
TEST(ElboLoss, BytesAreDividedExactly) {
  const auto check = [](float divisor) {
    const auto intensity = gather_math::ByteIntensity::of(divisor);
    for (int byte = 0; byte < 256; ++byte) {
      const float value = static_cast<float>(byte);
      ASSERT_EQ(math::bits(intensity(value)), math::bits(gather_math::intensity(value, divisor)))
          << byte << " / " << divisor;
    }
  };
  for (int divisor = 1; divisor <= 1024; ++divisor) check(static_cast<float>(divisor));
  for (const float divisor : {1e-30f, 3.3e-29f, 0.1f, 254.99998f, 255.00002f, 16777213.0f, 7.7e29f, 1e30f}) {
    check(divisor);
  }
  // Significands all over the range, the largest ones among them.
  for (std::int32_t step = 0; step < 4096; ++step) {
    check(math::from_bits(0x3f800000 + 2039 * step));
    check(math::from_bits(0x3fffffff - step));
  }
}

TEST(ElboLoss, BitsDoNotDependOnThreads) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem<float> one(which, {301, 1, 41, 9});
    elbo_loss(test::exec(1), which, one.args());
    for (const int threads : {2, 3, 7}) {
      Problem<float> many(which, {301, 1, 41, 9});
      elbo_loss(test::exec(threads), which, many.args());
      expect_same(many, one, label(which));
    }
  }
}

TEST(ElboLoss, ADatumDoesNotDependOnTheBatch) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {101, 1030}) {
      Problem<std::uint8_t> all(which, {6, 3, cols, 9}), some(which, {6, 3, cols, 9});
      elbo_loss(test::exec(2), which, all.args());
      const ElboLossArgs<std::uint8_t> whole = some.args();
      for (const auto& [first, count] : {std::pair{0, 2}, std::pair{2, 1}, std::pair{3, 3}}) {
        ElboLossArgs<std::uint8_t> a = whole;
        a.x = whole.x.row_slice(first, count);
        a.output = whole.output.row_slice(3 * first, 3 * count);
        a.grad_output = whole.grad_output.row_slice(3 * first, 3 * count);
        a.log_px_given_z = whole.log_px_given_z.slice(3 * first, 3 * count);
        a.clamped = whole.clamped.slice(3 * first, 3 * count);
        for (auto view : {&ElboLossArgs<std::uint8_t>::mu, &ElboLossArgs<std::uint8_t>::log_var}) {
          a.*view = (whole.*view).row_slice(first, count);
        }
        for (auto view : {&ElboLossArgs<std::uint8_t>::grad_mu, &ElboLossArgs<std::uint8_t>::grad_log_var}) {
          a.*view = (whole.*view).row_slice(first, count);
        }
        a.kl = whole.kl.slice(first, count);
        a.elbo = whole.elbo.slice(first, count);
        a.posterior_clamped = whole.posterior_clamped.slice(first, count);
        elbo_loss(test::exec(2), which, a);
      }
      expect_same(some, all, label(which));
    }
  }
}

TEST(ElboLoss, WithoutGradientNothingElseIsTouched) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem<float> with(which, {35, 2, 67, 5}), without(which, {35, 2, 67, 5}), before(which, {35, 2, 67, 5});
    elbo_loss(test::exec(2), which, with.args());
    ElboLossArgs<float> args = without.args(false);
    args.grad_output = {};
    args.grad_mu = args.grad_log_var = {};
    elbo_loss(test::exec(2), which, args);
    EXPECT_TRUE(test::same_bits(without.output.matrix(), before.output.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.grad_mu.matrix(), before.grad_mu.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.log_px.matrix(), with.log_px.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.kl.matrix(), with.kl.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.elbo.matrix(), with.elbo.matrix())) << label(which);
    Parity parity;
    for (std::int64_t r = 0; r < with.rows; ++r) {
      parity.element("clamped", r, 0, without.clamped.vector()(r), with.clamped.vector()(r), 0.0);
    }
    without.check_guards(parity, label(which));
    FELBO_EXPECT_PARITY(parity);
  }
}

// --- What the numbers mean

TEST(ElboLoss, BetaWeighsTheGradientOfTheKlAlone) {
  const Likelihood which = likelihood_from_names("bernoulli", "unit", {});
  Problem<float> one(which, {4, 2, 30, 6}), four(which, {4, 2, 30, 6}), read(which, {4, 2, 30, 6});
  elbo_loss(test::exec(1), which, one.args(true, 1.0f));
  elbo_loss(test::exec(1), which, four.args(true, 4.0f));
  const test::Array<float> beta{4.0f};
  ElboLossArgs<float> args = read.args();
  args.beta = Scalar<float>::read(beta.data());
  elbo_loss(test::exec(1), which, args);
  expect_same(read, four, "beta from memory");
  EXPECT_TRUE(test::same_bits(four.elbo.matrix(), one.elbo.matrix()));
  EXPECT_TRUE(test::same_bits(four.kl.matrix(), one.kl.matrix()));
  EXPECT_TRUE(test::same_bits(four.gradient(), one.gradient()));
  for (std::int64_t i = 0; i < 4 * 6; ++i) {
    EXPECT_EQ(four.grad_mu.vector()(i), 4.0f * one.grad_mu.vector()(i));
    EXPECT_EQ(four.grad_log_var.vector()(i), 4.0f * one.grad_log_var.vector()(i));
  }
}

// At a bound the gradient flows and nothing is counted; beyond it the value is the bound's and the gradient
// is zero.
TEST(ElboLoss, ClampsTheTwoLogVariancesEachByItsOwnBounds) {
  const Likelihood which = likelihood_from_names("gaussian", "per-element", {-3.0f, 4.0f});
  Problem<float> p(which, {1, 1, 4, 4});
  const float decoder[] = {-3.0f, 4.0f, -3.5f, 4.5f}, posterior[] = {-2.5f, 1.5f, -3.0f, 3.0f};
  for (std::int64_t j = 0; j < 4; ++j) p.output.matrix()(0, 4 + j) = decoder[j];
  for (std::int64_t j = 0; j < 4; ++j) p.log_var.matrix()(0, j) = posterior[j];
  elbo_loss(test::exec(1), which, p.args());
  EXPECT_EQ(p.clamped.vector()(0), 2);
  EXPECT_EQ(p.posterior_clamped.vector()(0), 2);
  for (std::int64_t j = 0; j < 4; ++j) {
    EXPECT_EQ(p.output.matrix()(0, 4 + j) == 0.0f, j >= 2) << j;
    EXPECT_EQ(p.grad_log_var.matrix()(0, j) == 0.0f, j >= 2) << j;
  }
}

// Bounds that leave out 0 are for what is there, not for what fills up the last vector.
TEST(ElboLoss, BoundsMayLeaveOutZero) {
  const Likelihood which = likelihood_from_names("gaussian", "per-element", {0.5f, 2.0f});
  for (const std::int64_t cols : {1, 3, 18}) {
    Problem<float> p(which, {2, 1, cols, cols});
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t j = 0; j < cols; ++j) {
        p.output.matrix()(b, cols + j) = p.log_var.matrix()(b, j) = 1.0f;
        p.mu.matrix()(b, j) = 0.0f;
      }
    }
    ElboLossArgs<float> args = p.args();
    args.clamp = {0.5f, 2.0f};
    elbo_loss(test::exec(1), which, args);
    const double n = static_cast<double>(cols), want = n * (std::exp(1.0) - 2.0) / 2.0;
    Parity parity;
    for (std::int64_t b = 0; b < 2; ++b) {
      parity.element("clamped", b, 0, p.clamped.vector()(b) + p.posterior_clamped.vector()(b), 0.0, 0.0);
      parity.element("kl", b, 0, p.kl.vector()(b), want,
                     tolerance_of_sum(4, cols) * kEps * n * (std::exp(1.0) + 2.0) / 2.0);
    }
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(ElboLoss, NanReachesTheDatumThatHoldsIt) {
  for (const Likelihood& which : all_likelihoods()) {
    const auto check = [&](const std::function<void(Problem<float>&)>& spoil, bool px, bool kl) {
      Problem<float> p(which, {4, 2, 35, 9});
      spoil(p);
      elbo_loss(test::exec(2), which, p.args());
      for (std::int64_t b = 0; b < 4; ++b) {
        EXPECT_EQ(std::isnan(p.elbo.vector()(b)), b == 2) << label(which);
        EXPECT_EQ(std::isnan(p.kl.vector()(b)), kl && b == 2) << label(which);
        EXPECT_EQ(std::isnan(p.log_px.vector()(2 * b + 1)), px && b == 2) << label(which);
      }
    };
    check([](auto& p) { p.x.matrix()(2, 34) = kNan; }, true, false);
    check([](auto& p) { p.output.matrix()(5, 34) = kNan; }, true, false);
    check([](auto& p) { p.mu.matrix()(2, 8) = kNan; }, false, true);
    check([](auto& p) { p.log_var.matrix()(2, 0) = kNan; }, false, true);
    Problem<float> p(which, {4, 1, 35, 9});
    p.output.matrix()(2, 34) = p.mu.matrix()(1, 8) = p.log_var.matrix()(0, 3) = kNan;
    elbo_loss(test::exec(2), which, p.args());
    EXPECT_TRUE(std::isnan(p.output.matrix()(2, 34)));
    EXPECT_TRUE(std::isnan(p.grad_mu.matrix()(1, 8)));
    EXPECT_TRUE(std::isnan(p.grad_log_var.matrix()(0, 3)));
  }
}

TEST(ElboLoss, NoDataGiveNothing) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem<float> p(which, {0, 2, 9, 3});
    elbo_loss(test::exec(2), which, p.args());
    Parity parity;
    parity.element("nothing", 0, 0, 0.0, 0.0, 0.0);
    p.check_guards(parity, label(which));
    FELBO_EXPECT_PARITY(parity);
  }
}

// --- Bad requests

template <class Data>
void expect_refused(const Likelihood& which, const std::function<void(ElboLossArgs<Data>&)>& spoil,
                    const std::string& part) {
  Problem<Data> p(which, {3, 2, 10, 4});
  ElboLossArgs<Data> args = p.args();
  spoil(args);
  try {
    elbo_loss(test::exec(1), which, args);
    FAIL() << "nothing was thrown; expected: " << part;
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
  EXPECT_TRUE(test::same_bits(p.output.matrix(), Problem<Data>(which, {3, 2, 10, 4}).output.matrix()))
      << part;
}

TEST(ElboLoss, RefusesShapesThatDisagree) {
  const Likelihood which = likelihood_from_names("gaussian", "per-element", {});
  const auto refused = [&](const std::function<void(ElboLossArgs<float>&)>& spoil, const std::string& part) {
    expect_refused<float>(which, spoil, part);
  };
  refused([](auto& a) { a.x.cols = 0; }, "elbo_loss: x has no columns");
  refused([](auto& a) { a.samples = 0; }, "samples must be at least 1, got 0");
  refused([](auto& a) { a.samples = 3; }, "output must be 9 x 20, got 6 x 20");
  refused([](auto& a) { a.output.cols = 10; }, "output must be 6 x 20, got 6 x 10");
  refused([](auto& a) { a.mu.rows = 2; }, "mu must be 3 x 4, got 2 x 4");
  refused([](auto& a) { a.log_var.cols = 3; }, "log_var must be 3 x 4, got 3 x 3");
  refused(
      [](auto& a) {
        a.clamp = {1.0f, -1.0f};
      },
      "elbo_loss: the bounds of log_var must lie in [-80, 80] in rising order, got [1, -1]");
  refused([](auto& a) { a.log_px_given_z.size = 3; }, "log_px_given_z must have 6 elements, got 3");
  refused([](auto& a) { a.kl.size = 6; }, "kl must have 3 elements, got 6");
  refused([](auto& a) { a.elbo.size = 0; }, "elbo must have 3 elements, got 0");
  refused([](auto& a) { a.clamped.size = 3; }, "clamped must have 6 elements, got 3");
  refused([](auto& a) { a.posterior_clamped.size = 6; }, "posterior_clamped must have 3 elements, got 6");
  refused([](auto& a) { a.grad_output = {}; }, "grad_output must be 6 x 20, got 0 x 0");
  refused([](auto& a) { a.grad_output.stride += 4; },
          "grad_output begins where output does, but its rows are 24");
  refused([](auto& a) { a.grad_mu.cols = 3; }, "grad_mu must be 3 x 4, got 3 x 3");
  refused([](auto& a) { a.grad_log_var = {}; }, "grad_log_var must be 3 x 4, got 0 x 0");
  refused([](auto& a) { a.divisor = 255.0f; }, "floats are not divided, so divisor must be 1, got 255");
  for (const float divisor : {0.0f, -255.0f, kNan, 1e31f, 1e-31f}) {
    expect_refused<std::uint8_t>(
        which, [&](auto& a) { a.divisor = divisor; }, "divisor must lie in [1e-30, 1e+30]");
  }
}

TEST(ElboLoss, RefusesOtherFamilies) {
  for (const char* name : {"laplace", "student-t", "discretized-logistic", "continuous-bernoulli", "poisson",
                           "negative-binomial", "zero-inflated-negative-binomial"}) {
    const Likelihood which = likelihood_from_names(name, "unit", {});
    expect_refused<float>(
        which, [](auto&) {}, "p(x|z) must be bernoulli or gaussian");
  }
}

TEST(ElboLoss, RefusesVariancesThatTheLikelihoodLearns) {
  for (const char* variance : {"learned", "per-dimension"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {});
    expect_refused<float>(
        which, [](auto&) {}, "has a gradient summed over the batch");
    expect_refused<std::uint8_t>(
        which, [](auto&) {}, "use likelihood(), elbo()");
  }
}

}  // namespace
}  // namespace felbo
