#include "host/report/run_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "host/report/comparable.h"
#include "host/report/line_plot.h"
#include "host/run/test_files.h"

namespace felbo::report {
namespace {

using nlohmann::json;
using testing_files::has;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;

json line_of(int epoch) {
  return {{"epoch", epoch},
          {"step", 10 * epoch},
          {"elbo", -100.0 + epoch},
          {"elbo_stderr", 0.5},
          {"log_px_given_z", -80.0},
          {"kl", 20.0 - epoch},
          {"train_elbo", -101.0 + epoch},
          {"train_log_px_given_z", -82.0},
          {"train_kl", 19.0},
          {"lr", 0.001},
          {"beta", 1.0},
          {"clamped", 0},
          {"held_out_clamped", 0},
          {"samples_per_second", 1000.0 + epoch},
          {"seconds", 2.0}};
}

using Edit = std::function<void(json&)>;

/// A run's folder of three epochs, without a checkpoint.
void write_run(const std::filesystem::path& run, const RunConfig& config, const Edit& edit = {}) {
  std::filesystem::create_directories(run);
  write_bytes(run / "config.toml", to_toml(config));
  std::string text;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    json line = line_of(epoch);
    if (edit) edit(line);
    text += line.dump() + "\n";
  }
  write_bytes(run / "metrics.jsonl", text);
}

RunConfig usual() {
  RunConfig config;
  config.data = "builtin:glyphs";
  config.binarize = "dynamic";
  return config;
}

class Reports : public ::testing::Test {
 protected:
  RunRecord run(const std::string& name, const RunConfig& config = usual(), const Edit& edit = {}) {
    write_run(folder_ / name, config, edit);
    return read_run(folder_ / name);
  }
  std::string page_of(const RunConfig& config, const Edit& edit = {}) {
    return run_page({run("run", config, edit)}, "1.2.3");
  }
  std::string refusal(const std::string& metrics) {
    write_run(folder_ / "run", usual());
    write_bytes(folder_ / "run" / "metrics.jsonl", metrics);
    return message_of<std::invalid_argument>([&] { read_run(folder_ / "run"); });
  }
  TempFolder folder_;
};

TEST_F(Reports, APageStandsAlone) {
  const std::string page = page_of(usual());
  for (const char* part :
       {"<!doctype html>", "default-src 'none'", "ELBO", "nats a datum", "<svg", "<title",
        "prefers-color-scheme:dark", "felbo 1.2.3", "builtin:glyphs", "probabilities of binary",
        "never over pixels", "felbo evaluate", "3 epochs in full", "--free-bits"})
    EXPECT_TRUE(has(page, part));
  for (const char* part : {"<script", "http://", "https://", "url(http", "@import", "nan", "inf</"})
    EXPECT_FALSE(has(page, part)) << part;
}

TEST_F(Reports, TheSameRunGivesTheSamePage) { EXPECT_EQ(page_of(usual()), page_of(usual())); }

TEST_F(Reports, NamesAndFlagsAreEscaped) {
  RunConfig config = usual();
  config.data = "a<b>&\"'.npy";
  const std::string page = run_page({run("<i>run&", config)}, "<v>");
  for (const char* part : {"<i>", "a<b>", "<v>"}) EXPECT_FALSE(has(page, part)) << part;
  for (const char* part : {"&lt;i&gt;run&amp;", "a&lt;b&gt;&amp;", "&lt;v&gt;"}) EXPECT_TRUE(has(page, part));
}

TEST_F(Reports, OnlyWhatChangesIsDrawn) {
  const std::string page = page_of(usual());
  EXPECT_TRUE(has(page, "<h3>ELBO</h3>"));
  EXPECT_TRUE(has(page, "<h3>Speed of training</h3>"));
  EXPECT_FALSE(has(page, "<h3>Learning rate</h3>"));
  EXPECT_TRUE(has(page, "Learning rate 0.001"));
}

TEST_F(Reports, AnUnknownColumnIsDrawnUnderItsName) {
  const std::string page = page_of(usual(), [](json& line) {
    line["gradient_norm<1>"] = 1.0 / line["epoch"].get<double>();
    line["note"] = "no number";
  });
  EXPECT_TRUE(has(page, "<h3>gradient_norm&lt;1&gt;</h3>"));
  EXPECT_FALSE(has(page, "<h3>note</h3>"));
}

TEST_F(Reports, AGapOfAnotherColumnBreaksItsCurve) {
  const std::string page = page_of(usual(), [](json& line) {
    if (line["epoch"] == 2)
      line["gradient_norm"] = nullptr;
    else
      line["gradient_norm"] = line["epoch"];
  });
  EXPECT_TRUE(has(page, "1 of the values are not finite"));
}

TEST_F(Reports, EpochsThatDidNotMeasureAreNoGap) {
  const std::string page = page_of(usual(), [](json& line) {
    if (line["epoch"] == 2) return;
    line["tracked_log_px"] = -95.0 + line["epoch"].get<double>();
    line["tracked_elbo"] = -97.0 + line["epoch"].get<double>();
  });
  EXPECT_FALSE(has(page, "not finite"));
  EXPECT_TRUE(has(page, "log p(x) of some held-out data"));
}

TEST_F(Reports, BrokenMetricsAreRefusedWithTheirLine) {
  const std::string one = line_of(1).dump() + "\n", two = line_of(2).dump() + "\n";
  EXPECT_TRUE(has(refusal(one + "{\"epoch\": 2,\n"), "metrics.jsonl, line 2: not a line of metrics"));
  EXPECT_TRUE(has(refusal("[]\n"), "line 1: not a line of metrics"));
  EXPECT_TRUE(has(refusal(one + "{\"epoch\":2,\"elbo\":NaN}\n"), "line 2: not a line of metrics"));
  EXPECT_TRUE(has(refusal(two), "line 1: epoch 2 follows epoch 0"));
  EXPECT_TRUE(has(refusal(one + two + two), "line 3: epoch 2 follows epoch 2"));
  EXPECT_TRUE(has(refusal(""), "finished no epoch"));
  json line = line_of(1);
  line["kl"] = nullptr;
  EXPECT_TRUE(has(refusal(line.dump() + "\n"), "line 1: kl is null, not a finite number"));
  line.erase("kl");
  EXPECT_TRUE(has(refusal(line.dump() + "\n"), "line 1: there is no kl"));
  line = line_of(1);
  line["elbo"] = "many";
  EXPECT_TRUE(has(refusal(line.dump() + "\n"), "line 1: elbo is \"many\""));
}

TEST_F(Reports, ALineThatIsBeingWrittenIsLeftOut) {
  write_run(folder_ / "run", usual());
  write_bytes(folder_ / "run" / "metrics.jsonl", line_of(1).dump() + "\n{\"epoch\":2,\"el");
  EXPECT_EQ(read_run(folder_ / "run").epochs(), 1);
}

TEST_F(Reports, WhatIsNoRunIsRefused) {
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { read_run(folder_ / "none"); }), "no such folder"));
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { read_run(folder_.path()); }), "no config.toml"));
  write_run(folder_ / "run", usual());
  for (const auto& [name, bytes] : {std::pair("samples.png", "GIF89a"), std::pair("evaluation.json", "{"),
                                    std::pair("checkpoint.safetensors", "x")}) {
    write_bytes(folder_ / "run" / name, bytes);
    EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { read_run(folder_ / "run"); }), name));
    std::filesystem::remove(folder_ / "run" / name);
  }
}

TEST_F(Reports, AnEvaluationGivesTheLatentDimensions) {
  write_run(folder_ / "run", usual());
  const json evaluation{{"elbo", -90.5},
                        {"elbo_stderr", 0.25},
                        {"samples", 100},
                        {"log_px", -88.25},
                        {"log_px_stderr", 0.5},
                        {"split", "test"},
                        {"epoch", 2},
                        {"latent",
                         {{"kl", {0.0, 2.5, 1.0}},
                          {"variance_of_mean", {0.001, 0.9, 0.5}},
                          {"active_above", 0.01},
                          {"active", 2},
                          {"collapsed", {0}}}}};
  write_bytes(folder_ / "run" / "evaluation.json", evaluation.dump());
  const std::string page = run_page({read_run(folder_ / "run")}, "");
  for (const char* part : {"2 of 3 units active", "sum to 3.50 nats", "KL by latent dimension",
                           "is of epoch 2, the run has gone on to epoch 3", "with 100 samples"})
    EXPECT_TRUE(has(page, part));
}

TEST_F(Reports, SeveralRunsShareTheirAxes) {
  RunConfig other = usual();
  other.seed = 1;
  other.lr = 1e-3;
  const Edit worse = [](json& line) { line["elbo"] = line["elbo"].get<double>() - 2.0; };
  const std::string page = run_page({run("a", usual()), run("b", other, worse)}, "");
  for (const char* part : {"2 runs", "<h3>ELBO, held-out</h3>", "<h3>ELBO, training</h3>", "a (highest ELBO)",
                           "Over seeds", "--seed (differs)", "less that of a"})
    EXPECT_TRUE(has(page, part));
  EXPECT_FALSE(has(page, "--lr (differs)"));
  // Means of −97 and −99: −98 ± 1.
  EXPECT_TRUE(has(page, "98.0 \xC2\xB1 1.0"));
}

TEST_F(Reports, RunsOfTheSameNameAreToldApart) {
  std::vector<RunRecord> runs{run("x/run"), run("y/run")};
  make_names_unique(runs);
  EXPECT_EQ(runs[0].name, "x/run");
  EXPECT_EQ(runs[1].name, "y/run");
}

TEST_F(Reports, WhatCannotBeComparedIsRefused) {
  const auto refused = [&](const Edit&, const std::function<void(RunConfig&)>& change) {
    RunConfig other = usual();
    change(other);
    const std::vector<RunRecord> runs{run("a"), run("b", other)};
    return message_of<std::invalid_argument>([&] { run_page(runs, ""); });
  };
  const auto change = [&](const std::function<void(RunConfig&)>& f) { return refused({}, f); };
  EXPECT_TRUE(has(change([](RunConfig& c) { c.binarize = "threshold"; }), "the binarisation is"));
  EXPECT_TRUE(has(change([](RunConfig& c) { c.data = "builtin:glyphs:7"; }), "the data is"));
  EXPECT_TRUE(has(change([](RunConfig& c) { c.valid_fraction = 0.2; }), "--valid-fraction"));
  const std::string measure = change([](RunConfig& c) {
    c.likelihood = "gaussian";
    c.binarize = "none";
  });
  for (const char* part : {"what p(x) measures", "a density", "probabilities of binary values", "/a", "/b"})
    EXPECT_TRUE(has(measure, part));
}

TEST_F(Reports, WhatTheCheckpointOrTheEvaluationSaysCounts) {
  std::vector<RunRecord> runs{run("a"), run("b")};
  EXPECT_NO_THROW(check_comparable(runs));
  runs[0].facts = {{"data_sha256", "00"}};
  EXPECT_NO_THROW(check_comparable(runs));  // the other's is not known
  runs[1].facts = {{"data_sha256", "11"}};
  EXPECT_THROW(check_comparable(runs), std::invalid_argument);
  runs[1].facts = {{"dimensions", "5"}};
  EXPECT_NO_THROW(check_comparable(runs));
  runs[0].facts = {{"dimensions", "6"}};
  EXPECT_THROW(check_comparable(runs), std::invalid_argument);
  runs[0].facts = {{"units", "nats a datum"}};
  runs[1].facts = {{"units", "bits a dimension"}};
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { check_comparable(runs); }), "the unit is"));
  runs[0].facts = runs[1].facts = {};
  runs[0].evaluation = {{"elbo", 1.0}, {"split", "test"}};
  runs[1].evaluation = {{"elbo", 1.0}, {"split", "valid"}};
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { check_comparable(runs); }), "evaluation.json"));
}

TEST(Measure, OfEveryLikelihood) {
  RunConfig config;
  const auto of = [&](const char* name) {
    config.likelihood = name;
    return likelihood_measure(config);
  };
  EXPECT_EQ(of("gaussian"), of("laplace"));
  EXPECT_EQ(of("gaussian"), of("student-t"));
  EXPECT_EQ(of("gaussian"), of("continuous-bernoulli"));
  EXPECT_NE(of("gaussian"), of("bernoulli"));
  EXPECT_NE(of("gaussian"), of("discretized-logistic"));
  EXPECT_EQ(of("poisson"), of("negative-binomial"));
  EXPECT_NE(of("poisson"), of("multinomial"));
  EXPECT_NE(of("poisson"), of("discretized-logistic"));
  config.categories = 256;
  EXPECT_EQ(of("categorical"), of("discretized-logistic"));
  config.categories = 10;
  EXPECT_NE(of("categorical"), of("discretized-logistic"));
  const std::string grey = of("bernoulli");
  config.binarize = "dynamic";
  EXPECT_NE(of("bernoulli"), grey);
}

TEST(SeedGroups, AreRunsAlikeButForTheirSeeds) {
  std::vector<RunRecord> runs(4);
  for (std::size_t i = 0; i < 4; ++i) {
    runs[i].config.seed = i;
    runs[i].config.threads = static_cast<int>(i);
    runs[i].metrics.epochs = {1.0};
  }
  runs[1].config.latent = "7";
  runs[2].metrics.epochs = {1.0, 2.0};
  const auto groups = seed_groups(runs);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0], (std::vector<const RunRecord*>{&runs[0], &runs[3]}));
}

TEST(OverRuns, MeanAndStandardError) {
  const OverRuns over = over_runs({1.0, 2.0, 6.0});
  EXPECT_DOUBLE_EQ(over.mean, 3.0);
  EXPECT_NEAR(over.standard_error, std::sqrt((4.0 + 1.0 + 9.0) / 2.0 / 3.0), 1e-15);
  EXPECT_THROW(over_runs({1.0}), std::invalid_argument);
}

TEST_F(Reports, TooManyRuns) {
  const std::vector<RunRecord> runs(static_cast<std::size_t>(kMostStyles) + 1, run("a"));
  EXPECT_THROW(run_page(runs, ""), std::invalid_argument);
  EXPECT_THROW(run_page({}, ""), std::invalid_argument);
}

}  // namespace
}  // namespace felbo::report
