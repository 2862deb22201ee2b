// A disk that has no room (here: a limit on the size of files): the program fails with status 1 and a
// message, and what stood before still stands.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class Disk : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(data(), float_npy(300, 12, -1, 1)); }
  std::string data() const { return folder_ / "x.npy"; }
  std::string run() const { return folder_ / "run"; }
  Words train(int epochs) const {
    return {"train",    "--data", data(),     "--out", run(),      "--likelihood",        "gaussian",
            "--hidden", "64",     "--latent", "3",     "--epochs", std::to_string(epochs)};
  }

  TempFolder folder_;
};

// The checkpoint takes about 30 kB, config.toml and a line of metrics less than 1 kB.
constexpr std::uint64_t kTooSmall = 8000;

TEST_F(Disk, NoRoomForTheFirstCheckpoint) {
  const Outcome outcome = felbo(train(2), {.largest_file = kTooSmall});
  EXPECT_EQ(outcome.status, 1) << "signal " << outcome.signal << "\n" << outcome.err;
  EXPECT_EQ(outcome.out, "");
  for (const char* word : {"checkpoint.safetensors", "bytes were written", "File too large"})
    EXPECT_TRUE(has(outcome.err, word));
  EXPECT_FALSE(std::filesystem::exists(run())) << "a run that could not begin left something";
}

TEST_F(Disk, AnEarlierCheckpointStaysWhole) {
  const json trained = felbo_json(train(2));
  const std::string before = read_bytes(folder_ / "run/checkpoint.safetensors");
  ASSERT_GT(before.size(), kTooSmall);
  const Outcome outcome = felbo({"train", "--resume", run(), "--epochs", "4"}, {.largest_file = kTooSmall});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "The old file is untouched"));
  EXPECT_EQ(read_bytes(folder_ / "run/checkpoint.safetensors"), before);
  EXPECT_EQ(felbo_json({"evaluate", run()})["elbo"], trained["elbo"]);

  // With room again, the run goes on as if nothing had happened.
  felbo_json({"train", "--resume", run(), "--epochs", "4"});
  const std::vector<json> resumed = read_metrics(run());
  const Checkpoint goes_on = read_checkpoint(run());
  felbo_json(train(4) + Words{"--force"});
  EXPECT_EQ(resumed, read_metrics(run()));
  EXPECT_EQ(different_tensors(goes_on, read_checkpoint(run())), Words());
}

/// So small a model that the metrics of 30 epochs are the run's largest file.
TEST_F(Disk, NoRoomForMetrics) {
  const auto train = [&](const std::string& name, int epochs) {
    felbo_json({"train", "--data", data(), "--out", folder_ / name, "--likelihood", "gaussian", "--hidden",
                "none", "--latent", "1", "--epochs", std::to_string(epochs)});
  };
  train("run", 30);
  const std::size_t size = read_bytes(folder_ / "run/metrics.jsonl").size();
  const std::string checkpoint = read_bytes(folder_ / "run/checkpoint.safetensors");
  ASSERT_GT(size, checkpoint.size());
  const Words resume{"train", "--resume", run(), "--epochs", "32"};
  const Outcome outcome = felbo(resume, {.largest_file = size + 10});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  for (const char* words : {"metrics.jsonl", "cannot write", "File too large"})
    EXPECT_TRUE(has(outcome.err, words));
  EXPECT_EQ(read_bytes(folder_ / "run/checkpoint.safetensors"), checkpoint);

  // With room again, the run goes on as if nothing had happened.
  felbo_json(resume);
  train("straight", 32);
  expect_same_checkpoint(run(), folder_ / "straight");
  EXPECT_EQ(read_metrics(run()), read_metrics(folder_ / "straight"));
}

TEST_F(Disk, NoRoomForAnArrayLeavesTheOldOne) {
  felbo_json(train(1));
  const std::string out = folder_ / "z.npy";
  write_bytes(out, "old");
  const Outcome outcome =
      felbo({"sample", run(), "--count", "2000", "--out", out}, {.largest_file = kTooSmall});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_TRUE(has(outcome.err, out));
  EXPECT_EQ(read_bytes(out), "old");
  EXPECT_EQ(folder_.names(), (Words{"run", "x.npy", "z.npy"}));
}

}  // namespace
}  // namespace felbo::cli
