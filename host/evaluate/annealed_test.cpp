// Annealed importance sampling where p(x) and p(z|x) are known: x = W z + s e, on a decoder of a few lines
// and on felbo's own.
#include "host/evaluate/annealed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/oracle/oracle_case.h"
#include "kernels/common/normal.h"
#include "tests/harness/exec.h"

namespace felbo {
namespace {

const double kLog2Pi = std::log(2 * std::numbers::pi);

/// x_j = w_j z + s_j e_j of dimension j = d: independent in each latent dimension, so all is one-dimensional.
struct Separate {
  std::vector<double> x, w, s;

  std::int64_t latent() const { return static_cast<std::int64_t>(x.size()); }
  double log_px() const {
    double sum = 0;
    for (std::size_t d = 0; d < x.size(); ++d) {
      const double v = w[d] * w[d] + s[d] * s[d];
      sum -= (kLog2Pi + std::log(v) + x[d] * x[d] / v) / 2;
    }
    return sum;
  }
  double posterior_variance(std::size_t d) const { return 1 / (1 + w[d] * w[d] / (s[d] * s[d])); }
  double posterior_mean(std::size_t d) const { return posterior_variance(d) * w[d] * x[d] / (s[d] * s[d]); }
  void decode(const std::vector<float>& z, DecodedLatents& out) const {
    const std::size_t Z = x.size(), R = z.size() / Z;
    out.log_px_given_z.assign(R, 0.0f);
    out.grad_z.resize(z.size());
    for (std::size_t r = 0; r < R; ++r) {
      double sum = 0;
      for (std::size_t d = 0; d < Z; ++d) {
        const double e = (x[d] - w[d] * double(z[r * Z + d])) / s[d];
        sum -= (kLog2Pi + 2 * std::log(s[d]) + e * e) / 2;
        out.grad_z[r * Z + d] = float(e * w[d] / s[d]);
      }
      out.log_px_given_z[r] = float(sum);
    }
  }
  LatentDecoder decoder() const {
    return [this](const std::vector<float>& z, DecodedLatents& out) { decode(z, out); };
  }
};

Separate sharp() { return {{1.2, -0.4, 2.0}, {1.0, 0.5, -2.0}, {0.3, 0.8, 0.5}}; }

struct LogMean {
  double value, error;
};
/// log of the mean of exp(sign * log_w) and its standard error.
LogMean log_mean(const std::vector<double>& log_w, double sign = 1) {
  WeightTail tail(static_cast<std::int64_t>(log_w.size()));
  double largest = -HUGE_VAL, sum = 0;
  for (const double v : log_w) largest = std::max(largest, sign * v);
  for (const double v : log_w) {
    sum += std::exp(sign * v - largest);
    tail.add(sign * v);
  }
  return {largest + std::log(sum / double(log_w.size())), tail.diagnose().standard_error};
}

/// One datum whose number is `n`.
AnnealedWeights run(const Separate& model, const AnnealedOptions& options, const LatentGaussians& start = {},
                    const std::vector<float>& exact = {}, std::int64_t n = 0) {
  const AnnealedTile tile{.first_datum = n, .data = 1, .start = start, .exact = exact};
  return anneal_tile(options, LatentPrior(model.latent()), tile, model.decoder(), {});
}

/// Draw n of p(z|x).
std::vector<float> posterior_draw(const Separate& m, std::uint32_t n) {
  std::vector<float> z;
  const Normals4 four = normals_from_words(NoiseStream{99, 0, Purpose::kData}.words(n, 0, 0));
  for (std::size_t d = 0; d < m.x.size(); ++d)
    z.push_back(float(m.posterior_mean(d) + std::sqrt(m.posterior_variance(d)) * double(four[int(d)])));
  return z;
}

// --- The schedule

TEST(Schedule, RisesFromZeroToOneAsALogisticFunction) {
  const std::vector<double> beta = sigmoid_schedule(4);
  ASSERT_EQ(beta.size(), 5u);
  EXPECT_EQ(beta.front(), 0.0);
  EXPECT_EQ(beta.back(), 1.0);
  EXPECT_NEAR(beta[2], 0.5, 1e-15);
  // (L(-2) - L(-4)) / (L(4) - L(-4)), by hand.
  EXPECT_NEAR(beta[1], 0.1049936, 1e-7);
  EXPECT_NEAR(beta[1] + beta[3], 1.0, 1e-14);
  EXPECT_EQ(sigmoid_schedule(1), (std::vector<double>{0.0, 1.0}));
}

// --- The theorem: E[w] = p(x) and, from the posterior, E[1/w] = 1/p(x), for any number of temperatures

TEST(Anneal, WeightsHaveTheMeanPxForAnyNumberOfTemperatures) {
  const Separate model = sharp();
  for (const std::int64_t temperatures : {1, 2, 5, 30}) {
    const AnnealedWeights w =
        run(model, {.temperatures = temperatures, .chains = kMostChains, .leapfrog = 3, .seed = 5});
    const LogMean got = log_mean(w.forward);
    EXPECT_NEAR(got.value, model.log_px(), 5 * got.error) << temperatures;
    EXPECT_LT(got.error, 0.1) << temperatures;
  }
}

// One draw of the posterior a datum, 3 chains from each: chains of a datum share their start.
TEST(Anneal, BackwardsWeightsHaveTheMeanOneOverPx) {
  const Separate model{{1.2, -0.4}, {1.0, 0.5}, {0.7, 0.8}};
  for (const std::int64_t temperatures : {2, 5, 30}) {
    std::vector<double> log_w;
    for (std::uint32_t n = 0; n < 3000; ++n) {
      const AnnealedWeights w =
          run(model, {.temperatures = temperatures, .chains = 3, .leapfrog = 3, .seed = 6}, {},
              posterior_draw(model, n), n);
      log_w.push_back(-log_mean(w.backward, -1).value);
    }
    const LogMean got = log_mean(log_w, -1);
    EXPECT_NEAR(-got.value, model.log_px(), 5 * got.error) << temperatures;
    EXPECT_LT(got.error, 0.1) << temperatures;
  }
}

// In expectation the log of the mean lies below log p(x), and the other one above it.
TEST(Anneal, HoldsLogPxFromBothSides) {
  const Separate model = sharp();
  double below = 0, above = 0;
  constexpr int kRepeats = 100;
  for (std::uint32_t n = 0; n < kRepeats; ++n) {
    const AnnealedWeights w = run(model, {.temperatures = 20, .chains = 4, .leapfrog = 2, .seed = 7}, {},
                                  posterior_draw(model, n), n);
    below += log_mean(w.forward).value / kRepeats;
    above -= log_mean(w.backward, -1).value / kRepeats;
  }
  EXPECT_LT(below, model.log_px() - 0.02);
  EXPECT_GT(above, model.log_px() + 0.02);
  EXPECT_LT(above - below, 2.0);
}

TEST(Anneal, IsTightWithManyTemperatures) {
  const Separate model = sharp();
  const LogMean got =
      log_mean(run(model, {.temperatures = 1000, .chains = 200, .leapfrog = 5, .seed = 8}).forward);
  EXPECT_LT(got.error, 0.025);
  EXPECT_NEAR(got.value, model.log_px(), 5 * got.error);
}

// From the posterior itself log p(z) p(x|z) / q0(z) is log p(x) everywhere: each weight is p(x), up to the
// floats of q0 and of log p(x|z).
TEST(Anneal, FromThePosteriorEveryWeightIsPx) {
  const Separate model = sharp();
  LatentGaussians start;
  for (std::size_t d = 0; d < model.x.size(); ++d) {
    start.mu.push_back(float(model.posterior_mean(d)));
    start.log_var.push_back(float(std::log(model.posterior_variance(d))));
  }
  for (const std::int64_t temperatures : {1, 3, 20}) {
    const AnnealedWeights w = run(model, {.temperatures = temperatures, .chains = 8, .leapfrog = 4}, start,
                                  posterior_draw(model, 1));
    for (const double log_w : w.forward) EXPECT_NEAR(log_w, model.log_px(), 2e-5) << temperatures;
    for (const double log_w : w.backward) EXPECT_NEAR(log_w, model.log_px(), 2e-5) << temperatures;
  }
}

TEST(Anneal, FromAnotherGaussianTheMeanIsPxToo) {
  const Separate model = sharp();
  const LatentGaussians start{{1.0f, 0.1f, -0.7f}, {-1.0f, 0.3f, -1.5f}};
  for (const std::int64_t temperatures : {2, 10}) {
    const AnnealedWeights w =
        run(model, {.temperatures = temperatures, .chains = kMostChains, .leapfrog = 3, .seed = 9}, start);
    const LogMean got = log_mean(w.forward);
    EXPECT_NEAR(got.value, model.log_px(), 5 * got.error) << temperatures;
    EXPECT_LT(got.error, 0.1) << temperatures;
  }
}

// --- The pilots

TEST(Anneal, PilotsFindAStepOfTheAcceptanceTheyAreAfter) {
  for (const double scale : {1.0, 0.02}) {
    Separate model;
    for (int d = 0; d < 10; ++d) {
      model.x.push_back(0.5);
      model.w.push_back(1.0);
      model.s.push_back(scale);
    }
    const AnnealedWeights w = run(model, {.temperatures = 1000, .chains = 8, .leapfrog = 5, .seed = 1});
    EXPECT_NEAR(w.accepted / 999, 0.65, 0.1) << scale;
  }
}

// --- Noise by name: the same in any tile, another for another datum, seed or direction

TEST(Anneal, ADatumIsTheSameInAnyTile) {
  const Separate model = sharp();
  const AnnealedOptions options{.temperatures = 12, .chains = 3, .leapfrog = 2, .seed = 4};
  const AnnealedTile both{.first_datum = 6, .data = 2, .start = {}, .exact = {}};
  const AnnealedWeights two = anneal_tile(options, LatentPrior(3), both, model.decoder(), {});
  std::vector<double> one_by_one = run(model, options, {}, {}, 6).forward;
  for (const double w : run(model, options, {}, {}, 7).forward) one_by_one.push_back(w);
  EXPECT_EQ(two.forward, one_by_one);
  EXPECT_NE(two.forward[0], two.forward[3]);
  EXPECT_NE(two.forward[0], two.forward[1]);
  AnnealedOptions other = options;
  other.seed = 5;
  EXPECT_NE(run(model, other, {}, {}, 6).forward, run(model, options, {}, {}, 6).forward);
}

TEST(Anneal, TellsHowFarItIs) {
  const Separate model = sharp();
  std::vector<double> told;
  const std::vector<float> exact = posterior_draw(model, 0);
  const AnnealedTile tile{.first_datum = 0, .data = 1, .start = {}, .exact = exact};
  anneal_tile({.temperatures = 10, .chains = 1, .leapfrog = 1}, LatentPrior(3), tile, model.decoder(),
              [&](double share) { told.push_back(share); });
  ASSERT_EQ(told.size(), 18u);
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_GT(told[i], told[i - 1]);
  EXPECT_GT(told.front(), 0.0);
  EXPECT_LT(told.back(), 1.0);
}

TEST(Anneal, ANaNIsSeen) {
  const LatentDecoder broken = [](const std::vector<float>& z, DecodedLatents& out) {
    out.log_px_given_z.assign(z.size(), std::nanf(""));
    out.grad_z.assign(z.size(), std::nanf(""));
  };
  const AnnealedTile tile{.first_datum = 0, .data = 2, .start = {}, .exact = {}};
  AnnealedSums sums(3);
  sums.add(anneal_tile({.temperatures = 4, .chains = 3, .leapfrog = 1}, LatentPrior(1), tile, broken, {}));
  const AnnealedEvaluation e = sums.finish(3);
  EXPECT_TRUE(std::isnan(e.log_px_of_datum[0]));
  EXPECT_TRUE(std::isnan(e.log_px_of_datum[1]));
  EXPECT_TRUE(std::isnan(e.log_px.mean));
}

// --- From weights to figures

TEST(AnnealedSums, JoinsChainsAndData) {
  AnnealedSums sums(2);
  sums.add({.forward = {std::log(1.0), std::log(3.0)}, .backward = {0.0, 0.0}, .accepted = 1.5});
  sums.add({.forward = {-7.0, -7.0}, .backward = {std::log(2.0), std::log(4.0)}, .accepted = 0.5});
  const AnnealedEvaluation e = sums.finish(2);
  EXPECT_EQ(e.count, 2);
  EXPECT_NEAR(e.log_px_of_datum[0], std::log(2.0), 1e-15);
  EXPECT_NEAR(e.log_px_of_datum[1], -7.0, 1e-15);
  EXPECT_NEAR(e.upper_of_datum[1], -std::log((0.5 + 0.25) / 2), 1e-15);
  EXPECT_NEAR(e.acceptance, 0.5, 1e-15);
  EXPECT_NEAR(e.weights_of_datum[0].effective_samples, 16.0 / 10.0, 1e-12);
  EXPECT_EQ(e.weights_of_datum[1].standard_error, 0.0);
  EXPECT_NEAR(e.log_px.mean, (std::log(2.0) - 7.0) / 2, 1e-15);
  EXPECT_NEAR(e.sandwich.mean, e.upper.mean - e.log_px.mean, 1e-15);
  EXPECT_NEAR(e.sandwich.standard_error, std::abs(-std::log(2.0) - (7.0 - std::log(0.375))) / 2, 1e-12);
}

// --- felbo's decoder, on whatever the test is compiled for

struct OnModel {
  explicit OnModel(std::int64_t rows, oracle::Encoder encoder = oracle::Encoder::kOther)
      : model(oracle::make_oracle_model({8, 2, "learned", 1.0f}, encoder, rows, 0)) {}

  template <class Exec>
  AnnealedEvaluation run(const Exec& exec, const AnnealedOptions& options,
                         const LatentGaussians& start = {}) const {
    const Buffer<Exec, float> parameters(exec, model.vae.table().size());
    upload(exec, model.flat, parameters.view());
    const ResidentData<Exec> data(exec, model.data);
    return anneal(exec, model.vae, View<const float, 1>(parameters.view()), data, options, start);
  }
  oracle::OracleModel model;
};

TEST(AnnealOnAModel, AgreesWithTheExactValueOfEachDatum) {
  const OnModel on(5);
  const bool emulated = !std::is_same_v<test::ExecType, CpuExec>;
  const test::ExecHandle exec = test::open_exec(2);
  const AnnealedEvaluation e = on.run(
      exec, {.temperatures = emulated ? 20 : 300, .chains = emulated ? 4 : 200, .leapfrog = 4, .seed = 1});
  ASSERT_EQ(e.count, 5);
  for (std::int64_t n = 0; n < 5; ++n) {
    const auto i = static_cast<std::size_t>(n);
    const double error = e.weights_of_datum[i].standard_error;
    EXPECT_LT(error, emulated ? 10.0 : 0.05);
    EXPECT_NEAR(e.log_px_of_datum[i], on.model.oracle.log_px(on.model.x(n)), 6 * error + 1e-4 + emulated);
  }
  EXPECT_GT(e.acceptance, emulated ? 0.1 : 0.5);
  EXPECT_LT(e.acceptance, emulated ? 1.0 : 0.95);
}

#if !defined(FELBO_TEST_CUDA)

TEST(AnnealOnAModel, HasTheSameBitsForOneThreadAndTwo) {
  const OnModel on(40);
  const AnnealedOptions options{.temperatures = 10, .chains = 5, .leapfrog = 3, .seed = 2};
  EXPECT_EQ(on.run(CpuExec(1), options).log_px_of_datum, on.run(CpuExec(2), options).log_px_of_datum);
}

// 40 data do not go into one tile of 128 chains: each is what it is alone.
TEST(AnnealOnAModel, TilesChangeNothing) {
  const OnModel on(40), first(1);
  const AnnealedOptions options{.temperatures = 4, .chains = 126, .leapfrog = 2, .seed = 3};
  EXPECT_LT(detail::annealed_tile(on.model.vae.config(), 40, 126), 40);
  const AnnealedEvaluation all = on.run(CpuExec(2), options);
  EXPECT_EQ(all.log_px_of_datum.front(), first.run(CpuExec(1), options).log_px_of_datum.front());
  for (std::int64_t n = 0; n < 40; ++n) {
    const auto i = static_cast<std::size_t>(n);
    EXPECT_NEAR(all.log_px_of_datum[i], on.model.oracle.log_px(on.model.x(n)),
                6 * all.weights_of_datum[i].standard_error + 1e-4);
  }
}

TEST(AnnealOnAModel, RefusesWhatDoesNotFit) {
  const OnModel on(2);
  const CpuExec exec(1);
  EXPECT_THROW(on.run(exec, {.temperatures = 0}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {.temperatures = kMostTemperatures + 1}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {.chains = 0}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {.chains = kMostChains + 1}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {.leapfrog = 0}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {.leapfrog = 1001}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {}, {{0.0f}, {0.0f}}), std::invalid_argument);
  EXPECT_THROW(on.run(exec, {}, {std::vector<float>(4), {}}), std::invalid_argument);
}

#endif

}  // namespace
}  // namespace felbo
