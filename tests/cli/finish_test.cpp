// How a training ends that went wrong on its way, or whose pictures cannot be had.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

const Words kSmall{"--hidden", "none", "--latent", "2", "--threads", "1"};

/// Rates that no training survives.
class Diverging : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(folder_ / "x.npy", float_npy(300, 12, -1, 1)); }
  Outcome train(const std::string& stages) const {
    return felbo(Words{"train", "--data", folder_ / "x.npy", "--out", folder_ / "run", "--likelihood",
                       "gaussian", "--variance", "unit", "--lr-schedule", stages} +
                 kSmall);
  }
  TempFolder folder_;
};

void expect_advice(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 1) << "signal " << outcome.signal << "\n" << outcome.err;
  EXPECT_EQ(outcome.out, "");
  for (const char* words : {"diverged", "--lr", "--warmup-epochs", "--log-var-clamp"})
    EXPECT_TRUE(has(outcome.err, words));
  EXPECT_FALSE(has(outcome.err, "-nan"));
}

TEST_F(Diverging, InTheFirstEpochLeavesTheRunAsItBegan) {
  const Outcome outcome = train("stages:3@1e30");
  expect_advice(outcome);
  EXPECT_TRUE(has(outcome.err, "in epoch 1 is"));
  EXPECT_EQ(read_checkpoint(folder_ / "run").metadata.at("epoch"), "0");
  EXPECT_TRUE(felbo_json({"evaluate", folder_ / "run"})["elbo"].is_number());
}

TEST_F(Diverging, LaterLeavesTheLastGoodCheckpoint) {
  const Outcome outcome = train("stages:2@1e-3,3@1e30");
  expect_advice(outcome);
  EXPECT_TRUE(has(outcome.err, "The last good checkpoint stands: " + (folder_ / "run/checkpoint").string()));
  EXPECT_EQ(read_checkpoint(folder_ / "run").metadata.at("epoch"), "2");
  EXPECT_TRUE(felbo_json({"evaluate", folder_ / "run"})["elbo"].is_number());
}

/// Pictures too wide to be drawn are warned of once, before the training; the run is a whole one without.
TEST(Pictures, ThatCannotBeDrawnAreLeftOut) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", test::npy("|u1", "(20, 1, 20000)", random_bytes(20 * 20000)));
  const Outcome outcome = felbo(Words{"train", "--data", folder / "x.npy", "--out", folder / "run",
                                      "--binarize", "dynamic", "--epochs", "1", "--json"} +
                                kSmall);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.object()["elbo"].is_number());
  const std::size_t warning = outcome.err.find("no pictures will be drawn");
  ASSERT_NE(warning, std::string::npos) << outcome.err;
  EXPECT_LT(warning, outcome.err.find("epoch 1/1"));
  EXPECT_EQ(outcome.err.find("picture", outcome.err.find("epoch 1/1")), std::string::npos) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "1 x 20000 pixels"));
  EXPECT_TRUE(has(outcome.err, "16384 along a side"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run/samples.png"));
  felbo_json({"sample", folder / "run", "--count", "2", "--out", folder / "z.npy"});

  const Outcome picture = felbo({"sample", folder / "run", "--count", "2", "--out", folder / "z.png"});
  EXPECT_EQ(picture.status, 2);
  EXPECT_TRUE(has(picture.err, "at most 16384 along a side"));
}

TEST(Pictures, ThatCannotBeWrittenDoNotFailTheRun) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  felbo_json(Words{"train", "--data", folder / "x.npy", "--out", folder / "run", "--binarize", "dynamic",
                   "--epochs", "1"} +
             kSmall);
  std::filesystem::remove(folder / "run/samples.png");
  std::filesystem::create_directory(folder / "run/samples.png");
  const Outcome outcome = felbo({"train", "--resume", folder / "run", "--epochs", "2", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.object()["epochs"], 2);
  EXPECT_TRUE(has(outcome.err, "the run is complete, but not its pictures"));
  EXPECT_TRUE(has(outcome.err, "samples.png': it is a folder"));
}

}  // namespace
}  // namespace felbo::cli
