#include "kernels/normal_cdf/normal_cdf.h"

#include <gtest/gtest.h>

#include "kernels/normal_cdf/normal_cdf_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

// In units of kEps, two roundings each: the fit and its argument 4, the exponential's own 2, and the rounding
// of its argument z^2 / 2, twice, which is an error of the exponential's logarithm.
double relative(double z) { return (6 + z * z / 2) * kEps; }
constexpr double kSmallest = 2e-38;  // an exponential that is no normal number is 0

double cdf_tolerance(double z, double want) {
  return z <= 0 ? relative(z) * want + kSmallest : kEps + relative(z) * (1 - want);
}

/// Normals, and every seventh far out.
template <class T>
void fill(View<T, 1> z, std::uint64_t seed = 3) {
  std::vector<float> values(static_cast<std::size_t>(z.size));
  test::fill_normal({values.data(), 1, z.size}, seed, 1.3f);
  for (std::int64_t i = 0; i < z.size; ++i) {
    const float value = values[static_cast<std::size_t>(i)];
    z(i) = static_cast<T>(i % 7 == 3 ? 5.0f * value : value);
  }
}

template <class T>
void expect_parity(std::int64_t n, std::int64_t offset, int threads) {
  SCOPED_TRACE("N " + std::to_string(n) + ", offset " + std::to_string(offset));
  Guarded<T> z(1, n, 0, offset), u(1, n, 0, (offset + 3) % 8), grad(1, n, 0, (offset + 1) % 8);
  fill(z.vector());
  fill(grad.vector(), 4);
  const std::vector<T> grad_u(grad.vector().begin(), grad.vector().end());
  normal_cdf(test::exec(threads), NormalCdfArgsOf<T>{z.vector(), u.vector()});
  normal_cdf_backward(test::exec(threads), NormalCdfGradArgsOf<T>{z.vector(), grad.vector()});
  Parity parity;
  const auto value = [](T x) { return static_cast<double>(static_cast<float>(x)); };
  for (std::int64_t i = 0; i < n; ++i) {
    const double at = value(z.vector()(i)), want = reference::normal_cdf(at);
    const double tolerance = cdf_tolerance(at, want);
    parity.element("u", 0, i, value(u.vector()(i)), want,
                   tolerance + test::storage_error<T>(want + tolerance));
    const double by_u = value(grad_u[static_cast<std::size_t>(i)]),
                 slope = reference::normal_density(at) * by_u;
    const double error = relative(at) * std::abs(slope) + kSmallest * (1 + std::abs(by_u));
    parity.element("grad_z", 0, i, value(grad.vector()(i)), slope,
                   error + test::storage_error<T>(std::abs(slope) + error));
  }
  for (const Guarded<T>* g : {&z, &u, &grad}) g->check_guards(parity, "normal_cdf");
  FELBO_EXPECT_PARITY(parity);
}

TEST(NormalCdf, MatchesTheReference) {
  for (const std::int64_t n :
       {1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 255, 256, 257, 783, 784, 785, 8193, 20001}) {
    for (const std::int64_t offset : {0, 1, 4}) {
      for (const int threads : {1, 3}) expect_parity<float>(n, offset, threads);
#if defined(FELBO_TEST_CUDA)
      expect_parity<BFloat16>(n, offset, 1);
#endif
    }
  }
}

/// Phi of the values.
test::Array<float> cdf(const test::Array<float>& z) {
  test::Array<float> u(z.size());
  const auto n = static_cast<std::int64_t>(z.size());
  normal_cdf(test::exec(1), NormalCdfArgs{{z.data(), n}, {u.data(), n}});
  return u;
}

// mpmath.ncdf at 30 digits.
TEST(NormalCdf, GoldenValues) {
  const test::Array<float> z{0.0f, -1.0f, 1.0f, -2.5f, 3.0f, -6.0f, -10.0f, -12.5f, 0.125f};
  const std::vector<double> want{0.5,
                                 0.158655253931457051414767454368,
                                 0.841344746068542948585232545632,
                                 0.00620966532577613516697810457419,
                                 0.998650101968369905473348185232,
                                 9.86587645037698140700864132398e-10,
                                 7.6198530241605260659733432516e-24,
                                 3.73256429887771337722583633803e-36,
                                 0.54973822483011289297929562991};
  const test::Array<float> got = cdf(z);
  for (std::size_t i = 0; i < z.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(got[i]), want[i], cdf_tolerance(static_cast<double>(z[i]), want[i]))
        << z[i];
    EXPECT_NEAR(reference::normal_cdf(static_cast<double>(z[i])), want[i], 1e-13 * want[i]) << z[i];
  }
}

TEST(NormalCdf, EveryFloatHasAnAnswer) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(cdf({-inf, -1e30f, -14.5f, 14.5f, 1e30f, inf}), (test::Array<float>{0, 0, 0, 1, 1, 1}));
  EXPECT_TRUE(std::isnan(cdf({std::nanf("")})[0]));
}

// The derivative of the reference by central differences: truncation h^2 / 6 |Phi'''| < 2e-11 and rounding
// 1e-16 / h.
TEST(NormalCdf, TheDensityIsTheDerivative) {
  for (const double z : {-3.0, -0.7, 0.0, 0.4, 2.2}) {
    const double h = 1e-5;
    EXPECT_NEAR((reference::normal_cdf(z + h) - reference::normal_cdf(z - h)) / (2 * h),
                reference::normal_density(z), 5e-11);
  }
}

TEST(NormalCdf, BitsAreThoseOfTheCpu) {
  test::Array<float> z(1001), u(1001), cpu(1001);
  fill(View<float, 1>{z.data(), 1001});
  normal_cdf(test::exec(2), NormalCdfArgs{{z.data(), 1001}, {u.data(), 1001}});
  normal_cdf(CpuExec(1), NormalCdfArgs{{z.data(), 1001}, {cpu.data(), 1001}});
  EXPECT_EQ(u, cpu);
}

TEST(NormalCdf, RefusesShapesThatDisagree) {
  test::Array<float> a(3), b(3);
  EXPECT_THROW(normal_cdf(test::exec(1), NormalCdfArgs{{a.data(), 3}, {b.data(), 2}}), std::invalid_argument);
  EXPECT_THROW(normal_cdf_backward(test::exec(1), NormalCdfGradArgs{{a.data(), 3}, {b.data(), 2}}),
               std::invalid_argument);
  normal_cdf(test::exec(1), NormalCdfArgs{});
}

}  // namespace
}  // namespace felbo
