// A step whose loss or gradient is not finite: the training stops before it, or skips it; what it leaves
// behind says where it came up, and `felbo replay` why.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

constexpr int kRows = 300, kCols = 6, kOutlier = 10;

/// Normals, but for one value in row kOutlier: its square has no room in a float, the value itself has.
std::string data_with_outlier(float outlier) {
  std::string file = float_npy(kRows, kCols, -1, 1);
  float value = outlier;
  for (const int row : {kOutlier, kOutlier + 1}) {  // the two cancel in the mean
    std::memcpy(
        file.data() + (file.size() - kRows * kCols * sizeof(float)) + (row * kCols + 3) * sizeof(float),
        &value, sizeof value);
    value = -value;
  }
  return file;
}

class NonFinite : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(folder_ / "x.npy", data_with_outlier(1e22f)); }

  std::filesystem::path run() const { return folder_ / "run"; }
  /// `more`: flags with their values (but for --force alone), which take the place of those that are there.
  Words train(const Words& more = {}, const std::string& out = "run",
              const std::string& data = "x.npy") const {
    Words words{"train",      "--data",      folder_ / data,
                "--out",      folder_ / out, "--likelihood",
                "gaussian",   "--hidden",    "5",
                "--latent",   "2",           "--epochs",
                "4",          "--batch",     "32",
                "--variance", "unit",        "--threads",
                "1",          "--seed",      "3"};
    for (std::size_t i = 0; i < more.size(); i += 2) {
      const auto at = std::find(words.begin(), words.end(), more[i]);
      if (at != words.end()) {
        *(at + 1) = more[i + 1];
      } else {
        words.insert(words.end(), more.begin() + static_cast<std::ptrdiff_t>(i),
                     more.begin() + static_cast<std::ptrdiff_t>(std::min(i + 2, more.size())));
      }
    }
    return words;
  }
  TempFolder folder_;
};

json report_of(const std::filesystem::path& run) {
  return json::parse(read_bytes(run / "nonfinite/report.json"));
}

TEST_F(NonFinite, StopsBeforeTheStepAndLeavesIt) {
  const Outcome outcome = felbo(train());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  for (const std::string& words :
       {std::string("the ELBO of step "), std::string(" in epoch 1 is -inf"),
        std::string("reparameterize gave inf in kl, for row"), run().string() + "/nonfinite holds",
        "felbo replay " + run().string(), std::string("--lr"), std::string("--clip-norm"),
        std::string("The last good checkpoint stands: ")})
    EXPECT_TRUE(has(outcome.err, words)) << words << " is not in " << outcome.err;
  const json report = report_of(run());
  EXPECT_EQ(report["epoch"], 1);
  EXPECT_EQ(report["elbo"], "-inf");
  EXPECT_EQ(report["first"]["op"], "reparameterize");
  EXPECT_EQ(report["first"]["tensor"], "kl");
  EXPECT_EQ(report["first"]["value"], "inf");
  const std::size_t batch = report["rows"].size();
  ASSERT_GT(batch, 0u);
  const std::string npy = read_bytes(run() / "nonfinite/batch.npy");
  EXPECT_TRUE(has(npy, "(" + std::to_string(batch) + ", 6)"));
  // The state before the step.
  const auto kept = read_checkpoint(run() / "nonfinite");
  EXPECT_EQ(kept.metadata.at("step"), std::to_string(report["step"].get<int>()));
  EXPECT_EQ(read_checkpoint(run()).metadata.at("epoch"), "0");
}

TEST_F(NonFinite, StopsAtTheSameStepOnAnyNumberOfThreads) {
  felbo(train());
  felbo(train({"--threads", "2"}, "two"));
  EXPECT_EQ(read_bytes(run() / "nonfinite/batch.npy"), read_bytes(folder_ / "two/nonfinite/batch.npy"));
  EXPECT_EQ(report_of(run())["rows"], report_of(folder_ / "two")["rows"]);
  const auto one = read_checkpoint(run() / "nonfinite"), two = read_checkpoint(folder_ / "two/nonfinite");
  EXPECT_EQ(one.metadata.at("sha256"), two.metadata.at("sha256"));
}

TEST_F(NonFinite, ReplaySaysThatItIsTheModel) {
  felbo(train());
  const json replay = felbo_json({"replay", run()});
  EXPECT_EQ(replay["verdict"], "model") << replay;
  EXPECT_EQ(replay["op"], "reparameterize");
  EXPECT_TRUE(replay["float_elbo"].is_null());
  EXPECT_LT(replay["double_elbo"].get<double>(), -1e38);
  EXPECT_TRUE(has(replay["why"].get<std::string>(), "the KL is"));
  const Outcome words = felbo({"replay", run()});
  EXPECT_EQ(words.status, 0);
  EXPECT_TRUE(has(words.out, "It is the model"));
}

// Each finds what the outlier does first. Pseudo-inputs begin as far away as it is: there every row's z is
// where the prior is not.
TEST_F(NonFinite, ReplayJudgesEveryModel) {
  const std::vector<std::pair<Words, const char*>> models{
      {{"--posterior", "full-covariance-gaussian"}, "the KL is "},
      {{"--posterior", "isotropic-gaussian", "--prior", "diagonal-gaussian"}, "the KL is "},
      {{"--posterior", "planar-flow", "--prior", "uniform"}, "log p(z) is -"},
      {{"--prior", "mixture", "--components", "3", "--objective", "iwae"}, "log p(z) is -"},
      {{"--prior", "vamp", "--components", "3"}, "log p(z) is -"},
      {{"--latent", "3,2", "--objective", "elbo-mc"}, "log p(z) is -"}};
  for (std::size_t i = 0; i < models.size(); ++i) {
    SCOPED_TRACE(models[i].first[1] + " " + std::to_string(i));
    const std::string name = "model" + std::to_string(i);
    const Outcome trained = felbo(train(models[i].first, name));
    ASSERT_EQ(trained.status, 1) << trained.err;
    const json replay = felbo_json({"replay", folder_ / name});
    EXPECT_EQ(replay["verdict"], "model") << replay;
    EXPECT_TRUE(has(replay["why"].get<std::string>(), models[i].second)) << replay["why"];
    if (models[i].first[1] != "vamp") {
      EXPECT_TRUE(has(replay["why"].get<std::string>(), " for row " + std::to_string(kOutlier)))
          << replay["why"];
    }
    EXPECT_TRUE(replay["op"].is_string());
  }
}

TEST_F(NonFinite, SkippingGoesOnWithoutTheStep) {
  const Outcome outcome = felbo(train({"--on-nonfinite", "skip"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "whose loss or gradient was not finite"));
  for (const json& line : read_metrics(run())) {
    EXPECT_GE(line["skipped_steps"].get<int>(), 1);
    EXPECT_LE(line["skipped_steps"].get<int>(), 2);
    EXPECT_TRUE(line["train_elbo"].is_number());
    EXPECT_GT(line["grad_norm_max"].get<double>(), 0.0);
    EXPECT_GE(line["grad_norm_max"].get<double>(), line["grad_norm_mean"].get<double>());
  }
  EXPECT_FALSE(std::filesystem::exists(run() / "nonfinite"));
  // The same bits on two threads, and after a stop and a change of mind.
  felbo(train({"--on-nonfinite", "skip", "--threads", "2"}, "two"));
  const std::string sha256 = read_checkpoint(run()).metadata.at("sha256");
  EXPECT_EQ(read_checkpoint(folder_ / "two").metadata.at("sha256"), sha256);
  EXPECT_EQ(felbo(train({}, "stopped")).status, 1);
  const Outcome resumed = felbo({"train", "--resume", folder_ / "stopped", "--on-nonfinite", "skip"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(read_checkpoint(folder_ / "stopped").metadata.at("sha256"), sha256);
}

TEST_F(NonFinite, ACheckpointWithinTheEpochKnowsOfSkippedSteps) {
  felbo(train({"--on-nonfinite", "skip"}));
  felbo(train({"--on-nonfinite", "skip", "--save-steps", "3", "--epochs", "1"}, "parts"));
  const Outcome resumed = felbo({"train", "--resume", folder_ / "parts", "--epochs", "4"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(read_checkpoint(folder_ / "parts").metadata.at("sha256"),
            read_checkpoint(run()).metadata.at("sha256"));
}

// In an epoch whose first steps are skipped nothing is counted yet.
TEST_F(NonFinite, AStopWithinAnEpochThatSkipsGoesOnBitForBit) {
  // Epochs that are nearly nothing but steps: most signals come within one.
  const Words skip{"--on-nonfinite", "skip", "--batch", "2", "--samples", "300", "--hidden", "64"};
  const auto begun = [&](Program& program, const std::string& name) {
    while (program.running() && !std::filesystem::exists(folder_ / (name + "/metrics.jsonl")))
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    return std::chrono::steady_clock::now();
  };
  Program straight(train(skip));
  const auto start = begun(straight, "run");
  ASSERT_EQ(straight.wait().status, 0);
  const auto length = std::chrono::steady_clock::now() - start;
  bool seen = false;
  for (int tries = 0; tries < 60 && !seen; ++tries) {
    const std::string name = "stopped" + std::to_string(tries);
    {
      Program program(train(skip, name));
      begun(program, name);
      // Places spread over the run, wherever this machine is at by then.
      std::this_thread::sleep_for(length * std::fmod(0.1 + 0.618 * tries, 0.9));
      program.send(SIGTERM);
      const Outcome stopped = program.wait();
      ASSERT_TRUE(stopped.status == 143 || stopped.status == 0) << stopped.err;
    }
    const json metadata = read_checkpoint(folder_ / name).metadata;
    seen = metadata.contains("epoch_skipped_steps") && metadata["epoch_skipped_steps"] != "0";
    const Outcome resumed = felbo({"train", "--resume", folder_ / name});
    ASSERT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(read_checkpoint(folder_ / name).metadata.at("sha256"),
              read_checkpoint(run()).metadata.at("sha256"));
    for (const char* key : {"skipped_steps", "train_elbo", "grad_norm_mean", "elbo"}) {
      const std::vector<json> a = read_metrics(folder_ / name), b = read_metrics(run());
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i)
        EXPECT_EQ(a[i][key], b[i][key]) << key << " of epoch " << i + 1;
    }
  }
  EXPECT_TRUE(seen) << "no signal came within an epoch behind a step that was skipped";
}

TEST_F(NonFinite, AnotherStopReplacesWhatTheLastOneLeft) {
  felbo(train());
  const json first = report_of(run());
  EXPECT_EQ(felbo({"train", "--resume", run()}).status, 1);
  EXPECT_EQ(report_of(run()), first);  // bit for bit the same step
  write_bytes(folder_ / "good.npy", float_npy(kRows, kCols, -1, 1));
  ASSERT_EQ(felbo(train({"--force"}, "run", "good.npy")).status, 0);
  EXPECT_FALSE(std::filesystem::exists(run() / "nonfinite"));
}

TEST_F(NonFinite, AnAbsurdRateIsTheModelsToo) {
  write_bytes(folder_ / "good.npy", float_npy(kRows, kCols, -1, 1));
  Words words = train({"--lr-schedule", "stages:4@1e30"}, "run", "good.npy");
  EXPECT_EQ(felbo(words).status, 1);
  EXPECT_EQ(report_of(run())["step"], 1);  // the first whose parameters are beyond all bounds
  EXPECT_EQ(felbo_json({"replay", run()})["verdict"], "model");
}

// The first step's gradient is finite, and its rate makes infinities of it: the state before is reached
// again.
TEST_F(NonFinite, AStepThatSpoilsParametersIsFoundFromTheLastCheckpoint) {
  write_bytes(folder_ / "good.npy", float_npy(kRows, kCols, -1, 1));
  const Outcome outcome = felbo(train({"--lr-schedule", "stages:2@1e-3,2@3e38"}, "run", "good.npy"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(
      has(outcome.err, "step 1 of 9 in epoch 3 made parameters or moments NaN or infinite: adam gave "));
  const json report = report_of(run());
  EXPECT_EQ(report["step"], 18);
  EXPECT_EQ(report["first"]["op"], "adam");
  EXPECT_EQ(different_tensors(read_checkpoint(run() / "nonfinite"), read_checkpoint(run())), Words());
  EXPECT_EQ(felbo_json({"replay", run()})["verdict"], "model");
}

TEST_F(NonFinite, ReplayRefusesWhatItCannotReplay) {
  write_bytes(folder_ / "good.npy", float_npy(kRows, kCols, -1, 1));
  ASSERT_EQ(felbo(train({}, "good", "good.npy")).status, 0);
  const Outcome good = felbo({"replay", folder_ / "good"});
  EXPECT_EQ(good.status, 2);
  EXPECT_TRUE(has(good.err, "no step of this run was found to be not finite"));
  EXPECT_EQ(felbo(train()).status, 1);
  write_bytes(folder_ / "x.npy", data_with_outlier(2e22f));
  const Outcome other = felbo({"replay", run()});
  EXPECT_EQ(other.status, 2);
  EXPECT_TRUE(has(other.err, "the data are not those of the run"));
}

TEST_F(NonFinite, ClippingIsCounted) {
  write_bytes(folder_ / "good.npy", float_npy(kRows, kCols, -1, 1));
  ASSERT_EQ(felbo(train({"--clip-norm", "1e-3"}, "run", "good.npy")).status, 0);
  for (const json& line : read_metrics(run())) {
    EXPECT_EQ(line["clipped_steps"], 9);  // 270 training rows in batches of 32
    EXPECT_EQ(line["skipped_steps"], 0);
    EXPECT_GT(line["grad_norm_mean"].get<double>(), 1e-3);
  }
}

// A gradient without room for its square: where the norm is not taken, the step is, and Adam's second moment
// shows it at the end of the epoch; with the norm the step is not taken. Both name the same step and leave
// the same state.
TEST_F(NonFinite, AGradientThatIsTooLargeIsFoundWithAndWithoutTheNorm) {
  write_bytes(folder_ / "x.npy", data_with_outlier(3e18f));
  const Outcome without = felbo(train()), with = felbo(train({"--track-norm", "true"}, "norm"));
  EXPECT_EQ(without.status, 1);
  EXPECT_EQ(with.status, 1);
  EXPECT_TRUE(has(without.err, "made parameters or moments NaN or infinite: guard_step gave "));
  EXPECT_TRUE(has(with.err, "whose square Adam's second moment cannot hold: guard_step gave "));
  const json a = report_of(run()), b = report_of(folder_ / "norm");
  EXPECT_EQ(a["step"], b["step"]);
  EXPECT_EQ(a["rows"], b["rows"]);
  EXPECT_EQ(a["first"], b["first"]);
  EXPECT_TRUE(a["grad_norm"].is_null());
  EXPECT_GT(b["grad_norm"].get<double>(), 1e19);
  EXPECT_EQ(
      different_tensors(read_checkpoint(run() / "nonfinite"), read_checkpoint(folder_ / "norm/nonfinite")),
      Words());
  EXPECT_EQ(felbo_json({"replay", run()})["verdict"], "model");
}

}  // namespace
}  // namespace felbo::cli
