// `felbo evaluate`: what it says of its own figures, and what it will not claim.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class Evaluate : public ::testing::Test {
 protected:
  std::string train(const Words& flags) {
    const std::string run = folder_ / "run";
    felbo_json(Words{"train", "--out", run, "--force", "--threads", "2"} + flags);
    return run;
  }
  /// A linear VAE whose q(z|x) comes close to the posterior: two latent dimensions of data that have two.
  std::string good_run() {
    std::vector<float> values;
    const std::vector<float> noise = random_floats(400 * 8, -1, 1);
    for (std::size_t n = 0; n < 400; ++n) {
      for (std::size_t j = 0; j < 6; ++j)
        values.push_back((j < 3 ? 2.0f * noise[8 * n] : 2.0f * noise[8 * n + 1]) + noise[8 * n + 2 + j]);
    }
    write_bytes(folder_ / "x.npy", test::npy("<f4", "(400, 6)", test::floats(values)));
    return train({"--data", folder_ / "x.npy", "--likelihood", "gaussian", "--hidden", "none", "--latent",
                  "2", "--lr", "3e-2", "--lr-schedule", "cosine", "--epochs", "150", "--batch", "64"});
  }
  /// A network too small for its pictures, so that q(z|x) is a poor guess at the posterior.
  std::string poor_run() {
    write_bytes(folder_ / "x.npy", picture_npy(600, 9, 7));
    return train({"--data", folder_ / "x.npy", "--likelihood", "gaussian", "--variance", "fixed:0.0004",
                  "--hidden", "12", "--latent", "6", "--lr", "3e-3", "--epochs", "5", "--batch", "64"});
  }
  TempFolder folder_;
};

TEST_F(Evaluate, CallsTheMeanAnEstimateWhereTheWeightsCanBeReliedOn) {
  const std::string run = good_run();
  const Outcome outcome = felbo({"evaluate", run, "--samples", "200", "--json"});
  EXPECT_FALSE(has(outcome.err, "warning")) << outcome.err;
  const json e = outcome.object();
  EXPECT_EQ(e["log_px_estimate"], e["log_px"]);
  EXPECT_FALSE(e.contains("log_px_unreliable"));
  const json& weights = e["weights"];
  EXPECT_EQ(weights["k_hat_limit"], 0.7);
  EXPECT_LE(weights["unreliable"], e["count"].get<int>() / 10);
  EXPECT_GT(weights["effective_samples_median"].get<double>(), 50);
  EXPECT_LE(weights["effective_samples_median"].get<double>(), 200.0001);
  EXPECT_LT(weights["sampling_stderr"].get<double>(), 0.1 * e["log_px_stderr"].get<double>());
  EXPECT_TRUE(
      has(felbo({"evaluate", run, "--samples", "200"}).out, "an estimate: the weights can be relied on"));
}

TEST_F(Evaluate, PrintsTheBoundButClaimsNoMoreWhereTheyCannot) {
  const std::string run = poor_run();
  const Outcome outcome = felbo({"evaluate", run, "--samples", "100", "--json"});
  EXPECT_EQ(outcome.status, 0);
  const json e = outcome.object();
  ASSERT_TRUE(e["log_px"].is_number());
  EXPECT_GE(e["log_px"].get<double>(), e["elbo"].get<double>());
  EXPECT_TRUE(e["log_px_estimate"].is_null());
  const int unreliable = e["weights"]["unreliable"];
  EXPECT_GT(unreliable, e["count"].get<int>() / 10);
  const std::string reason = e["log_px_unreliable"], number = std::to_string(unreliable);
  EXPECT_TRUE(has(reason, number + " of 60 data have a k-hat above 0.7, more than 10 %")) << reason;
  EXPECT_TRUE(has(outcome.err, reason)) << outcome.err;
  EXPECT_EQ(e["weights"]["worst_data"].size(), std::size_t(std::min(unreliable, 10)));
  const json asked = felbo_json({"evaluate", run, "--samples", "100", "--allow-unreliable"});
  EXPECT_EQ(asked["log_px_estimate"], e["log_px"]);
  EXPECT_EQ(asked["log_px_unreliable"], reason);
  EXPECT_TRUE(has(felbo({"evaluate", run, "--samples", "100"}).out, "no estimate of log p(x) itself"));
  EXPECT_TRUE(
      has(felbo({"evaluate", run, "--samples", "100", "--allow-unreliable"}).out, "not to be relied on"));
}

TEST_F(Evaluate, FewSamplesAreNoEstimateAndNoReasonToWarn) {
  const std::string run = good_run();
  for (const std::string samples : {"1", "20"}) {
    const Outcome outcome = felbo({"evaluate", run, "--samples", samples, "--json"});
    const json e = outcome.object();
    EXPECT_TRUE(e["log_px"].is_number());
    EXPECT_TRUE(e["log_px_estimate"].is_null());
    EXPECT_TRUE(has(e["log_px_unreliable"].get<std::string>(), "k-hat needs 21 or more"));
    EXPECT_EQ(e.contains("weights"), samples != "1");
    EXPECT_FALSE(has(outcome.err, "warning")) << outcome.err;
  }
}

TEST_F(Evaluate, SaysWhatTheLatentDimensionsCarry) {
  const json e = felbo_json({"evaluate", good_run()});
  const json& latent = e["latent"];
  ASSERT_EQ(latent["kl"].size(), 2u);
  EXPECT_NEAR(latent["kl"][0].get<double>() + latent["kl"][1].get<double>(), e["kl"].get<double>(), 1e-5);
  EXPECT_EQ(latent["active"], 2);
  EXPECT_EQ(latent["collapsed"], json::array());
  EXPECT_EQ(latent["active_above"], 0.01);
  for (const json& variance : latent["variance_of_mean"]) EXPECT_GT(variance.get<double>(), 0.01);
}

// A KL that weighs a thousandfold leaves nothing in the code.
TEST_F(Evaluate, NamesTheDimensionsThatCollapsed) {
  write_bytes(folder_ / "x.npy", float_npy(300, 6, -1, 1));
  const std::string run =
      train({"--data", folder_ / "x.npy", "--likelihood", "gaussian", "--variance", "unit", "--hidden",
             "none", "--latent", "3", "--beta", "1000", "--lr", "1e-2", "--epochs", "60", "--batch", "32"});
  const Outcome outcome = felbo({"evaluate", run, "--json"});
  EXPECT_EQ(outcome.object()["latent"]["collapsed"], (json{0, 1, 2}));
  EXPECT_EQ(outcome.object()["latent"]["active"], 0);
  EXPECT_TRUE(has(outcome.err, "posterior collapse: 3 of 3 latent dimensions carry nothing")) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "at most 0.01): 0, 1, 2")) << outcome.err;
  EXPECT_TRUE(has(felbo({"evaluate", run}).out, "0 of 3 units active"));
}

TEST_F(Evaluate, WritesARowADatum) {
  const std::string run = good_run(), out = folder_ / "data.npy";
  const json e = felbo_json({"evaluate", run, "--samples", "50", "--out", out});
  const std::string bytes = read_bytes(out);
  const std::size_t count = e["count"], size = count * 5 * sizeof(float);
  EXPECT_TRUE(has(bytes.substr(0, 128), "'shape': (" + std::to_string(count) + ", 5)"));
  ASSERT_GT(bytes.size(), size);
  std::vector<float> values(count * 5);
  std::memcpy(values.data(), bytes.data() + bytes.size() - size, size);
  double elbo = 0, log_px = 0;
  for (std::size_t n = 0; n < count; ++n) {
    elbo += double(values[5 * n]) / double(count);
    log_px += double(values[5 * n + 1]) / double(count);
    EXPECT_GT(values[5 * n + 2], 0.0f);
    EXPECT_GE(values[5 * n + 3], 1.0f);
    EXPECT_LE(values[5 * n + 3], 50.001f);
    EXPECT_TRUE(std::isfinite(values[5 * n + 4]));
  }
  EXPECT_NEAR(elbo, e["elbo"].get<double>(), 1e-4);
  EXPECT_NEAR(log_px, e["log_px"].get<double>(), 1e-4);
  const Outcome refused = felbo({"evaluate", run, "--out", folder_ / "data.png"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_TRUE(has(refused.err, "the name must end in .npy")) << refused.err;
}

}  // namespace
}  // namespace felbo::cli
