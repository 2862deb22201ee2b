// RUN/config.toml runs the run again; the command line wins; a bad file is refused before anything is
// written.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class Config : public ::testing::Test {
 protected:
  void SetUp() override {
    write_bytes(data(), picture_npy(300, 4, 3));
    write_bytes(matrix(), float_npy(300, 12, -1, 1));
  }
  std::string data() const { return folder_ / "x.npy"; }
  std::string matrix() const { return folder_ / "m.npy"; }
  std::string run(const std::string& name) const { return folder_ / name; }
  std::string config(const std::string& name) const { return folder_ / name / "config.toml"; }

  Words small() const {
    return {"--hidden", "16", "--latent", "3", "--epochs", "2", "--batch", "32", "--threads", "1"};
  }

  /// Trains with `flags`, then from that run's config.toml alone; expects one and the same run.
  void expect_runs_again(const Words& flags) const {
    felbo_json(Words{"train", "--out", run("a"), "--force"} + flags);
    felbo_json({"train", "--config", config("a"), "--out", run("b"), "--force"});
    expect_same_checkpoint(run("a"), run("b"));
    EXPECT_EQ(read_metrics(run("a")), read_metrics(run("b")));
    EXPECT_EQ(read_bytes(config("a")), read_bytes(config("b")));
  }

  /// Expects the file to be refused with status 2, its name and every one of `words`, and nothing written.
  void bad_file(const std::string& toml, Words words) const {
    words.push_back("bad.toml");
    refused(toml, words);
  }

  /// The same without the file's name: what the file says is read, but does not fit together.
  void refused(const std::string& toml, const Words& words) const {
    const std::string file = folder_ / "bad.toml";
    write_bytes(file, toml);
    const auto before = snapshot(folder_.path());
    const Outcome outcome = felbo({"train", "--config", file, "--data", data(), "--out", run("never")});
    EXPECT_EQ(outcome.status, 2) << toml << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& word : words) EXPECT_TRUE(has(outcome.err, word));
    EXPECT_TRUE(before == snapshot(folder_.path())) << "something was written for " << toml;
  }

  TempFolder folder_;
};

TEST_F(Config, RunsTheRunAgain) {
  expect_runs_again(small() + Words{"--data", data(), "--binarize", "dynamic"});
  // Numbers whose digits a rounded configuration would lose, and the largest seed.
  expect_runs_again(small() + Words{"--data",
                                    matrix(),
                                    "--likelihood",
                                    "gaussian",
                                    "--variance",
                                    "per-element",
                                    "--lr",
                                    "0.00123456789012345",
                                    "--beta",
                                    "0.123456789",
                                    "--adam-beta1",
                                    "0.87654321",
                                    "--adam-beta2",
                                    "0.98765432",
                                    "--adam-epsilon",
                                    "1.2345678e-7",
                                    "--warmup-epochs",
                                    "1.2345678",
                                    "--valid-fraction",
                                    "0.123456789",
                                    "--seed",
                                    "18446744073709551615"});
  expect_runs_again(small() + Words{"--data", matrix(), "--likelihood", "gaussian", "--variance",
                                    "fixed:0.25", "--lr-schedule", "cosine", "--log-var-clamp", "-7,7",
                                    "--samples", "2"});
}

TEST_F(Config, RunsARunAgainWhoseScheduleHasRatesOfItsOwn) {
  expect_runs_again({"--data", data(), "--binarize", "threshold", "--hidden", "8,4", "--latent", "2",
                     "--lr-schedule", "stages:1@1e-3,2@1e-4"});
  EXPECT_EQ(read_metrics(run("b")).size(), 3u);
}

TEST_F(Config, HoldsDefaultsToo) {
  felbo_json({"train", "--data", matrix(), "--likelihood", "gaussian", "--hidden", "none", "--latent", "2",
              "--out", run("a")});
  const std::string text = read_bytes(config("a"));
  for (const char* line : {"epochs = 20", "lr = 0.001", "batch = 128", "seed = 0", "variance = 'learned'",
                           "hidden = 'none'", "adam-epsilon = 1e-08"})
    EXPECT_TRUE(has(text, line));
  EXPECT_EQ(read_checkpoint(run("a")).metadata.at("config"), text);
}

TEST_F(Config, CommandLineWins) {
  felbo_json(Words{"train", "--data", data(), "--binarize", "dynamic", "--out", run("a")} + small());
  const json b = felbo_json(
      {"train", "--config", config("a"), "--out", run("b"), "--latent", "5", "--epochs", "3", "--seed", "4"});
  EXPECT_EQ(b["epochs"], 3);
  for (const char* line : {"latent = 5", "epochs = 3", "seed = 4", "batch = 32"})
    EXPECT_TRUE(has(read_bytes(config("b")), line));
  EXPECT_TRUE(has(read_checkpoint(run("b")).tensors.at("decoder.0.weight"), "[5,16]"));
}

/// What the file says of a flag that the command line's choice leaves no room for is dropped; what still
/// means something is kept.
TEST_F(Config, CommandLineWinsOverWhatHangsTogetherWithIt) {
  write_bytes(folder_ / "c.toml",
              "hidden = 4\nlatent = 2\nlr = 2e-3\nepochs = 5\nlikelihood = 'gaussian'\nvariance = 'unit'\n");
  const auto trained = [&](const Words& flags) {
    felbo_json(
        Words{"train", "--config", folder_ / "c.toml", "--data", data(), "--out", run("a"), "--force"} +
        flags);
    return read_bytes(config("a"));
  };
  const std::string own_rates = trained({"--lr-schedule", "stages:2@1e-3"});
  EXPECT_TRUE(has(own_rates, "epochs = 2\n"));
  EXPECT_FALSE(has(own_rates, "\nlr = "));
  const std::string stages = trained({"--lr-schedule", "stages:2"});
  EXPECT_TRUE(has(stages, "epochs = 4\n"));  // 1 + 3
  EXPECT_TRUE(has(stages, "\nlr = 0.002\n"));
  const std::string cosine = trained({"--lr-schedule", "cosine"});
  EXPECT_TRUE(has(cosine, "epochs = 5\n"));
  EXPECT_TRUE(has(cosine, "\nlr = 0.002\n"));
  const std::string bernoulli = trained({"--likelihood", "bernoulli", "--binarize", "dynamic"});
  EXPECT_FALSE(has(bernoulli, "variance"));
  EXPECT_TRUE(has(trained({"--likelihood", "gaussian"}), "variance = 'unit'"));
}

/// What is given together, in one place, must still fit together.
TEST_F(Config, ContradictionsOfTheCommandLineOrOfTheFileAreRefused) {
  refused("lr-schedule = 'stages:2@1e-3'\nlr = 0.1\n", {"--lr 0.1", "rates of its own"});
  refused("lr-schedule = 'stages:2@1e-3'\nepochs = 5\n", {"5"});
  write_bytes(folder_ / "c.toml", "epochs = 5\nlr = 0.1\n");
  const Words common{"train", "--config", folder_ / "c.toml", "--data", data(), "--out", run("never")};
  EXPECT_EQ(felbo(common + Words{"--lr-schedule", "stages:2@1e-3", "--lr", "1"}).status, 2);
  EXPECT_EQ(felbo(common + Words{"--lr-schedule", "stages:2", "--epochs", "5"}).status, 2);
}

/// config.toml always holds a fraction: where the set brings its own part, only one that the user asks for is
/// refused.
TEST_F(Config, FractionOfTheFileIsNoRequest) {
  expect_runs_again(
      small() + Words{"--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--variance", "unit"});
  EXPECT_TRUE(has(read_bytes(config("b")), "valid-fraction = "));
}

TEST_F(Config, ReadsNumbersListsAndTexts) {
  write_bytes(folder_ / "c.toml",
              "hidden = [8, 4]\nlatent = 3\nlr = 2e-3\nbinarize = \"dynamic\"\nepochs = 1\n");
  felbo_json({"train", "--config", folder_ / "c.toml", "--data", data(), "--out", run("a")});
  EXPECT_TRUE(has(read_bytes(config("a")), "hidden = '8,4'"));
  EXPECT_TRUE(has(read_bytes(config("a")), "lr = 0.002"));
}

TEST_F(Config, PathWithQuotesAndBlanksSurvives) {
  const std::string odd = folder_ / "it's \"odd\" \\ 1.npy";
  write_bytes(odd, picture_npy(300, 4, 3));
  expect_runs_again(small() + Words{"--data", odd, "--binarize", "dynamic"});
}

TEST_F(Config, BadFileIsRefused) {
  bad_file("latent = 3\nlatnet = 4\n", {"line 2", "latnet"});
  bad_file("help = 1\n", {"line 1", "help"});
  bad_file("out = 'x'\n", {"line 1", "out"});
  bad_file("[model]\nlatent = 3\n", {"line 1", "model"});
  bad_file("latent = 'many'\n", {"line 1", "latent", "many"});
  bad_file("epochs = 2\nlatent = 3.5\n", {"line 2", "latent", "3.5"});
  bad_file("latent = true\n", {"line 1", "latent", "number"});
  bad_file("hidden = [[8], [4]]\n", {"line 1", "hidden"});
  bad_file("lr = 2021-01-01\n", {"line 1", "lr"});
  bad_file("seed = -1\n", {"line 1", "seed"});
  bad_file("latent = 3\nlatent = 4\n", {"line 2", "latent"});
  bad_file("latent = 3\nthis is no TOML\n", {"line 2", "not TOML"});
  bad_file("latent = 'unended\n", {"line 1", "not TOML"});
  bad_file(std::string("\x93NUMPY\1\0", 8), {"not TOML"});
}

TEST_F(Config, FileThatCannotBeReadIsRefused) {
  for (const std::string& file : {run("none.toml"), folder_.path().string()}) {
    const auto before = snapshot(folder_.path());
    const Outcome outcome = felbo({"train", "--config", file, "--data", data(), "--out", run("never")});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_TRUE(has(outcome.err, file));
    EXPECT_TRUE(has(outcome.err, "cannot be read"));
    EXPECT_TRUE(before == snapshot(folder_.path()));
  }
}

}  // namespace
}  // namespace felbo::cli
