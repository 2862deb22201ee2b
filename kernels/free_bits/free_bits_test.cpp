#include "kernels/free_bits/free_bits.h"

#include <gtest/gtest.h>

#include "kernels/free_bits/free_bits_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

struct Problem {
  Problem(int batch, int latent, LogVarClamp clamp = {})
      : batch(batch),
        latent(latent),
        clamp(clamp),
        mu(batch, latent, latent % 3, latent % 2),
        log_var(batch, latent, latent % 3, latent % 4),
        kl(1, latent, 0, 1),
        weight(1, latent) {
    test::fill_normal(mu.matrix(), 1, 0.7f);
    test::fill_normal(log_var.matrix(), 2, 0.8f, -0.3f);
  }
  FreeBitsArgs args(float threshold = 0.5f) {
    return {mu.matrix(), log_var.matrix(), clamp, threshold, kl.vector(), weight.vector()};
  }
  int batch, latent;
  LogVarClamp clamp;
  Guarded<float> mu, log_var, kl, weight;
};

// Each KL is within (4 + 2) roundings of its terms' magnitudes (reparameterize_test.cpp); the sum is in
// double, and the mean is rounded once. The weights are those of the mean as it was rounded.
Parity check_parity(Problem p, int threads) {
  const FreeBitsArgs args = p.args();
  free_bits(test::exec(threads), args);
  const auto mu = test::to_double(p.mu.matrix()), log_var = test::to_double(p.log_var.matrix());
  const auto want =
      reference::kl_of_dimensions<double>(mu, log_var, p.batch, p.latent, p.clamp.lo, p.clamp.hi);
  Parity parity;
  for (int d = 0; d < p.latent; ++d) {
    double scale = 0;
    for (int b = 0; b < p.batch; ++b) {
      const std::size_t at = std::size_t(b) * p.latent + d;
      const double v = std::clamp<double>(log_var[at], p.clamp.lo, p.clamp.hi);
      scale += (mu[at] * mu[at] + std::exp(v) + std::abs(v) + 1) / p.batch;
    }
    parity.element("kl", 0, d, p.kl.vector()(d), want[std::size_t(d)], 6 * kEps * scale);
    parity.element("weight", 0, d, p.weight.vector()(d), p.kl.vector()(d) > args.threshold ? 1 : 0, 0);
  }
  for (const Guarded<float>* g : {&p.mu, &p.log_var, &p.kl, &p.weight}) g->check_guards(parity, "free_bits");
  return parity;
}

TEST(FreeBits, MatchTheReference) {
  for (const int latent : {1, 2, 20, 31, 33, 63, 64, 65, 129}) {
    for (const int batch : {1, 2, 31, 33, 255, 256, 257}) {
      SCOPED_TRACE(testing::Message() << batch << " x " << latent);
      const Parity parity = check_parity({batch, latent}, 1 + batch % 3);
      FELBO_EXPECT_PARITY(parity);
    }
  }
  const Parity clamped = check_parity({100, 20, {-0.5f, 0.25f}}, 2);
  FELBO_EXPECT_PARITY(clamped);
}

// With the 20th of 51 different KLs as the threshold, 31 lie above it.
TEST(FreeBits, DimensionsAboveTheThresholdPay) {
  Problem p(64, 51);
  free_bits(test::exec(2), p.args());
  std::vector<float> kl(p.kl.vector().begin(), p.kl.vector().end());
  std::ranges::sort(kl);
  free_bits(test::exec(2), p.args(kl[19]));
  EXPECT_EQ(std::ranges::count(p.weight.vector(), 1.0f), 31);
  EXPECT_EQ(std::ranges::count(p.weight.vector(), 0.0f), 20);
}

TEST(FreeBits, TheThresholdItselfIsFree) {
  test::Array<float> mu{1.0f}, log_var{0.0f}, kl(1), weight(1);  // KL = 1/2, exactly
  const auto weight_at = [&](float threshold) {
    free_bits(test::exec(1), {View<const float, 2>(mu.data(), 1, 1),
                              View<const float, 2>(log_var.data(), 1, 1),
                              {},
                              threshold,
                              {kl.data(), 1},
                              {weight.data(), 1}});
    return weight[0];
  };
  EXPECT_EQ(weight_at(0.5f), 0.0f);
  EXPECT_EQ(weight_at(std::nextafter(0.5f, 0.0f)), 1.0f);
  EXPECT_EQ(kl[0], 0.5f);
}

TEST(FreeBits, ANanIsNotHidden) {
  Problem p(40, 3);
  p.mu.matrix()(37, 1) = std::nanf("");
  free_bits(test::exec(2), p.args());
  EXPECT_TRUE(std::isnan(p.kl.vector()(1)));
  EXPECT_EQ(p.weight.vector()(1), 1.0f);
  EXPECT_FALSE(std::isnan(p.kl.vector()(0)));
}

TEST(FreeBits, ThreadsDoNotChangeABit) {
  Problem one(100, 150), other(100, 150);
  free_bits(test::exec(1), one.args());
  free_bits(test::exec(3), other.args());
  EXPECT_TRUE(test::same_bits(one.kl.matrix(), other.kl.matrix()));
}

TEST(FreeBits, RefusesShapesThatDisagree) {
  Problem p(4, 5), empty(0, 5);
  EXPECT_THROW(free_bits(test::exec(1), empty.args()), std::invalid_argument);
  FreeBitsArgs args = p.args();
  args.kl.size = 4;
  EXPECT_THROW(free_bits(test::exec(1), args), std::invalid_argument);
  args = p.args();
  args.log_var.rows = 3;
  EXPECT_THROW(free_bits(test::exec(1), args), std::invalid_argument);
  for (const LogVarClamp& clamp : {LogVarClamp{1, -1}, {-81, 0}, {0, 81}}) {
    args = p.args();
    args.clamp = clamp;
    EXPECT_THROW(free_bits(test::exec(1), args), std::invalid_argument);
  }
}

}  // namespace
}  // namespace felbo
