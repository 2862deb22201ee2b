#include "kernels/likelihood/likelihood.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "host/check/tolerance.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/likelihood/test_problem.h"
#include "kernels/likelihood/unit.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::evaluate;
using test::Guarded;
using test::kEps;
using test::kNan;
using test::kTiny;
using test::Layout;
using test::OneElement;
using test::Parity;
using test::Problem;
using test::ProblemOf;
using test::Size;

/// Every p(x|z) there is; bounds of log-variances that the test data cross.
std::vector<Likelihood> all_likelihoods() {
  const LogVarClamp clamp{-1.5f, 2.0f};
  return {likelihood_from_names("bernoulli", "unit", clamp),
          likelihood_from_names("gaussian", "unit", clamp),
          likelihood_from_names("gaussian", "fixed:0.3", clamp),
          likelihood_from_names("gaussian", "learned", clamp),
          likelihood_from_names("gaussian", "per-dimension", clamp),
          likelihood_from_names("gaussian", "per-element", clamp),
          likelihood_from_names("laplace", "unit", clamp),
          likelihood_from_names("laplace", "fixed:0.3", clamp),
          likelihood_from_names("laplace", "learned", clamp),
          likelihood_from_names("laplace", "per-dimension", clamp),
          likelihood_from_names("laplace", "per-element", clamp),
          likelihood_from_names("student-t", "per-dimension", clamp),
          likelihood_from_names("student-t", "per-element", clamp, 2.5f),
          likelihood_from_names("discretized-logistic", "learned", clamp),
          likelihood_from_names("discretized-logistic", "per-element", clamp),
          likelihood_from_names("continuous-bernoulli", "unit", clamp),
          likelihood_from_names("poisson", "unit", clamp),
          likelihood_from_names("negative-binomial", "fixed:0.3", clamp),
          likelihood_from_names("negative-binomial", "per-dimension", clamp),
          likelihood_from_names("negative-binomial", "per-element", clamp),
          likelihood_from_names("zero-inflated-negative-binomial", "learned", clamp),
          likelihood_from_names("zero-inflated-negative-binomial", "per-element", clamp),
          likelihood_from_names("categorical", "unit", clamp, 5, 3),
          likelihood_from_names("categorical", "unit", clamp, 5, 29),
          likelihood_from_names("multinomial", "unit", clamp)};
}
std::string label(const Likelihood& which) {
  return fmt::format("family {} variance {} categories {}", static_cast<int>(which.family),
                     static_cast<int>(which.variance), which.categories);
}

// As host/check/tolerance.h says why.
double tolerance_of_sum(const Likelihood& which, std::int64_t n) { return checks::log_px_k(which, n); }
double tolerance_of_own(const Likelihood& which, std::int64_t n) { return checks::own_k(which, n); }

std::vector<double> tolerances(const std::vector<double>& scale, double k, double smallest) {
  std::vector<double> out;
  for (const double s : scale) out.push_back(k * kEps * s + smallest);
  return out;
}

template <class T, class Data>
void compare(Parity& parity, const std::string& what, ProblemOf<T, Data>& p,
             const reference::LikelihoodOutcome<double>& want) {
  const std::int64_t n = p.size.dimensions;
  const double own = tolerance_of_own(p.which, n);
  parity.compare(what + " log_px", View<const float, 1>(p.log_px.vector()), want.log_px_given_z,
                 tolerances(want.log_px_scale, tolerance_of_sum(p.which, n), kTiny * static_cast<double>(n)));
  parity.compare(what + " grad", p.output.matrix(), want.grad_output,
                 tolerances(want.grad_scale, checks::output_gradient_k(p.which), kTiny));
  parity.compare(what + " grad_own", View<const float, 1>(p.grad_own.vector()), want.grad_own,
                 tolerances(want.grad_own_scale, own, kTiny * static_cast<double>(p.rows)));
  for (std::int64_t r = 0; r < p.rows; ++r) {
    parity.element(what + " clamped", r, 0, p.clamped.vector()(r), want.clamped[static_cast<std::size_t>(r)],
                   0.0);
  }
  p.check_guards(parity, what);
}

template <class T = float, class Data = float>
void expect_parity(const Likelihood& which, Size size, Layout layout, int threads) {
  const std::string what = fmt::format("{} B {} S {} X {} of {} bytes", label(which), size.data, size.samples,
                                       size.dimensions, sizeof(Data));
  ProblemOf<T, Data> p(which, size, layout, static_cast<std::uint64_t>(size.dimensions));
  const LikelihoodArgsOf<T> args = p.args();
  const auto want = reference::likelihood(which, p.input(static_cast<double>(args.grad_scale)));
  likelihood(test::exec(threads), which, args);
  Parity parity;
  compare(parity, what, p, want);
  FELBO_EXPECT_PARITY(parity);
}

// --- The reference
// ---------------------------------------------------------------------------------------------------

// mpmath, 60 digits. Terms of unlike size cancel nowhere in the reference, so each value holds to 1e-14 of
// itself.
void expect_near_relative(double got, double want) {
  EXPECT_LE(std::abs(got - want), 1e-14 * std::abs(want)) << want;
}

TEST(LikelihoodReference, BernoulliGoldenValues) {
  const double golden[][4] = {
      // x, logit, log p, d log p / d logit
      {0, 0, -0.6931471805599453094172321, -0.5},
      {1, 0, -0.6931471805599453094172321, 0.5},
      {1, 2.5, -0.07888973429254962334404392, 0.07585818002124355119330618},
      {0, 2.5, -2.578889734292549623344044, -0.9241418199787564488066938},
      {1, -2.5, -2.578889734292549623344044, 0.9241418199787564488066938},
      {0.25, 1.5, -1.326413277982752409499483, -0.5675744761936436596072172},
      {0.75, -3.25, -2.475541371687783128561209, 0.7126731126558705398022858},
      {1, 40, -4.248354255291588986e-18, 4.248354255291588977e-18},
      {0, 40, -40.00000000000000000424835, -0.9999999999999999957516457},
      {0, -40, -4.248354255291588986e-18, -4.248354255291588977e-18},
      {1, 1e4, 0, 0},
      {0, 1e4, -1e4, -1},
      {1, -1e4, -1e4, 1},
      {0.5, -1e4, -5e3, 0.5},
  };
  for (const auto& g : golden) {
    expect_near_relative(reference::bernoulli_log_p(g[0], g[1]), g[2]);
    expect_near_relative(reference::bernoulli_grad(g[0], g[1]), g[3]);
  }
}

TEST(LikelihoodReference, GaussianGoldenValues) {
  const double golden[][6] = {
      // x, mean, log_var, log p, d / d mean, d / d log_var
      {0, 0, 0, -0.9189385332046727417803297, 0, -0.5},
      {1, 0.25, 0, -1.20018853320467274178033, 0.75, -0.21875},
      {0.5, -1.5, -2, -14.69705073106597319624118, 14.77811219786130045446085, 14.27811219786130045446085},
      {0.125, 0.25, 3, -2.419327494676296678834856, -0.006223383545982992872417802,
       -0.4996110385283760629454739},
      {3, -4, -20, -11886547278.45880034344779, 3396156367.868531945783748, 11886547287.03986181024312},
      {1e6, -1e6, 20, -4133.226183410320328673661, 0.004122307244877115655931881, 4121.807244877115655931881},
      {1e15, 0, 20, -1030576811219278913993.889, 2061153.62243855782796594, 1030576811219278913982.47},
      {0.5, 0.5, -20, 9.08106146679532725821967, 0, -0.5},
  };
  const Likelihood which = likelihood_from_names("gaussian", "per-element", {-20, 20});
  for (const auto& g : golden) {
    const auto out = reference::likelihood<double>(which, {1, 1, 1, {g[0]}, {g[1], g[2]}, {}, 1.0});
    expect_near_relative(out.log_px_given_z[0], g[3]);
    expect_near_relative(out.grad_output[0], g[4]);
    expect_near_relative(out.grad_output[1], g[5]);
  }
}

/// Sum over the rows of log p, the function that all gradients are of.
long double total(const Likelihood& which, const reference::LikelihoodInput<long double>& in) {
  long double sum = 0;
  for (const long double row : reference::likelihood(which, in).log_px_given_z) sum += row;
  return sum;
}

// Central differences in long double: the cut-off error is h^2 times a third derivative of about the
// function's own size, the rounding error 2^-64 / h of it; 1e-9 of the sum of the terms leaves room for both.
TEST(LikelihoodReference, GradientsAreDerivatives) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem p(which, {3, 2, 5});
    const auto in = p.input(1.0);
    reference::LikelihoodInput<long double> point{in.data,
                                                  in.samples,
                                                  in.dimensions,
                                                  {in.x.begin(), in.x.end()},
                                                  {in.output.begin(), in.output.end()},
                                                  {in.own.begin(), in.own.end()},
                                                  1.0L};
    const auto out = reference::likelihood(which, point);
    long double scale = 0;
    for (const long double s : out.log_px_scale) scale += s;
    const auto check = [&](std::vector<long double>& at, const std::vector<long double>& gradient) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        const long double h = 1e-6L, kept = at[i];
        at[i] = kept + h;
        const long double above = total(which, point);
        at[i] = kept - h;
        const long double below = total(which, point);
        at[i] = kept;
        EXPECT_LE(std::abs((above - below) / (2 * h) - gradient[i]), 1e-9L * scale)
            << label(which) << " " << i;
      }
    };
    check(point.output, out.grad_output);
    check(point.own, out.grad_own);
  }
}

// --- The fast path against the reference
// -----------------------------------------------------------------------------

TEST(Likelihood, MatchesTheReferenceForEveryWidth) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {1,   2,   15,  16,  17,  31,  32,   33,   127,  128, 129,
                                    255, 256, 257, 783, 784, 785, 1023, 1024, 1025, 2049}) {
      expect_parity(which, {3, 1, cols}, {cols % 3, cols % 2}, 1);
      expect_parity(which, {2, 3, cols}, {cols % 5, cols % 4}, 2);
    }
  }
}

TEST(Likelihood, MatchesTheReferenceForEveryHeight) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t data : {1, 2, 31, 32, 33, 64, 65, 127, 257}) {
      expect_parity(which, {data, 1, 37}, {}, 2);
      expect_parity(which, {data, 2, 20}, {1, 3}, 3);
    }
  }
}

// Long rows keep the error bound of short ones.
TEST(Likelihood, MatchesTheReferenceForLongRows) {
  for (const Likelihood& which : all_likelihoods()) expect_parity(which, {2, 1, 70001}, {}, 2);
}

/// The gradients of weighed rows against those of each row alone at its own scale.
template <class T = float, class Data = float>
void expect_weighed_parity(const Likelihood& which, Size size, Layout layout, int threads) {
  ProblemOf<T, Data> p(which, size, layout, static_cast<std::uint64_t>(size.dimensions));
  LikelihoodArgsOf<T> args = p.args();
  test::Array<float> weight;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const auto s = static_cast<float>(r % size.samples + 1), S = static_cast<float>(size.samples);
    weight.push_back(s / (0.5f * S * (S + 1.0f)));  // 1, 2, ... over their sum
  }
  args.weight = {weight.data(), p.rows};
  const auto in = p.input(static_cast<double>(args.grad_scale));
  auto want = reference::likelihood(which, in);
  std::ranges::fill(want.grad_own, 0.0);
  std::ranges::fill(want.grad_own_scale, 0.0);
  const std::int64_t X = size.dimensions, Y = which.outputs() * X;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const std::int64_t b = r / size.samples;
    const auto of_row =
        reference::likelihood<double>(which, {1,
                                              1,
                                              X,
                                              {in.x.begin() + b * X, in.x.begin() + (b + 1) * X},
                                              {in.output.begin() + r * Y, in.output.begin() + (r + 1) * Y},
                                              in.own,
                                              in.grad_scale * double{weight[static_cast<std::size_t>(r)]}});
    std::ranges::copy(of_row.grad_output, want.grad_output.begin() + r * Y);
    std::ranges::copy(of_row.grad_scale, want.grad_scale.begin() + r * Y);
    for (std::size_t i = 0; i < of_row.grad_own.size(); ++i) {
      want.grad_own[i] += of_row.grad_own[i];
      want.grad_own_scale[i] += of_row.grad_own_scale[i];
    }
  }
  likelihood(test::exec(threads), which, args);
  Parity parity;
  compare(parity, fmt::format("{} S {} X {}, weighed", label(which), size.samples, X), p, want);
  FELBO_EXPECT_PARITY(parity);
}

TEST(Likelihood, RowsAreWeighed) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const int samples : {1, 5}) expect_weighed_parity(which, {9, samples, 33}, {1, 1}, 2);
    expect_weighed_parity(which, {35, 2, 7}, {}, 3);
    expect_weighed_parity(which, {2, 2, 1025}, {2, 0}, 1);  // a block a row
    // Kernels that light families have beside those for floats.
    expect_weighed_parity<float, std::uint8_t>(which, {9, 2, 33}, {1, 1}, 2);
    expect_weighed_parity<float, std::uint8_t>(which, {1, 2, 1028}, {}, 1);
  }
  // Rows in pieces, one output a dimension and two.
  for (const char* variance : {"learned", "per-element"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {});
    expect_weighed_parity(which, {2, 2, 40001}, {}, 1);
    expect_weighed_parity<float, BFloat16>(which, {1, 2, 40000}, {}, 1);
  }
}

// --- x stored as bytes and as bfloat16

/// As the kernels and the CPU's spans cut rows: single elements, whole runs and what is left of them, a row
/// of several spans or of a block; aligned and not, strided and not.
template <class T, class Data>
void expect_stored_parity(const Likelihood& which) {
  for (const std::int64_t cols : {1, 7, 16, 17, 784, 785, 1023, 1024, 1025, 4099}) {
    expect_parity<T, Data>(which, {2, 1, cols}, {}, 1);
    expect_parity<T, Data>(which, {2, 2, cols}, {cols % 5, cols % 4}, 2);
  }
  expect_parity<T, Data>(which, {65, 2, 37}, {1, 3}, 3);
}

TEST(Likelihood, BytesMatchTheReference) {
  for (const Likelihood& which : all_likelihoods()) expect_stored_parity<float, std::uint8_t>(which);
}
TEST(Likelihood, BFloat16DataMatchTheReference) {
  for (const Likelihood& which : all_likelihoods()) expect_stored_parity<float, BFloat16>(which);
}
TEST(Likelihood, StoredDataMatchTheReferenceForLongRows) {
  for (const Likelihood& which : all_likelihoods()) {
    if (is_unit(which.family) || reference::is_coupled(which)) continue;  // of which no row is split
    expect_parity<float, std::uint8_t>(which, {2, 1, 40001}, {3, 0}, 2);
    expect_parity<float, BFloat16>(which, {1, 2, 40000}, {}, 2);
  }
}

template <class T, class A, class B>
void expect_same(ProblemOf<T, A>& a, ProblemOf<T, B>& b, const std::string& what) {
  EXPECT_TRUE(test::same_bits(a.log_px.matrix(), b.log_px.matrix())) << what;
  EXPECT_TRUE(test::same_bits(a.grad_own.matrix(), b.grad_own.matrix())) << what;
  for (std::int64_t r = 0; r < a.rows; ++r) {
    EXPECT_EQ(a.clamped.vector()(r), b.clamped.vector()(r)) << what;
    EXPECT_EQ(0, std::memcmp(a.output.matrix().row(r), b.output.matrix().row(r),
                             static_cast<std::size_t>(a.output.matrix().cols) * sizeof(T)))
        << what << " row " << r;
  }
}

/// Data stored as Data give the bits that floats of the same values give.
template <class T, class Data>
void expect_bits_of_floats(const Likelihood& which, Size size, Layout layout, bool want_gradient) {
  ProblemOf<T, Data> stored(which, size, layout);
  ProblemOf<T, float> floats(which, size);
  const std::vector<double> x = checks::to_x(stored.x.matrix(), which);
  for (std::int64_t i = 0; i < size.data * size.dimensions; ++i)
    floats.x.vector()(i) = static_cast<float>(x[static_cast<std::size_t>(i)]);
  likelihood(test::exec(2), which, stored.args(want_gradient));
  likelihood(test::exec(2), which, floats.args(want_gradient));
  expect_same(stored, floats,
              fmt::format("{} B {} S {} X {} of {} bytes", label(which), size.data, size.samples,
                          size.dimensions, sizeof(Data)));
}
template <class T>
void expect_bits_of_floats(const Likelihood& which, Size size, Layout layout = {}) {
  for (const bool want_gradient : {true, false}) {
    expect_bits_of_floats<T, std::uint8_t>(which, size, layout, want_gradient);
    expect_bits_of_floats<T, BFloat16>(which, size, layout, want_gradient);
  }
}

TEST(Likelihood, StoredDataGiveTheBitsOfFloats) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {1, 7, 16, 17, 784, 1028}) {
      const Size size{cols < 100 ? 3 : 1, 2, cols};
      expect_bits_of_floats<float>(which, size);
      expect_bits_of_floats<float>(which, size, {cols % 5, cols % 4});
#if defined(FELBO_TEST_CUDA)
      expect_bits_of_floats<BFloat16>(which, size, {8, 0});
      expect_bits_of_floats<BFloat16>(which, size, {cols % 5, cols % 4});
#endif
    }
  }
  for (const char* variance : {"unit", "per-element"})  // rows in pieces
    expect_bits_of_floats<float>(likelihood_from_names("gaussian", variance, {}), {1, 1, 32772});
}

// Each byte is the float nearest to byte / divisor: under a unit Gaussian the gradient by a mean of 0 is x.
TEST(Likelihood, BytesAreDividedToTheNearestFloat) {
  const Likelihood which = likelihood_from_names("gaussian", "unit", {});
  for (const float divisor : {255.0f, 1.0f, 28.0f, 0.7f, 1e30f, 1e-30f}) {
    ProblemOf<float, std::uint8_t> p(which, {1, 1, 256});
    for (std::int64_t j = 0; j < 256; ++j) {
      p.x.matrix()(0, j) = static_cast<std::uint8_t>(j);
      p.output.matrix()(0, j) = 0.0f;
    }
    LikelihoodArgs args = p.args(true, 1.0f);
    args.x = XView(p.x.matrix(), divisor);
    likelihood(test::exec(1), which, args);
    for (std::int64_t j = 0; j < 256; ++j)
      EXPECT_EQ(p.output.matrix()(0, j), static_cast<float>(j) / divisor) << j << " / " << divisor;
  }
}

TEST(Likelihood, NanInBFloat16DataReachesItsRows) {
  for (const Likelihood& which : all_likelihoods()) {
    ProblemOf<float, BFloat16> p(which, {4, 2, 35});
    p.x.matrix()(1, 34) = BFloat16(kNan);
    likelihood(test::exec(2), which, p.args());
    for (std::int64_t r = 0; r < 8; ++r)
      EXPECT_EQ(std::isnan(p.log_px.vector()(r)), r / 2 == 1) << label(which);
  }
}

#if defined(FELBO_TEST_CUDA)

TEST(Likelihood, BFloat16OutputsOfStoredDataMatchTheReference) {
  for (const Likelihood& which : all_likelihoods()) {
    expect_stored_parity<BFloat16, std::uint8_t>(which);
    expect_stored_parity<BFloat16, BFloat16>(which);
  }
}

TEST(Likelihood, BFloat16MatchesTheReference) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols :
         {1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 1024, 1032, 2049}) {
      expect_parity<BFloat16>(which, {3, 1, cols}, {}, 1);
      expect_parity<BFloat16>(which, {2, 3, cols}, {cols % 5, cols % 8}, 1);
    }
    for (const std::int64_t data : {1, 31, 33, 257}) expect_parity<BFloat16>(which, {data, 2, 20}, {4, 0}, 1);
    expect_weighed_parity<BFloat16>(which, {5, 3, 129}, {}, 1);
    expect_parity<BFloat16>(which, {2, 1, 32776}, {}, 1);
    expect_parity<BFloat16>(which, {1, 2, 70001}, {}, 1);
  }
}

// Without gradients the output stays, and log p is the same.
TEST(Likelihood, BFloat16WithoutGradientStays) {
  for (const Likelihood& which : all_likelihoods()) {
    ProblemOf<BFloat16> with(which, {5, 2, 67}), without(which, {5, 2, 67}), before(which, {5, 2, 67});
    likelihood(test::exec(1), which, with.args(true));
    likelihood(test::exec(1), which, without.args(false));
    EXPECT_TRUE(test::same_bits(without.log_px.matrix(), with.log_px.matrix())) << label(which);
    for (std::int64_t i = 0; i < without.output.vector().size; ++i)
      ASSERT_EQ(without.output.vector()(i).bits, before.output.vector()(i).bits) << label(which) << " " << i;
  }
}

#endif

// The gradient over the output is the CPU's, bit for bit: every operation on an element is the same there.
// (Of a softmax the sum is taken in another order.)
TEST(Likelihood, GradientsAreThoseOfTheCpu) {
  for (const Likelihood& which : all_likelihoods()) {
    if (reference::is_coupled(which)) continue;
    for (const std::int64_t cols : {35, 128, 1030}) {
      Problem here(which, {5, 2, cols}), cpu(which, {5, 2, cols});
      likelihood(test::exec(2), which, here.args());
      likelihood(CpuExec(2), which, cpu.args());
      EXPECT_TRUE(test::same_bits(here.output.matrix(), cpu.output.matrix())) << label(which) << " " << cols;
    }
  }
}

// --- What does not depend on what
// ------------------------------------------------------------------------------------

TEST(Likelihood, BitsDoNotDependOnThreads) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem one(which, {301, 1, 401});
    likelihood(test::exec(1), which, one.args());
    for (const int threads : {2, 3, 7}) {
      Problem many(which, {301, 1, 401});
      likelihood(test::exec(threads), which, many.args());
      EXPECT_TRUE(test::same_bits(many.log_px.matrix(), one.log_px.matrix()))
          << label(which) << " " << threads;
      EXPECT_TRUE(test::same_bits(many.output.matrix(), one.output.matrix()))
          << label(which) << " " << threads;
      EXPECT_TRUE(test::same_bits(many.grad_own.matrix(), one.grad_own.matrix()))
          << label(which) << " " << threads;
    }
  }
}

TEST(Likelihood, RowsDoNotDependOnTheBatch) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem all(which, {6, 3, 101}), some(which, {6, 3, 101});
    likelihood(test::exec(2), which, all.args());
    LikelihoodArgs args = some.args();
    args.x = some.x.matrix().row_slice(2, 2);
    args.output = args.output.row_slice(6, 6);
    args.log_px_given_z = args.log_px_given_z.slice(6, 6);
    args.clamped = args.clamped.slice(6, 6);
    likelihood(test::exec(2), which, args);
    EXPECT_TRUE(test::same_bits(args.output, all.output.matrix().row_slice(6, 6))) << label(which);
    EXPECT_TRUE(test::same_bits(some.log_px.matrix().col_slice(6, 6), all.log_px.matrix().col_slice(6, 6)))
        << label(which);
  }
}

TEST(Likelihood, WithoutGradientTheOutputStays) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem with(which, {35, 2, 67}), without(which, {35, 2, 67}), before(which, {35, 2, 67});
    likelihood(test::exec(2), which, with.args(true));
    LikelihoodArgs args = without.args(false);
    args.grad_own = {};
    likelihood(test::exec(2), which, args);
    EXPECT_TRUE(test::same_bits(without.output.matrix(), before.output.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.grad_own.matrix(), before.grad_own.matrix())) << label(which);
    EXPECT_TRUE(test::same_bits(without.log_px.matrix(), with.log_px.matrix())) << label(which);
    for (std::int64_t r = 0; r < with.rows; ++r) {
      EXPECT_EQ(without.clamped.vector()(r), with.clamped.vector()(r)) << label(which);
    }
  }
}

// --- Extremes
// --------------------------------------------------------------------------------------------------------

TEST(Likelihood, BernoulliIsFiniteForEveryFiniteLogit) {
  const Likelihood which = likelihood_from_names("bernoulli", "unit", {});
  struct Exact {
    float x, logit, log_px, grad;
  };
  for (const Exact& e : {Exact{1, 1e4f, 0, 0},
                         {0, 1e4f, -1e4f, -1},
                         {1, -1e4f, -1e4f, 1},
                         {0, -1e4f, 0, 0},
                         {0.5f, 1e4f, -5e3f, -0.5f},
                         {0.5f, -1e4f, -5e3f, 0.5f},
                         {1, 88, 0, 0},
                         {0, 88, -88, -1},
                         {1, -88, -88, 1},
                         {0, -88, 0, 0},
                         {1, 3e38f, 0, 0},
                         {0, 3e38f, -3e38f, -1},
                         {1, -3e38f, -3e38f, 1},
                         {0, -3e38f, 0, 0}}) {
    const OneElement got = evaluate(which, e.x, {e.logit});
    EXPECT_NEAR(got.log_px, e.log_px, kTiny) << e.x << " " << e.logit;
    EXPECT_NEAR(got.grad[0], e.grad, kTiny) << e.x << " " << e.logit;
  }
}

// The log-probability of a pixel that is nearly certain keeps its relative accuracy, and so does its
// gradient.
TEST(Likelihood, BernoulliDoesNotCancelNearCertainty) {
  const Likelihood which = likelihood_from_names("bernoulli", "unit", {});
  Parity parity;
  for (float logit = 0.0f; logit < 87.0f; logit += 0.37f) {
    for (const float x : {0.0f, 1.0f}) {
      const OneElement got = evaluate(which, x, {x == 1.0f ? logit : -logit});
      const double want = reference::bernoulli_log_p(1.0, static_cast<double>(logit));
      const double grad = reference::bernoulli_grad(1.0, static_cast<double>(logit)) * (x == 1.0f ? 1 : -1);
      parity.element("log_px", static_cast<int>(x), 0, got.log_px, want, 6 * kEps * std::abs(want) + kTiny);
      parity.element("grad", static_cast<int>(x), 0, got.grad[0], grad, 6 * kEps * std::abs(grad) + kTiny);
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

// A row of pixels that are all nearly certain: its log-probability is a sum of tiny terms of one sign and as
// accurate.
TEST(Likelihood, BernoulliRowsDoNotCancelNearCertainty) {
  const Likelihood which = likelihood_from_names("bernoulli", "unit", {});
  Parity parity;
  for (const std::int64_t cols : {5, 16, 100, 784, 1500}) {
    Problem p(which, {40, 1, cols});
    for (std::int64_t i = 0; i < p.rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) {
        const float one = static_cast<float>((i + j) % 3 == 0);
        p.x.matrix()(i, j) = one;
        p.output.matrix()(i, j) =
            (one - 0.5f) * (2.0f + 4.0f * static_cast<float>(i) + static_cast<float>(j % 7));
      }
    }
    const auto want = reference::likelihood(which, p.input(-0.37));
    likelihood(test::exec(1), which, p.args());
    parity.compare(
        "log_px", View<const float, 1>(p.log_px.vector()), want.log_px_given_z,
        tolerances(want.log_px_scale, tolerance_of_sum(which, cols), kTiny * static_cast<double>(cols)));
  }
  FELBO_EXPECT_PARITY(parity);
}

// Inputs of every size; where the true value leaves the range of float, so does the result.
TEST(Likelihood, GaussianKeepsUpWithHugeDifferences) {
  Parity parity;
  for (const char* variance :
       {"unit", "fixed:1e-30", "fixed:1e30", "learned", "per-dimension", "per-element"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {-20, 20});
    for (const float x : {0.0f, 1e-20f, 1.0f, 1e4f, 1e10f, -1e15f, 1e19f, 3e20f, 1e22f}) {
      for (const float log_var : {-20.0f, -0.5f, 0.0f, 20.0f}) {
        std::vector<float> output{0.25f};
        if (which.outputs() == 2) output.push_back(log_var);
        const std::int64_t owned = which.own_parameters(1);
        const auto want = reference::likelihood<double>(
            which, {1,
                    1,
                    1,
                    {x},
                    {output.begin(), output.end()},
                    std::vector<double>(static_cast<std::size_t>(owned), log_var),
                    1.0});
        const OneElement got = evaluate(which, x, output, log_var);
        if (std::abs(want.log_px_given_z[0]) > 3.4e38) {
          EXPECT_EQ(got.log_px, -std::numeric_limits<float>::infinity())
              << variance << " " << x << " " << log_var;
          continue;
        }
        parity.element(variance, 0, 0, got.log_px, want.log_px_given_z[0], 7 * kEps * want.log_px_scale[0]);
        parity.element(variance, 0, 1, got.grad[0], want.grad_output[0], 6 * kEps * want.grad_scale[0]);
        if (owned == 1)
          parity.element(variance, 0, 2, got.grad_own, want.grad_own[0], 7 * kEps * want.grad_own_scale[0]);
      }
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

// At a bound the gradient flows and nothing is counted; beyond it the value is the bound's and the gradient
// is zero.
TEST(Likelihood, ClampsForwardAndBackwardTogether) {
  const LogVarClamp clamp{-3.0f, 4.0f};
  for (const char* variance : {"learned", "per-dimension", "per-element"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, clamp);
    const auto at = [&](float log_var) {
      return which.outputs() == 2 ? evaluate(which, 0.5f, {0.1f, log_var})
                                  : evaluate(which, 0.5f, {0.1f}, log_var);
    };
    const auto grad = [&](const OneElement& e) { return which.outputs() == 2 ? e.grad[1] : e.grad_own; };
    for (const float bound : {clamp.lo, clamp.hi}) {
      const OneElement inside = at(bound);
      EXPECT_EQ(inside.clamped, 0) << variance;
      EXPECT_NE(grad(inside), 0.0f) << variance;
      for (const float beyond : {std::nextafter(bound, 2 * bound), 10 * bound, 1e30f * bound}) {
        const OneElement outside = at(beyond);
        EXPECT_EQ(outside.clamped, 1) << variance << " " << beyond;
        EXPECT_EQ(grad(outside), 0.0f) << variance << " " << beyond;
        EXPECT_EQ(outside.log_px, inside.log_px) << variance << " " << beyond;
        EXPECT_EQ(outside.grad[0], inside.grad[0]) << variance << " " << beyond;
      }
    }
  }
}

// The family's own log-variances are counted once a call, in row 0, however many rows use them.
TEST(Likelihood, CountsOwnClampsOnce) {
  for (const auto& [variance, count] : {std::pair{"learned", 1}, std::pair{"per-dimension", 7}}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {-3.0f, 4.0f});
    Problem p(which, {5, 2, 7});
    for (std::int64_t i = 0; i < p.own.vector().size; ++i) p.own.vector()(i) = i % 2 == 0 ? 5.0f : -4.0f;
    likelihood(test::exec(2), which, p.args());
    EXPECT_EQ(p.clamped.vector()(0), count);
    for (std::int64_t r = 1; r < p.rows; ++r) EXPECT_EQ(p.clamped.vector()(r), 0);
    for (const float g : p.grad_own.vector()) EXPECT_EQ(g, 0.0f);
  }
}

TEST(Likelihood, NanReachesTheRowThatHoldsIt) {
  for (const Likelihood& which : all_likelihoods()) {
    for (std::int64_t column = 0; column < which.outputs() * 35; column += 17) {
      Problem p(which, {4, 1, 35});
      p.output.matrix()(2, column) = kNan;
      likelihood(test::exec(2), which, p.args());
      for (std::int64_t r = 0; r < 4; ++r)
        EXPECT_EQ(std::isnan(p.log_px.vector()(r)), r == 2) << label(which);
      EXPECT_TRUE(std::isnan(p.output.matrix()(2, column))) << label(which);
      if (which.variance == VarianceKind::kLearned && column < 35) {
        EXPECT_TRUE(std::isnan(p.grad_own.vector()(0)));
      }
    }
    Problem p(which, {4, 2, 35});
    p.x.matrix()(1, 34) = kNan;
    likelihood(test::exec(2), which, p.args());
    for (std::int64_t r = 0; r < 8; ++r)
      EXPECT_EQ(std::isnan(p.log_px.vector()(r)), r / 2 == 1) << label(which);
  }
}

TEST(Likelihood, NanInOwnParametersReachesEveryRow) {
  for (const char* variance : {"learned", "per-dimension"}) {
    const Likelihood which = likelihood_from_names("gaussian", variance, {});
    Problem p(which, {4, 1, 35});
    p.own.vector()(p.own.vector().size - 1) = kNan;
    likelihood(test::exec(2), which, p.args());
    for (const float v : p.log_px.vector()) EXPECT_TRUE(std::isnan(v)) << variance;
    EXPECT_TRUE(std::isnan(p.grad_own.vector()(p.own.vector().size - 1))) << variance;
  }
}

TEST(Likelihood, NoRowsGiveNoGradient) {
  for (const Likelihood& which : all_likelihoods()) {
    Problem p(which, {0, 2, 9});
    likelihood(test::exec(2), which, p.args());
    for (const float g : p.grad_own.vector()) EXPECT_EQ(g, 0.0f) << label(which);
  }
}

// --- The mean
// --------------------------------------------------------------------------------------------------------

TEST(LikelihoodMean, MatchesTheReference) {
  for (const Likelihood& which : all_likelihoods()) {
    for (const std::int64_t cols : {1, 31, 128, 785}) {
      Problem p(which, {5, 1, cols}, {2, 1});
      Guarded<float> mean(5, cols, 3, 1);
      likelihood_mean(test::exec(2), which, p.output.matrix(), mean.matrix());
      const std::vector<double> want =
          reference::likelihood_mean(which, 5, cols, test::to_double(p.output.matrix()));
      const std::vector<double> tolerance = tolerances(want, checks::mean_k(which), 0.0);
      Parity parity;
      parity.compare(label(which), mean.matrix(), want, tolerance);
      mean.check_guards(parity, "mean");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

// --- Bad requests
// ----------------------------------------------------------------------------------------------------

void expect_refused(const std::function<void()>& call, const std::string& part) {
  try {
    call();
    FAIL() << "nothing was thrown; expected: " << part;
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Likelihood, RefusesShapesThatDisagree) {
  const Likelihood which = likelihood_from_names("gaussian", "per-dimension", {});
  const auto refused = [&](const std::function<void(LikelihoodArgs&)>& spoil, const std::string& part) {
    Problem p(which, {3, 2, 10});
    LikelihoodArgs args = p.args();
    spoil(args);
    expect_refused([&] { likelihood(test::exec(1), which, args); }, part);
    EXPECT_TRUE(test::same_bits(p.output.matrix(), Problem(which, {3, 2, 10}).output.matrix())) << part;
  };
  refused([](auto& a) { a.x.cols = 0; }, "x has no columns");
  for (const float divisor : {0.0f, -1.0f, kNan, 2e30f})
    refused([&](auto& a) { a.x.divisor = divisor; }, "the divisor of x must lie in [1e-30, 1e+30], got");
  refused([](auto& a) { a.samples = 0; }, "samples must be at least 1, got 0");
  refused([](auto& a) { a.samples = 3; }, "output must be 9 x 10 (3 x 3 rows of 1 x 10 numbers), got 6 x 10");
  refused([](auto& a) { a.output.cols = 9; }, "output must be 6 x 10");
  refused([](auto& a) { a.x.rows = 4; }, "output must be 8 x 10");
  refused([](auto& a) { a.log_px_given_z.size = 3; }, "log_px_given_z must have 6 elements, got 3");
  refused([](auto& a) { a.clamped.size = 0; }, "clamped must have 6 elements, got 0");
  refused([](auto& a) { a.own.size = 1; }, "own must have 10 elements, got 1");
  refused([](auto& a) { a.grad_own.size = 0; }, "grad_own must have 10 elements, got 0");
  refused([](auto& a) { a.scratch.size -= 1; }, "scratch must have at least 20 elements, got 19");
  expect_refused(
      [] {
        Guarded<float> output(2, 6), mean(2, 6);
        likelihood_mean(test::exec(1), likelihood_from_names("gaussian", "per-element", {}), output.matrix(),
                        mean.matrix());
      },
      "output must be 2 x 12 for a mean of 2 x 6, got 2 x 6");
  expect_refused(
      [] { likelihood_mean(test::exec(1), Likelihood{}, View<const float, 2>(), View<float, 2>()); },
      "mean has no columns");
}

TEST(LikelihoodNames, GiveEachForm) {
  const LogVarClamp clamp{-5.0f, 6.0f};
  const Likelihood bernoulli = likelihood_from_names("bernoulli", "learned", clamp);
  EXPECT_EQ(bernoulli.family, LikelihoodFamily::kBernoulli);
  EXPECT_EQ(bernoulli.outputs(), 1);
  EXPECT_EQ(bernoulli.own_parameters(784), 0);
  EXPECT_EQ(likelihood_scratch(bernoulli, 128, 784), 0);
  struct Form {
    const char* name;
    VarianceKind kind;
    int outputs;
    std::int64_t own;
  };
  for (const Form& f :
       {Form{"unit", VarianceKind::kUnit, 1, 0}, Form{"fixed:2.5e-1", VarianceKind::kFixed, 1, 0},
        Form{"learned", VarianceKind::kLearned, 1, 1},
        Form{"per-dimension", VarianceKind::kPerDimension, 1, 784},
        Form{"per-element", VarianceKind::kPerElement, 2, 0}}) {
    const Likelihood which = likelihood_from_names("gaussian", f.name, clamp);
    EXPECT_EQ(which.family, LikelihoodFamily::kGaussian);
    EXPECT_EQ(which.variance, f.kind) << f.name;
    EXPECT_EQ(which.outputs(), f.outputs) << f.name;
    EXPECT_EQ(which.own_parameters(784), f.own) << f.name;
    EXPECT_EQ(which.clamp.lo, -5.0f);
    EXPECT_EQ(which.clamp.hi, 6.0f);
  }
  EXPECT_EQ(likelihood_from_names("gaussian", "fixed:2.5e-1", clamp).fixed_variance, 0.25f);
}

TEST(LikelihoodNames, RefuseWhatTheyDoNotKnow) {
  const auto refused = [](const char* name, const char* variance, LogVarClamp clamp,
                          const std::string& part) {
    expect_refused([&] { likelihood_from_names(name, variance, clamp); }, part);
  };
  refused("bernouli", "unit", {},
          "likelihood \"bernouli\" is not known; give bernoulli, gaussian, laplace, ");
  refused("gaussian", "fixed", {}, "give unit, fixed:V, learned, per-dimension or per-element");
  refused("bernoulli", "unti", {}, "variance \"unti\" is not known");
  for (const char* number : {"fixed:", "fixed:x", "fixed:1x", "fixed: 1", "fixed:1e99"}) {
    refused("gaussian", number, {}, "is not a number that a float holds");
  }
  for (const char* number : {"fixed:0", "fixed:-1", "fixed:nan", "fixed:inf", "fixed:1e-36", "fixed:1e36"}) {
    refused("gaussian", number, {}, "variance \"fixed:V\" needs V above 0, with a logarithm in [-80, 80]");
  }
  for (const LogVarClamp& clamp : {LogVarClamp{1, -1}, {kNan, 1}, {-1, kNan}, {-81, 0}, {0, 81}}) {
    refused("gaussian", "learned", clamp,
            "the bounds of log-variances must lie in [-80, 80] in rising order");
  }
}

}  // namespace
}  // namespace felbo
