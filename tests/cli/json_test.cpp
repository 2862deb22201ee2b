// What scripts read: one JSON object on standard output, logs on standard error, the exit status.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

const Words kSmall{"--hidden", "16", "--latent", "3", "--epochs", "2", "--batch", "32", "--threads", "1"};

void expect_numbers(const json& object, const Words& keys) {
  for (const std::string& key : keys) {
    ASSERT_TRUE(object.contains(key)) << key << " is not in " << object;
    EXPECT_TRUE(object[key].is_number()) << key << " is no number in " << object;
  }
}

TEST(Json, TrainAndEvaluateGiveTheKeysThatScriptsRead) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  const std::string data = folder / "x.npy", run = folder / "run";

  const Outcome trained =
      felbo(Words{"train", "--data", data, "--out", run, "--binarize", "dynamic", "--json"} + kSmall);
  ASSERT_EQ(trained.status, 0) << trained.err;
  const json train = trained.object();
  expect_numbers(train, {"elbo", "log_px_given_z", "kl", "epochs", "samples_per_second", "seconds"});
  EXPECT_EQ(train["epochs"], 2);
  EXPECT_EQ(train["device"], "cpu (1 threads)");
  EXPECT_EQ(train["precision"], "fp32");
  EXPECT_EQ(train["run"], run);
  EXPECT_FALSE(train.contains("exact_log_px"));  // not known for these data
  // The terms are means over the same data, added in double: rounding alone separates them.
  EXPECT_NEAR(train["elbo"].get<double>(), train["log_px_given_z"].get<double>() - train["kl"].get<double>(),
              1e-9);
  EXPECT_TRUE(has(trained.err, "epoch 2/2"));
  EXPECT_TRUE(has(trained.err, "nats a datum"));

  const json evaluated = felbo_json({"evaluate", run, "--samples", "5", "--threads", "1"});
  expect_numbers(evaluated, {"elbo", "elbo_stderr", "log_px_given_z", "kl", "log_px", "log_px_stderr",
                             "samples", "count"});
  EXPECT_EQ(evaluated["samples"], 5);
  EXPECT_EQ(evaluated["count"], 30);  // a tenth of the 300 rows is held out
  EXPECT_EQ(evaluated["split"], "valid");
  // One sample of the run's own seed is what each epoch was judged by.
  EXPECT_EQ(felbo_json({"evaluate", run, "--threads", "1"})["elbo"], train["elbo"]);
  EXPECT_NE(felbo_json({"evaluate", run, "--seed", "1", "--threads", "1"})["elbo"], train["elbo"]);
}

TEST(Json, WithoutTheFlagTheSameFiguresArePrintedForPeople) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", float_npy(300, 12, -1, 1));
  const Outcome trained =
      felbo(Words{"train", "--data", folder / "x.npy", "--out", folder / "run", "--likelihood", "gaussian"} +
            kSmall);
  ASSERT_EQ(trained.status, 0) << trained.err;
  for (const char* word : {"ELBO", "log p(x|z)", "KL", "nats a datum", "run in"})
    EXPECT_TRUE(has(trained.out, word));
}

TEST(Json, ExactValueStandsBesideTheBoundWhereItIsKnown) {
  const TempFolder folder;
  const json train = felbo_json(Words{"train", "--data", "builtin:linear-gaussian", "--out", folder / "run",
                                      "--likelihood", "gaussian"} +
                                kSmall);
  expect_numbers(train, {"exact_log_px", "gap", "gap_stderr"});
  EXPECT_NEAR(train["gap"].get<double>(), train["exact_log_px"].get<double>() - train["elbo"].get<double>(),
              1e-9);
}

TEST(Json, BenchListsRatesOfWhatItTimed) {
  const json bench =
      felbo_json({"bench", "kernels", "--filter", "adam", "--repetitions", "3", "--threads", "1"});
  EXPECT_EQ(bench["device"], "cpu (1 threads)");
  EXPECT_EQ(bench["tool"], "felbo");
  EXPECT_TRUE(bench["version"].is_string());
  EXPECT_FALSE(bench["machine"].get<std::string>().empty());
  EXPECT_GT(bench["peak_memory_mb"].get<double>(), 1.0);
  ASSERT_TRUE(bench["results"].is_array());
  int found = 0;
  for (const json& row : bench["results"]) {
    for (const char* key :
         {"name", "params", "seconds", "bytes", "flops", "gb_per_s", "gflop_per_s", "roofline"})
      EXPECT_TRUE(row.contains(key)) << key << " is not in " << row;
    const double seconds = row["seconds"].get<double>();
    EXPECT_GT(seconds, 0.0);
    if (row["params"] != "P:16384") continue;
    ++found;
    // 28 bytes a parameter, and 2 of its copy in bfloat16, from a rate and a time: the medians of three runs
    // are of the same run.
    EXPECT_TRUE(row["name"] == "adam/step" || row["name"] == "adam/step_bf16") << row;
    EXPECT_NEAR(row["bytes"].get<double>(), (row["name"] == "adam/step" ? 28.0 : 30.0) * 16384, 1e-3) << row;
  }
  EXPECT_EQ(found, 2) << bench;
}

TEST(Json, CheckListsWhatItComparedAndHowFarOffItWas) {
  const json check =
      felbo_json({"check", "--filter", "^adam|^gather/bytes", "--threads", "1", "--device", "cpu"});
  EXPECT_EQ(check["device"], "cpu (1 threads)");
  expect_numbers(check, {"compared", "failed", "skipped", "input_seed", "noise_seed", "seconds"});
  EXPECT_EQ(check["failed"], 0);
  EXPECT_GT(check["skipped"], 30);
  ASSERT_TRUE(check["results"].is_array());
  ASSERT_EQ(check["results"].size(), 5u);
  std::int64_t compared = 0;
  for (const json& row : check["results"]) {
    expect_numbers(row, {"cases", "compared", "failed", "worst"});
    EXPECT_TRUE(row["name"].is_string());
    EXPECT_EQ(row["ok"], true) << row;
    EXPECT_LE(row["worst"].get<double>(), 1.0) << row;
    EXPECT_EQ(row["exact"], row["name"].get<std::string>().starts_with("gather")) << row;
    EXPECT_FALSE(row.contains("failure"));
    compared += row["compared"].get<std::int64_t>();
  }
  EXPECT_EQ(check["compared"], compared);
}

TEST(Json, CheckPrintsATableForPeople) {
  const Outcome outcome = felbo({"check", "--filter", "add_counts", "--threads", "1", "--device", "cpu"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  for (const char* word : {"cpu (1 threads); inputs from seed 1, noise from seed ", "error/tolerance",
                           "add_counts/totals", "exact  ok", "1 check, 5 elements compared, 0 failed; "})
    EXPECT_TRUE(has(outcome.out, word)) << outcome.out;
}

TEST(Json, InfoNamesVersionAndLibraries) {
  const json info = felbo_json({"info"});
  for (const char* key : {"version", "compiler", "arch", "cuda", "devices", "libraries"})
    EXPECT_TRUE(info.contains(key)) << key;
  EXPECT_TRUE(info["libraries"].contains("onednn"));
}

TEST(Json, PictureCommandsSayWhatTheyWrote) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  const std::string run = folder / "run", samples = folder / "s.png", codes = folder / "z.npy";
  felbo_json(Words{"train", "--data", folder / "x.npy", "--out", run, "--binarize", "dynamic"} + kSmall);
  for (const char* picture : {"samples.png", "reconstructions.png"})
    EXPECT_TRUE(read_bytes(std::filesystem::path(run) / picture).starts_with("\x89PNG\r\n\x1a\n"));

  EXPECT_EQ(felbo_json({"sample", run, "--count", "7", "--out", samples}),
            (json{{"out", samples}, {"count", 7}}));
  EXPECT_TRUE(read_bytes(samples).starts_with("\x89PNG\r\n\x1a\n"));
  EXPECT_EQ(felbo_json({"encode", run, "--out", codes}), (json{{"out", codes}, {"count", 30}}));
}

/// A path is any bytes, JSON is UTF-8: what cannot be said in it becomes U+FFFD, and the work is not lost.
TEST(Json, PathsThatAreNotUtf8ArePrintedAllTheSame) {
  const TempFolder folder;
  const std::string run = folder / "r\xff", out = folder / "b\xff.npy";
  const json train = felbo_json(
      Words{"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--out", run} + kSmall);
  EXPECT_EQ(train["run"], (folder / "r\uFFFD").string());
  EXPECT_EQ(felbo_json({"sample", run, "--count", "3", "--out", out}),
            (json{{"out", (folder / "b\uFFFD.npy").string()}, {"count", 3}}));
  EXPECT_TRUE(std::filesystem::exists(out));
}

TEST(Json, HelpAndVersionAreSuccesses) {
  for (const Words& words :
       {Words{"--help"}, Words{"train", "--help"}, Words{"evaluate", "--help"}, Words{"sample", "--help"},
        Words{"bench", "--help"}, Words{"check", "--help"}, Words{"--version"}}) {
    const Outcome outcome = felbo(words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_FALSE(outcome.out.empty());
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Json, ResultThatCannotBePrintedIsAFailure) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "NOT CHECKED: there is no /dev/full";
  for (const Words& words : {Words{"info", "--json"}, Words{"info"}, Words{"--help"}, Words{"--version"},
                             Words{"train", "--help"}}) {
    const Outcome outcome = felbo(words, {.out_to = "/dev/full"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(has(outcome.err, "cannot write to standard output"));
  }
}

}  // namespace
}  // namespace felbo::cli
