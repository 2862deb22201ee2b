// log p(x) beyond the bound: evaluate --ais and --bdmc, felbo gap, train --track-gap.
#include <cmath>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class Gap : public ::testing::Test {
 protected:
  /// A linear VAE on data of which log p(x) of the model is known in closed form.
  std::string linear_run() {
    const std::string run = folder_ / "linear";
    felbo_json({"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--hidden", "none",
                "--latent", "3", "--epochs", "3", "--lr", "1e-2", "--out", run});
    return run;
  }
  std::string picture_run(const Words& more = {}) {
    write_bytes(folder_ / "x.npy", picture_npy(200, 4, 3));
    const std::string run = folder_ / "pictures";
    felbo_json(Words{"train", "--data", folder_ / "x.npy", "--binarize", "threshold", "--hidden", "8",
                     "--latent", "2", "--epochs", "4", "--out", run, "--force"} +
               more);
    return run;
  }
  TempFolder folder_;
};

const Words kFew{"--count", "20", "--ais", "20", "--chains", "4", "--leapfrog", "3"};

TEST_F(Gap, EvaluateAnneals) {
  const std::string run = picture_run();
  const json plain = felbo_json({"evaluate", run, "--count", "20"});
  EXPECT_EQ(plain["count"], 20);
  EXPECT_FALSE(plain.contains("ais_log_px"));
  const json e = felbo_json(Words{"evaluate", run} + kFew);
  EXPECT_EQ(e["elbo"], plain["elbo"]);
  EXPECT_GT(e["ais_log_px"].get<double>(), e["elbo"].get<double>() - 0.1);
  EXPECT_GT(e["ais_log_px_stderr"].get<double>(), 0.0);
  EXPECT_EQ(e["ais"]["temperatures"], 20);
  EXPECT_EQ(e["ais"]["chains"], 4);
  EXPECT_EQ(e["ais"]["leapfrog"], 3);
  EXPECT_LE(e["ais"]["effective_chains_median"].get<double>(), 4.0001);
  EXPECT_FALSE(e.contains("bdmc"));
  const json both = felbo_json(Words{"evaluate", run, "--bdmc"} + kFew);
  EXPECT_EQ(both["ais_log_px"], e["ais_log_px"]);
  const json& bdmc = both["bdmc"];
  EXPECT_EQ(bdmc["count"], 20);
  EXPECT_NEAR(bdmc["upper"].get<double>() - bdmc["lower"].get<double>(), bdmc["gap"].get<double>(), 1e-9);
  EXPECT_GT(bdmc["gap"].get<double>(), -5 * bdmc["gap_stderr"].get<double>());
  const std::string text = felbo(Words{"evaluate", run, "--bdmc"} + kFew).out;
  for (const char* words :
       {"AIS log p(x) >=", "20 temperatures, 4 chains", "log p(x) <=", "20 data simulated"})
    EXPECT_TRUE(has(text, words)) << words << "\n" << text;
}

TEST_F(Gap, EvaluateAnnealsFromLearnedPriors) {
  for (const Words& prior : {Words{"--prior", "diagonal-gaussian"},
                             {"--prior", "mixture", "--components", "3"},
                             {"--prior", "vamp", "--components", "3"}}) {
    const std::string run = picture_run(prior);
    const json e = felbo_json(Words{"evaluate", run, "--samples", "200", "--bdmc"} + kFew);
    // Two lower bounds of the same 20 data on a model of two latent dimensions, and their noise.
    EXPECT_NEAR(e["ais_log_px"].get<double>(), e["log_px"].get<double>(), 0.3) << prior[1];
    EXPECT_NEAR(e["bdmc"]["gap"].get<double>(), 0.0, 0.5) << prior[1];
    EXPECT_TRUE(has(felbo(Words{"gap", run} + kFew).err, "felbo gap knows the prior standard-normal"));
  }
  const Outcome cube = felbo(Words{"evaluate", picture_run({"--prior", "uniform"})} + kFew);
  EXPECT_EQ(cube.status, 2);
  EXPECT_TRUE(has(cube.err, "--ais: annealing knows every prior but uniform")) << cube.err;
}

TEST_F(Gap, FiguresDoNotDependOnThreads) {
  const std::string run = picture_run();
  const auto figures = [&](const Words& verb, const char* threads) {
    json object = felbo_json(verb + kFew + Words{"--threads", threads});
    object.erase("seconds");
    return object;
  };
  for (const Words& verb : {Words{"evaluate", run, "--bdmc"},
                            Words{"gap", run, "--samples", "50", "--fit-steps", "10", "--simulated", "5"}})
    EXPECT_EQ(figures(verb, "1"), figures(verb, "2"));
}

TEST_F(Gap, PartsAddUpAndAreTheExactOnes) {
  const std::string run = linear_run();
  const json gap = felbo_json({"gap", run, "--count", "60", "--samples", "2000", "--simulated", "20"});
  EXPECT_EQ(gap["count"], 60);
  EXPECT_NEAR(gap["approximation_gap"].get<double>() + gap["amortisation_gap"].get<double>(),
              gap["gap"].get<double>(), 1e-9);
  EXPECT_NEAR(gap["log_px"].get<double>() - gap["elbo"].get<double>(), gap["gap"].get<double>(), 1e-9);
  for (const char* key : {"log_px", "elbo", "elbo_best", "gap", "approximation_gap", "amortisation_gap"}) {
    const double sampling = gap[std::string(key) + "_sampling_stderr"];
    EXPECT_NEAR(gap[key].get<double>(), gap["exact"][key].get<double>(), 6 * sampling + 0.01) << key;
    const json& interval = gap[std::string(key) + "_interval"];
    EXPECT_LT(interval[0].get<double>(), gap[key].get<double>()) << key;
    EXPECT_GT(interval[1].get<double>(), gap[key].get<double>()) << key;
  }
  EXPECT_GT(gap["gap"].get<double>(), 0.1);  // three epochs leave something to explain
  EXPECT_EQ(gap["bdmc"]["count"], 20);
  const std::string text = felbo({"gap", run, "--count", "10", "--simulated", "0"}).out;
  for (const char* words : {"exact", "log p(x) - ELBO", "approximation gap", "amortisation gap",
                            "estimator error", "10 test data"})
    EXPECT_TRUE(has(text, words)) << words << "\n" << text;
}

TEST_F(Gap, WithoutAClosedFormThereIsTheSandwich) {
  const std::string run = picture_run();
  const Words few{"--samples", "50", "--fit-steps", "10"};
  const json gap = felbo_json(Words{"gap", run, "--simulated", "5"} + few + kFew);
  EXPECT_FALSE(gap.contains("exact"));
  EXPECT_EQ(gap["estimator_error"], 0.0);
  EXPECT_LT(gap["estimator_error_interval"][0].get<double>(), 0.0);
  EXPECT_TRUE(has(felbo(Words{"gap", run, "--simulated", "5"} + few + kFew).out, "5 simulated data"));
  EXPECT_TRUE(has(felbo(Words{"gap", run, "--simulated", "0"} + few + kFew).out, "sampling alone"));
}

TEST_F(Gap, TrainingTracksIt) {
  const std::string plain = picture_run(), figures = read_bytes(plain + "/metrics.jsonl");
  EXPECT_FALSE(has(figures, "kl_to_posterior"));
  const auto elbos = [](const std::vector<json>& metrics) {
    std::vector<double> values;
    for (const json& line : metrics) values.push_back(line["elbo"]);
    return values;
  };
  const std::vector<double> untracked = elbos(read_metrics(plain));
  const std::vector<json> tracked = read_metrics(picture_run({"--track-gap", "2"}));
  EXPECT_EQ(elbos(tracked), untracked);  // it looks on
  ASSERT_EQ(tracked.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const json& line = tracked[i];
    ASSERT_EQ(line.contains("kl_to_posterior"), i % 2 == 1);
    if (i % 2 == 0) continue;
    EXPECT_EQ(line["tracked_samples"], 100);
    EXPECT_EQ(line["tracked_count"], 20);  // all of the held-out tenth
    EXPECT_NEAR(line["tracked_log_px"].get<double>() - line["tracked_elbo"].get<double>(),
                line["kl_to_posterior"].get<double>(), 1e-9);
    EXPECT_GT(line["kl_to_posterior_stderr"].get<double>(), 0.0);
  }
}

TEST_F(Gap, RefusesBadRequests) {
  const std::string run = picture_run();
  const std::vector<std::pair<Words, std::string>> bad{
      {{"evaluate", run, "--ais", "0"}, "--ais 0"},
      {{"evaluate", run, "--ais", "10", "--chains", "0"}, "--chains 0"},
      {{"evaluate", run, "--ais", "10", "--chains", "100000"}, "--chains 100000"},
      {{"evaluate", run, "--ais", "10", "--leapfrog", "0"}, "--leapfrog 0"},
      {{"evaluate", run, "--chains", "4"}, "--ais"},
      {{"evaluate", run, "--bdmc"}, "--ais"},
      {{"evaluate", run, "--count", "21"}, "--count 21: there are 20 data"},
      {{"evaluate", run, "--count", "0"}, "--count 0"},
      {{"gap", run, "--count", "21"}, "--count 21: there are 20 data"},
      {{"gap", run, "--count", "0"}, "--count 0"},
      {{"gap", run, "--samples", "1"}, "--samples 1"},
      {{"gap", run, "--fit-steps", "-1"}, "--fit-steps"},
      {{"gap", run, "--simulated=-1"}, "--simulated -1"},
      {{"gap", run, "--chains", "0"}, "--chains 0"},
      {{"gap", folder_ / "none"}, "holds no run"},
      {{"gap"}, "RUN"},
  };
  for (const auto& [words, said] : bad) {
    const Outcome outcome = felbo(words);
    EXPECT_EQ(outcome.status, 2) << said;
    EXPECT_TRUE(has(outcome.err, said)) << said << "\n" << outcome.err;
  }
}

}  // namespace
}  // namespace felbo::cli
