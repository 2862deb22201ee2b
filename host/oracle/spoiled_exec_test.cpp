// What `felbo oracle` must see: estimators on ops that are spoilt one at a time.
#include "host/oracle/spoiled_exec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>
#include <vector>

// Behind the Exec that they are made for.
#include "host/oracle/estimators.h"

namespace felbo::oracle {
namespace {

OracleReport run(const SpoiledExec& exec, const OracleOptions& options = {}) {
  return compare_estimators(exec, options, [](const Comparison&) {});
}

/// Where estimators disagree without a planted error, seeing one shows nothing.
bool already_red() { return testing::UnitTest::GetInstance()->failed_test_count() > 0; }

// --- A planted error of 1 %, a dropped constant or a lost factor 1/2, one at a time: each must be seen

constexpr float kOnePercent = 1.01f;
const float kHalfLog2Pi = static_cast<float>(0.5 * std::log(2 * std::numbers::pi));

template <class T, class F>
void each(View<T, 1> values, const F& f) {
  for (std::int64_t i = 0; i < values.size; ++i) values(i) = f(values(i));
}
template <class T, class F>
void each(View<T, 2> values, const F& f) {
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t j = 0; j < values.cols; ++j) values(i, j) = f(values(i, j));
}
const auto percent = [](auto v) { return v * decltype(v)(kOnePercent); };
const auto twice = [](auto v) { return 2 * v; };

struct Planted {
  std::string name;
  Spoil spoil;
};

std::vector<Planted> planted_in_estimates() {
  return {
      {"log p(x|z), 1 %", {.likelihood = [](const LikelihoodArgs& a) { each(a.log_px_given_z, percent); }}},
      {"log p(x|z), without log 2 pi / 2 a dimension",
       {.likelihood =
            [](const LikelihoodArgs& a) {
              each(a.log_px_given_z, [&](float v) { return v + float(a.x.cols) * kHalfLog2Pi; });
            }}},
      {"KL, 1 %", {.reparameterize = [](const ReparameterizeArgs& a) { each(a.kl, percent); }}},
      {"KL, without its 1/2", {.reparameterize = [](const ReparameterizeArgs& a) { each(a.kl, twice); }}},
      {"KL, without - Z / 2",
       {.reparameterize =
            [](const ReparameterizeArgs& a) {
              each(a.kl, [&](float v) { return v + 0.5f * float(a.mu.cols); });
            }}},
      {"log p(z), 1 %", {.reparameterize = [](const ReparameterizeArgs& a) { each(a.log_pz, percent); }}},
      {"log p(z), without log 2 pi / 2 a dimension",
       {.reparameterize =
            [](const ReparameterizeArgs& a) {
              each(a.log_pz, [&](float v) { return v + float(a.mu.cols) * kHalfLog2Pi; });
            }}},
      {"log q(z|x), 1 %",
       {.reparameterize = [](const ReparameterizeArgs& a) { each(a.log_qz_given_x, percent); }}},
      {"log q(z|x), without log 2 pi / 2 a dimension",
       {.reparameterize =
            [](const ReparameterizeArgs& a) {
              each(a.log_qz_given_x, [&](float v) { return v + float(a.mu.cols) * kHalfLog2Pi; });
            }}},
      {"eps, 1 % too wide",
       {.reparameterize =
            [](const ReparameterizeArgs& a) {
              for (std::int64_t r = 0; r < a.z.rows; ++r)
                for (std::int64_t d = 0; d < a.z.cols; ++d) {
                  const float mu = a.mu(r / a.samples, d);
                  a.z(r, d) = mu + kOnePercent * (a.z(r, d) - mu);
                }
            }}},
      {"sum of the weights, 1 %",
       {.log_mean_exp_update = [](const LogMeanExpArgs& a) { each(a.sum, percent); }}},
      {"the last weight of a call twice",
       {.log_mean_exp_update =
            [](const LogMeanExpArgs& a) {
              each(a.sum, [&](double v) { return v * (1 + 1.0 / a.samples); });
            }}},
      {"total of log p(x|z), 1 %", {.elbo = [](const ElboArgs& a) { a.totals(0) *= 1.01; }}},
      {"total of KL, 1 %", {.elbo = [](const ElboArgs& a) { a.totals(1) *= 1.01; }}},
      {"total of the ELBO, 1 %", {.elbo = [](const ElboArgs& a) { a.totals(2) *= 1.01; }}},
      {"the decoder's mean, 1 %", {.dense = [](const DenseArgs& a) { each(a.y, percent); }}},
      {"a NaN", {.likelihood = [](const LikelihoodArgs& a) { a.log_px_given_z(0) = std::nanf(""); }}},
  };
}

/// Which of the two products backward: the encoder's makes no gradient of its input.
bool of_encoder(const DenseGradArgs& a) { return a.grad_x.empty(); }

std::vector<Planted> planted_in_gradients() {
  return {
      {"by the decoder's output, 1 %",
       {.likelihood =
            [](const LikelihoodArgs& a) {
              if (a.want_gradient) each(a.output, percent);
            }}},
      {"by the learned variance, 1 %",
       {.likelihood = [](const LikelihoodArgs& a) { each(a.grad_own, percent); }}},
      {"by mu, 1 %",
       {.reparameterize_backward = [](const ReparameterizeGradArgs& a) { each(a.grad_mu, percent); }}},
      {"by log_var, 1 %",
       {.reparameterize_backward = [](const ReparameterizeGradArgs& a) { each(a.grad_log_var, percent); }}},
      {"by log_var, without its 1/2",
       {.reparameterize_backward = [](const ReparameterizeGradArgs& a) { each(a.grad_log_var, twice); }}},
      {"by the encoder's weights, 1 %",
       {.dense_backward =
            [](const DenseGradArgs& a) {
              if (of_encoder(a)) each(a.grad_weight, percent);
            }}},
      {"by the encoder's biases, 1 %",
       {.dense_backward =
            [](const DenseGradArgs& a) {
              if (of_encoder(a)) each(a.grad_bias, percent);
            }}},
      {"by the decoder's weights, 1 %",
       {.dense_backward =
            [](const DenseGradArgs& a) {
              if (!of_encoder(a)) each(a.grad_weight, percent);
            }}},
      {"by the decoder's biases, 1 %",
       {.dense_backward =
            [](const DenseGradArgs& a) {
              if (!of_encoder(a)) each(a.grad_bias, percent);
            }}},
      {"by z, 2 %",
       {.dense_backward =
            [](const DenseGradArgs& a) {
              if (!of_encoder(a)) each(a.grad_x, [](float v) { return 1.02f * v; });
            }}},
  };
}

/// Each planted error takes all comparisons once more, which under a sanitizer is half a minute.
bool skip_long() {
  const char* skip = std::getenv("FELBO_SKIP_LONG");
  return skip != nullptr && std::string(skip) == "1";
}

TEST(SpoiledExec, APlantedErrorInAnEstimateIsSeen) {
  if (already_red()) GTEST_SKIP() << "NOT CHECKED: another test has failed";
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const OracleOptions fewer_steps{.gradient_steps = 100, .annealed_data = 0};
  EXPECT_TRUE(run(SpoiledExec({}), fewer_steps).ok());
  for (const Planted& planted : planted_in_estimates()) {
    const OracleReport report = run(SpoiledExec(planted.spoil), fewer_steps);
    EXPECT_GT(report.failed(), 0) << planted.name;
    EXPECT_NE(report.first_failure(), "") << planted.name;
  }
}

TEST(SpoiledExec, APlantedErrorInAGradientIsSeen) {
  if (already_red()) GTEST_SKIP() << "NOT CHECKED: another test has failed";
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const OracleOptions no_annealing{.annealed_data = 0};
  EXPECT_TRUE(run(SpoiledExec({}), no_annealing).ok());
  for (const Planted& planted : planted_in_gradients()) {
    const OracleReport report = run(SpoiledExec(planted.spoil), no_annealing);
    int gradients = 0;
    for (const Comparison& c : report.results)
      gradients += !c.ok() && (c.name.starts_with("gradient") || c.name.starts_with("..."));
    EXPECT_GT(gradients, 0) << planted.name;
  }
}

// What annealing takes from ops is log p(x|z) and its gradient. A wrong gradient makes it slow, not wrong:
// proposals are accepted by the densities. (Its own arithmetic is judged by mutants.)
TEST(SpoiledExec, APlantedErrorInAnnealingIsSeen) {
  if (already_red()) GTEST_SKIP() << "NOT CHECKED: another test has failed";
  const auto failed = [](const Spoil& spoil) {
    OracleReport report;
    const SpoiledExec exec(spoil);
    detail::compare_annealed(exec, oracle_cases().front(), {.annealed = {.temperatures = 300, .leapfrog = 4}},
                             report.results);
    EXPECT_EQ(report.results.size(), 1u);
    return report.failed();
  };
  EXPECT_EQ(failed({}), 0);
  EXPECT_EQ(failed({.likelihood = [](const LikelihoodArgs& a) { each(a.output, percent); }}), 0);
  for (const Planted& planted : planted_in_estimates()) {
    if (!planted.name.starts_with("log p(x|z)") && planted.name != "a NaN") continue;
    EXPECT_EQ(failed(planted.spoil), 1) << planted.name;
  }
}

}  // namespace
}  // namespace felbo::oracle
