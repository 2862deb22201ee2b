// `felbo bench train`: the epochs of `felbo train`, timed until the held-out figure is good enough.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class BenchTrain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    write_bytes(*folder_ / "x.npy", picture_npy(300, 4, 3));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  /// A small training of 5 epochs, with more flags.
  static Words small(const Words& more) {
    return Words{"--data", *folder_ / "x.npy", "--binarize", "threshold", "--hidden", "8",       "--latent",
                 "2",      "--epochs",         "5",          "--lr",      "0.001",    "--batch", "16"} +
           more;
  }
  static json bench(const Words& more) { return felbo_json(Words{"bench", "train"} + small(more)); }
  /// The held-out figures of the same training as a run.
  static std::vector<double> figures_of_run(const Words& more, const char* key) {
    EXPECT_EQ(felbo(Words{"train", "--force", "--out", *folder_ / "run"} + small(more)).status, 0);
    std::vector<double> figures;
    for (const json& line : read_metrics(*folder_ / "run")) figures.push_back(line.at(key));
    return figures;
  }
  static std::vector<double> curve_of(const json& bench) {
    std::vector<double> figures;
    for (const json& point : bench.at("curve")) figures.push_back(point.at("nats"));
    return figures;
  }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> BenchTrain::folder_;

TEST_F(BenchTrain, TakesTheEpochsOfARun) {
  const json said = bench({"--threads", "1"});
  EXPECT_EQ(curve_of(said), figures_of_run({"--threads", "1"}, "elbo"));
  EXPECT_EQ(said["figure"], "elbo");
  EXPECT_EQ(said["split"], "valid");
  EXPECT_EQ(said["tool"], "felbo");
  ASSERT_EQ(said["results"].size(), 1u);
  const json &row = said["results"][0], &last = said["curve"][4];
  EXPECT_EQ(row["name"], "train/12-8-2-8-12");
  EXPECT_EQ(row["params"], "B:16/fp32/epochs:5");
  EXPECT_EQ(row["epochs"], 5);
  EXPECT_TRUE(row["target"].is_null() && row["reached"].is_null());
  EXPECT_EQ(row["seconds"], last["seconds"]);
  EXPECT_EQ(row["nats"], last["nats"]);
  // 270 of 300 rows are trained on.
  EXPECT_NEAR(row["samples_per_second"].get<double>() * row["seconds"].get<double>(), 5 * 270, 1e-6);
  EXPECT_TRUE(row["joules"].is_null()) << "a CPU's energy is not counted";
}

TEST_F(BenchTrain, TimesGrow) {
  double seconds = 0.0, evaluation = 0.0;
  for (const json& point : bench({})["curve"]) {
    EXPECT_GT(point["seconds"], seconds);
    EXPECT_GT(point["evaluation_seconds"], evaluation);
    seconds = point["seconds"];
    evaluation = point["evaluation_seconds"];
  }
}

TEST_F(BenchTrain, EndsWithTheLastTargetAndTimesEach) {
  const std::vector<double> figures = figures_of_run({}, "elbo");
  const auto text = [](double value) { return std::to_string(value); };
  const double second = 0.5 * (figures[0] + figures[1]), third = 0.5 * (figures[1] + figures[2]);
  ASSERT_TRUE(figures[0] < second && second < figures[1] && third < figures[2]) << "not a rising curve";
  const json said = bench({"--target", text(third), text(second), "-1e6"});
  ASSERT_EQ(said["curve"].size(), 3u);
  ASSERT_EQ(said["results"].size(), 4u);
  const int epochs[] = {3, 2, 1, 3};
  for (std::size_t i = 0; i < 4; ++i) {
    const json &row = said["results"][i], &point = said["curve"][static_cast<std::size_t>(epochs[i]) - 1];
    EXPECT_EQ(row["epochs"], epochs[i]);
    EXPECT_EQ(row["seconds"], point["seconds"]);
    EXPECT_EQ(row["nats"], point["nats"]);
    EXPECT_EQ(row["reached"], i < 3 ? json(true) : json());
  }
  EXPECT_EQ(said["results"][2]["target"], -1e6);
}

TEST_F(BenchTrain, AnUnreachedTargetIsSaidToBeUnreached) {
  const json said = bench({"--target", "-1e6", "5"});
  EXPECT_EQ(said["curve"].size(), 5u);
  const json& row = said["results"][1];
  EXPECT_EQ(row["reached"], false);
  EXPECT_EQ(row["nats"], said["curve"][4]["nats"]);
  for (const char* key : {"seconds", "epochs", "evaluation_seconds", "joules"})
    EXPECT_TRUE(row.at(key).is_null()) << key;
  const Outcome outcome = felbo(Words{"bench", "train"} + small({"--target", "5"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "ELBO 5 not reached in 5 epochs"));
}

TEST_F(BenchTrain, AnObjectiveWithImportanceWeightsIsJudgedByItsBound) {
  const Words iwae{"--objective", "iwae", "--samples", "5"};
  const json said = bench(iwae);
  EXPECT_EQ(said["figure"], "log_px");
  EXPECT_EQ(curve_of(said), figures_of_run(iwae, "log_px"));
}

TEST_F(BenchTrain, TakesAConfigurationAndWritesAFile) {
  figures_of_run({}, "elbo");
  const std::string out = *folder_ / "bench.json";
  const json said =
      felbo_json({"bench", "train", "--config", *folder_ / "run/config.toml", "--epochs", "2", "--out", out});
  EXPECT_EQ(said["results"][0]["name"], "train/12-8-2-8-12");
  EXPECT_EQ(said["results"][0]["epochs"], 2);
  EXPECT_EQ(json::parse(read_bytes(out)), said);
}

TEST_F(BenchTrain, HasDataOfItsOwn) {
  const json said = felbo_json({"bench", "train", "--epochs", "1", "--hidden", "8", "--latent", "2"});
  EXPECT_EQ(said["data"], "builtin:glyphs");
  EXPECT_LT(said["curve"][0]["nats"], 0.0);
}

}  // namespace
}  // namespace felbo::cli
