#include "host/run/run_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/run/atomic_file.h"
#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;
using Names = std::vector<std::string>;

const char* const kFiles[] = {"config.toml",      "metrics.jsonl", "checkpoint.safetensors",
                              "best.safetensors", "samples.png",   "reconstructions.png"};

TEST(RunFolder, NamesItsFiles) {
  const RunFiles files = run_files("run");
  EXPECT_EQ(files.config, "run/config.toml");
  EXPECT_EQ(files.metrics, "run/metrics.jsonl");
  EXPECT_EQ(files.checkpoint, "run/checkpoint.safetensors");
  EXPECT_EQ(files.best, "run/best.safetensors");
  EXPECT_EQ(files.samples, "run/samples.png");
  EXPECT_EQ(files.reconstructions, "run/reconstructions.png");
}

TEST(RunFolder, ANewRunMayTakeAFreshOrAnEmptyFolderOrOneOfOtherThings) {
  const TempFolder folder;
  EXPECT_NO_THROW(check_new_run(folder / "absent", false));
  EXPECT_EQ(folder.names(), Names{});  // nothing is written
  EXPECT_NO_THROW(check_new_run(folder.path(), false));
  write_bytes(folder / "notes.txt", "mine");
  EXPECT_NO_THROW(check_new_run(folder.path(), false));
}

TEST(RunFolder, AnotherRunIsRefusedUnlessForced) {
  for (const char* name : kFiles) {
    const TempFolder folder;
    write_bytes(folder / name, "");
    const std::string message =
        message_of<std::invalid_argument>([&] { check_new_run(folder.path(), false); });
    EXPECT_TRUE(has(message, std::string("holds another run (") + name + ")"));
    EXPECT_TRUE(has(message, "--force"));
    EXPECT_NO_THROW(check_new_run(folder.path(), true));
    EXPECT_EQ(folder.names(), Names{name});
  }
}

TEST(RunFolder, WhatIsNoFolderIsRefusedEvenIfForced) {
  const TempFolder folder;
  write_bytes(folder / "file", "content");
  for (const bool force : {false, true}) {
    EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { check_new_run(folder / "file", force); }),
                    "exists and is not a folder"));
    EXPECT_TRUE(
        has(message_of<std::invalid_argument>([&] { check_new_run("", force); }), "--out RUN is missing"));
  }
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { create_run(folder / "file" / "run"); }),
                  "cannot make the folder"));
  EXPECT_EQ(read_bytes(folder / "file"), "content");
}

TEST(RunFolder, CreatingReplacesTheOldRunAndNothingElse) {
  const TempFolder folder;
  const std::filesystem::path run = folder / "a" / "deep" / "run";
  create_run(run);
  EXPECT_TRUE(std::filesystem::is_directory(run));
  for (const char* name : kFiles) write_bytes(run / name, "old");
  write_bytes(run / "notes.txt", "mine");
  create_run(run);
  for (const char* name : kFiles) EXPECT_FALSE(std::filesystem::exists(run / name)) << name;
  EXPECT_EQ(read_bytes(run / "notes.txt"), "mine");
  EXPECT_NO_THROW(create_run(folder.path().string() + "/slash/"));
}

/// The number of a process that has ended.
std::string ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return std::to_string(child);
}

TEST(RunFolder, LeftoversOfProcessesThatEndedAreRemoved) {
  const std::string ended = ended_process(), own = std::to_string(::getpid());
  const Names removed{"checkpoint.safetensors.tmp-" + ended + "-0",
                      "config.toml.tmp-" + ended + "-17",
                      "metrics.jsonl.tmp-" + own + "-0",
                      "samples.png.tmp-" + ended + "-1",
                      "best.safetensors.tmp-" + ended + "-0",
                      "checkpoint-00000012.safetensors.tmp-" + ended + "-0"};
  const Names kept{"checkpoint.safetensors",
                   "checkpoint.safetensors.tmp-" + ended,
                   "checkpoint.safetensors.tmp-" + ended + "-",
                   "checkpoint.safetensors.tmp-" + ended + "-0x",
                   "checkpoint.safetensors.tmp-" + ended + "-0.old",
                   "checkpoint.safetensors.tmp-0-0",
                   "checkpoint.safetensors.tmp-1-0",  // process 1 always runs
                   "checkpoint.safetensors.tmp--" + ended + "-0",
                   "checkpoint.safetensors.tmp-99999999999999999999-0",
                   "checkpoint.safetensors.tmp-mine",
                   "notes.txt.tmp-" + ended + "-0"};
  const TempFolder folder;
  for (const Names& names : {removed, kept}) {
    for (const std::string& name : names) write_bytes(folder / name, name);
  }
  remove_leftovers(folder.path());
  Names want = kept;
  std::sort(want.begin(), want.end());
  EXPECT_EQ(folder.names(), want);
  EXPECT_NO_THROW(remove_leftovers(folder / "absent"));
}

TEST(RunFolder, CreatingRemovesLeftovers) {
  const TempFolder folder;
  write_bytes(folder / ("checkpoint.safetensors.tmp-" + ended_process() + "-0"), "half");
  create_run(folder.path());
  EXPECT_EQ(folder.names(), Names{});
}

TEST(RunFolder, KeepsTheLastCheckpointsUnderTheirSteps) {
  const TempFolder folder;
  for (const int step : {7, 14, 21, 28}) {
    write_bytes(folder / "checkpoint.safetensors", std::to_string(step));
    keep_checkpoint(folder.path(), step, 3);
  }
  EXPECT_EQ(folder.names(), (Names{"checkpoint-00000014.safetensors", "checkpoint-00000021.safetensors",
                                   "checkpoint-00000028.safetensors", "checkpoint.safetensors"}));
  EXPECT_EQ(read_bytes(folder / "checkpoint-00000014.safetensors"), "14");
  EXPECT_EQ(kept_steps(folder.path()), (std::vector<std::int64_t>{14, 21, 28}));

  // A run that went on from step 21 has not yet taken step 28.
  write_bytes(folder / "checkpoint.safetensors", "again");
  keep_checkpoint(folder.path(), 21, 2);
  EXPECT_EQ(kept_steps(folder.path()), (std::vector<std::int64_t>{14, 21}));
  EXPECT_EQ(read_bytes(folder / "checkpoint-00000021.safetensors"), "again");
  keep_checkpoint(folder.path(), 30, 1);
  EXPECT_EQ(folder.names(), Names{"checkpoint.safetensors"});
}

TEST(RunFolder, OtherFilesAreNoKeptCheckpoints) {
  const TempFolder folder;
  const Names others{"checkpoint--1.safetensors", "checkpoint-.safetensors", "checkpoint-1x.safetensors",
                     "checkpoint-9.json", "checkpoint.safetensors"};
  for (const std::string& name : others) write_bytes(folder / name, "mine");
  EXPECT_EQ(kept_steps(folder.path()), std::vector<std::int64_t>());
  keep_checkpoint(folder.path(), 1, 1);
  EXPECT_EQ(folder.names(), others);
}

// The second name keeps the bytes when the first goes on to others.
TEST(RunFolder, ALinkIsTheFileOfItsTime) {
  const TempFolder folder;
  write_file_atomically(folder / "a", "one");
  link_file(folder / "a", folder / "b");
  link_file(folder / "a", folder / "b");  // the same file already
  write_file_atomically(folder / "a", "two");
  EXPECT_EQ(read_bytes(folder / "b"), "one");
  link_file(folder / "a", folder / "b");
  EXPECT_EQ(read_bytes(folder / "b"), "two");
  EXPECT_EQ(folder.names(), (Names{"a", "b"}));
  EXPECT_TRUE(has(message_of<std::runtime_error>([&] { link_file(folder / "none", folder / "b"); }),
                  "b: cannot write: No such file"));
  EXPECT_EQ(read_bytes(folder / "b"), "two");
}

TEST(RunMetrics, LinesAreAppendedWhole) {
  const TempFolder folder;
  append_metrics(folder / "metrics", R"({"epoch":1})");
  append_metrics(folder / "metrics", R"({"epoch":2})");
  EXPECT_EQ(read_bytes(folder / "metrics"), "{\"epoch\":1}\n{\"epoch\":2}\n");
}

TEST(RunMetrics, AFailedWriteIsTheMachinesFailure) {
  const TempFolder folder;
  EXPECT_TRUE(has(message_of<std::runtime_error>([&] { append_metrics(folder / "absent" / "m", "{}"); }),
                  "cannot write: No such file or directory"));
  if (!std::filesystem::exists("/dev/full"))
    GTEST_SKIP() << "there is no /dev/full here: a full disk was not tried";
  EXPECT_TRUE(has(message_of<std::runtime_error>([] { append_metrics("/dev/full", "{}"); }),
                  "/dev/full: cannot write: No space left on device"));
}

std::string after_truncation(const std::string& before, int epoch) {
  const TempFolder folder;
  write_bytes(folder / "metrics", before);
  truncate_metrics(folder / "metrics", epoch);
  EXPECT_EQ(folder.names(), Names{"metrics"});
  return read_bytes(folder / "metrics");
}

TEST(RunMetrics, TruncationKeepsTheEpochsOfTheCheckpoint) {
  const std::string one = "{\"elbo\":-1.5,\"epoch\":1}\n", two = "{\"epoch\":2}\n", three = "{\"epoch\":3}\n";
  EXPECT_EQ(after_truncation(one + two + three, 2), one + two);
  EXPECT_EQ(after_truncation(one + two + three, 3), one + two + three);
  EXPECT_EQ(after_truncation(one + two + three, 9), one + two + three);
  EXPECT_EQ(after_truncation(one + two + three, 0), "");
  EXPECT_EQ(after_truncation("", 5), "");
  // An interrupted write leaves a line without its end, whole by luck or not.
  EXPECT_EQ(after_truncation(one + "{\"epo", 5), one);
  EXPECT_EQ(after_truncation(one + "{\"epoch\":2}", 5), one);
}

TEST(RunMetrics, TruncationOfNothingMakesAnEmptyFile) {
  const TempFolder folder;
  truncate_metrics(folder / "metrics", 3);
  EXPECT_EQ(read_bytes(folder / "metrics"), "");
}

TEST(RunMetrics, TruncationRefusesLinesThatAreNotMetricsAndLeavesTheFile) {
  for (const char* bad : {"not json", "[1]", "{}", "{\"epoch\":\"2\"}", "{\"epoch\":1.5}", ""}) {
    const TempFolder folder;
    const std::string before = std::string("{\"epoch\":1}\n") + bad + "\n{\"epoch\":3}\n";
    write_bytes(folder / "metrics", before);
    EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { truncate_metrics(folder / "metrics", 3); }),
                    "metrics, line 2: not a line of metrics"))
        << bad;
    EXPECT_EQ(read_bytes(folder / "metrics"), before);
  }
}

}  // namespace
}  // namespace felbo
