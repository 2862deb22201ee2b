// A run that was stopped, in whatever way, goes on bit for bit as if it had not been.
#include <sys/stat.h>

#include <algorithm>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

using namespace std::chrono_literals;

/// 4,000 grey pictures: an epoch takes long enough to be killed in.
class Resume : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(data(), picture_npy(4000, 8, 8)); }
  std::string data() const { return folder_ / "x.npy"; }
  std::string run(const std::string& name) const { return folder_ / name; }

  /// A rate with more digits than six, two samples, a last batch that is smaller: what a careless checkpoint
  /// would round or forget.
  Words train(const std::string& name, int epochs) const {
    return {"train",
            "--data",
            data(),
            "--out",
            run(name),
            "--epochs",
            std::to_string(epochs),
            "--binarize",
            "dynamic",
            "--hidden",
            "16",
            "--latent",
            "3",
            "--batch",
            "96",
            "--lr",
            "0.00123456789",
            "--samples",
            "2",
            "--threads",
            "1",
            "--seed",
            "7"};
  }

  /// Every file of both, byte for byte.
  void expect_same_run(const std::string& a, const std::string& b) const {
    expect_same_checkpoint(run(a), run(b));
    EXPECT_EQ(different_files(timeless_files(run(a)), timeless_files(run(b))), Words());
  }

  /// Starts the program and kills it as soon as the run has `lines` lines of metrics.
  void kill_after(const Words& arguments, const std::string& name, std::size_t lines) const {
    Program program(arguments);
    const auto metrics = folder_ / name / "metrics.jsonl";
    const auto enough = [&] {
      if (!std::filesystem::exists(metrics)) return false;
      const std::string text = read_bytes(metrics);
      return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) >= lines;
    };
    while (program.running() && !enough()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    program.kill_hard();
    const Outcome outcome = program.wait();
    ASSERT_EQ(outcome.signal, SIGKILL) << "it ended by itself: " << outcome.status << " " << outcome.err;
  }

  TempFolder folder_;
};

TEST_F(Resume, FourEpochsAreTwoAndTwo) {
  felbo_json(train("straight", 4));
  felbo_json(train("halves", 2));
  EXPECT_EQ(read_metrics(run("halves")).size(), 2u);
  const json resumed = felbo_json({"train", "--resume", run("halves"), "--epochs", "4"});
  EXPECT_EQ(resumed["epochs"], 4);
  EXPECT_EQ(resumed["device"], "cpu (1 threads)");  // as the run began
  EXPECT_EQ(read_metrics(run("halves")).size(), 4u);
  EXPECT_EQ(read_checkpoint(run("halves")).metadata.at("step"), "152");  // 4 x ceil(3600 / 96)
  expect_same_run("straight", "halves");
}

TEST_F(Resume, AfterKillsInMidRunUnderACosineScheduleWithWarmUp) {
  const Words schedule{"--lr-schedule", "cosine", "--warmup-epochs", "3"};
  felbo_json(train("straight", 40) + schedule);
  kill_after(train("killed", 40) + schedule, "killed", 2);
  kill_after({"train", "--resume", run("killed")}, "killed", 9);
  const int reached = std::stoi(read_checkpoint(run("killed")).metadata.at("epoch").get<std::string>());
  EXPECT_GE(reached, 8);
  EXPECT_LT(reached, 40);
  felbo_json({"train", "--resume", run("killed")});
  EXPECT_EQ(read_metrics(run("killed")).size(), 40u);
  expect_same_run("straight", "killed");
}

TEST_F(Resume, CheckpointsAFewEpochsApart) {
  felbo_json(train("straight", 8) + Words{"--save-every", "3"});
  kill_after(train("killed", 8) + Words{"--save-every", "3"}, "killed", 4);
  felbo_json({"train", "--resume", run("killed")});
  expect_same_run("straight", "killed");
}

TEST_F(Resume, CheckpointsWithinAnEpoch) {
  const Words saves{"--save-every", "2", "--save-steps", "5", "--keep", "3", "--objective", "iwae"};
  felbo_json(train("straight", 8) + saves);
  kill_after(train("killed", 8) + saves, "killed", 3);
  felbo_json({"train", "--resume", run("killed")});
  expect_same_run("straight", "killed");
  EXPECT_TRUE(std::filesystem::exists(run("killed") + "/checkpoint-00000228.safetensors"));  // 6 x 38 steps
  EXPECT_FALSE(std::filesystem::exists(run("killed") + "/checkpoint-00000076.safetensors"));
}

/// Names a file's content among those that had its name, as long as they are replaced whole; 0: there is
/// none.
ino_t inode(const std::string& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// The shell's figure for a program that a signal ended, and the run goes on as if it had not come.
TEST_F(Resume, AfterASignalThatAsksItToStop) {
  const auto words = [&](const std::string& name) {
    Words w = train(name, 60);
    *(std::find(w.begin(), w.end(), "16")) = "64";
    return w;
  };
  felbo_json(words("straight"));
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "stopped" + std::to_string(signal);
    Outcome outcome;
    bool began = false, within_an_epoch = false;
    int too_late = 0;
    for (int stops = 0; stops < 3; ++stops) {
      const std::string config = run(name) + "/config.toml";
      const ino_t before = inode(config);
      Program program(began ? Words{"train", "--resume", run(name)} : words(name));
      began = true;
      // config.toml is written anew when the program has begun to listen, and before its first step.
      while (program.running() && inode(config) == before) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(10ms * (stops + 1));
      program.send(signal);
      outcome = program.wait();
      if (outcome.status == 0 && ++too_late < 6) {
        // A busy machine: the run had ended when the signal was sent. From the start, then.
        std::filesystem::remove_all(run(name));
        began = false;
        stops = -1;
        continue;
      }
      ASSERT_EQ(outcome.status, 128 + signal) << "signal " << outcome.signal << " " << outcome.err;
      EXPECT_EQ(outcome.out, "");
      for (const std::string& said : {std::string(signal == SIGINT ? "SIGINT" : "SIGTERM"),
                                      std::string("and saved"), "felbo train --resume " + run(name)})
        EXPECT_TRUE(has(outcome.err, said));
      within_an_epoch = within_an_epoch || read_checkpoint(folder_ / name).metadata.contains("epoch_steps");
    }
    EXPECT_TRUE(within_an_epoch) << "no signal came within an epoch";
    felbo_json({"train", "--resume", run(name)});
    expect_same_run("straight", name);
  }
}

/// What /proc says of a thread under `key`, a mask of signals.
std::uint64_t signal_mask(const std::filesystem::path& thread, const std::string& key) {
  std::istringstream status(read_bytes(thread / "status"));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1), nullptr, 16);
  throw std::runtime_error(key + " is not in " + (thread / "status").string());
}

/// A handler's frame would be written where oneDNN has put the stack pointer, into the heap: so there is no
/// handler, and the signals are taken by one thread that waits for them.
TEST_F(Resume, NoThreadThatComputesIsInterrupted) {
  Words words = train("a", 400);
  *(std::find(words.begin(), words.end(), "--threads") + 1) = "2";
  Program program(words);
  while (program.running() && !std::filesystem::exists(folder_ / "a/metrics.jsonl"))
    std::this_thread::sleep_for(1ms);
  constexpr std::uint64_t kStops = 1u << (SIGINT - 1) | 1u << (SIGTERM - 1);
  int threads = 0, waiting = 0;
  const std::string tasks = "/proc/" + std::to_string(program.id()) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(tasks)) {
    EXPECT_EQ(signal_mask(thread.path(), "SigCgt") & kStops, 0u) << "a handler is installed";
    ++threads;
    const std::uint64_t open = ~signal_mask(thread.path(), "SigBlk") & kStops;
    if (open == 0) continue;
    EXPECT_EQ(open, kStops);
    ++waiting;
  }
  EXPECT_GE(threads, 3);
  EXPECT_EQ(waiting, 1) << "of " << threads << " threads";
}

/// A signal ends a command that does not listen, as it ends any program.
TEST_F(Resume, ASignalEndsWhatCannotSaveItself) {
  felbo_json(train("a", 1));
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program({"evaluate", run("a"), "--samples", "60000000"});
    std::this_thread::sleep_for(200ms);
    program.send(signal);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.signal, signal) << outcome.status << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

/// The best is that of the largest held-out ELBO among the epochs that saved, and any checkpoint can be used.
TEST_F(Resume, KeepsTheBest) {
  // A rate that overshoots at the end.
  felbo_json({"train", "--data", data(), "--out", run("a"), "--binarize", "dynamic", "--hidden", "16",
              "--latent", "3", "--lr-schedule", "stages:3@1e-3,3@0.3", "--threads", "1"});
  const std::vector<json> lines = read_metrics(run("a"));
  const auto best = std::max_element(lines.begin(), lines.end(), [](const json& a, const json& b) {
    return a["elbo"].get<double>() < b["elbo"].get<double>();
  });
  ASSERT_NE(best, lines.end() - 1);
  const Checkpoint last = read_checkpoint(run("a"));
  const Checkpoint kept = parse_checkpoint(read_bytes(folder_ / "a/best.safetensors"));
  EXPECT_EQ(kept.metadata["epoch"], best->at("epoch").dump());
  EXPECT_EQ(last.metadata["best_epoch"], best->at("epoch").dump());
  EXPECT_EQ(std::stod(last.metadata["best_elbo"].get<std::string>()), best->at("elbo").get<double>());
  const json evaluated = felbo_json({"evaluate", run("a") + "/best.safetensors", "--threads", "1"});
  EXPECT_EQ(evaluated["elbo"], best->at("elbo"));
}

/// An evaluation says whether it is on the data of the run.
TEST_F(Resume, OtherDataAreSaidToBeOthers) {
  felbo_json(train("a", 1));
  EXPECT_EQ(felbo_json({"evaluate", run("a")})["same_data"], true);
  const std::string other = folder_ / "other.npy";
  write_bytes(other, float_npy(300, 64, 0, 1));
  const Outcome outcome = felbo({"evaluate", run("a"), "--data", other, "--json"});
  EXPECT_EQ(outcome.object()["same_data"], false);
  EXPECT_TRUE(has(outcome.err, "not the data of the run: the train part holds 270 rows with SHA-256"));
}

/// A run has one writer, and a killed one leaves nothing locked.
TEST_F(Resume, OneProcessAtATime) {
  Program first(train("a", 400));
  while (first.running() && !std::filesystem::exists(folder_ / "a/metrics.jsonl"))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (const Words& second :
       {Words{"train", "--resume", run("a")}, train("a", 1) + Words{"--force"}, train("a", 1)}) {
    const Outcome outcome = felbo(second);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_TRUE(has(outcome.err, run("a")));
  }
  EXPECT_TRUE(
      has(felbo({"train", "--resume", run("a")}).err, "another process is training this run; wait for it"));
  EXPECT_EQ(felbo({"evaluate", run("a")}).status, 0);  // reading needs no lock
  first.kill_hard();
  EXPECT_EQ(first.wait().signal, SIGKILL);
  const int epoch = std::stoi(read_checkpoint(run("a")).metadata["epoch"].get<std::string>());
  Program second({"train", "--resume", run("a")});
  while (second.running() &&
         std::stoi(read_checkpoint(run("a")).metadata["epoch"].get<std::string>()) <= epoch)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(second.running()) << second.wait().err;
}

/// A file of each format that felbo ever wrote.
TEST_F(Resume, OfEarlierFormats) {
  for (const char* version : {"1"}) {
    const std::filesystem::path file = std::filesystem::path(FELBO_SOURCE_DIR) / "tests/data" /
                                       (std::string("checkpoint-") + version + ".safetensors");
    std::filesystem::create_directory(folder_ / version);
    write_bytes(folder_ / version / "checkpoint.safetensors", read_bytes(file));
    const json evaluated = felbo_json({"evaluate", run(version), "--threads", "1"});
    EXPECT_NEAR(evaluated["elbo"].get<double>(), -118.11067, 1e-3);  // as that version said
    EXPECT_EQ(evaluated["count"], 4000);
    const json resumed = felbo_json({"train", "--resume", run(version), "--epochs", "3"});
    EXPECT_EQ(resumed["epochs"], 3);
    EXPECT_GT(resumed["elbo"].get<double>(), evaluated["elbo"].get<double>());
  }
}

TEST_F(Resume, DropsLinesOfMetricsThatTheCheckpointDoesNotKnow) {
  felbo_json(train("straight", 4));
  felbo_json(train("stopped", 2));
  std::ofstream metrics(folder_ / "stopped" / "metrics.jsonl", std::ios::app);
  metrics << R"({"epoch": 3, "elbo": -1.0})"
          << "\n"
          << R"({"epoch": 4, "el)" << std::flush;
  felbo_json({"train", "--resume", run("stopped"), "--epochs", "4"});
  expect_same_run("straight", "stopped");
}

TEST_F(Resume, OfAFinishedRunChangesNothing) {
  const json trained = felbo_json(train("done", 2));
  const Checkpoint before = read_checkpoint(run("done"));
  const json resumed = felbo_json({"train", "--resume", run("done")});
  EXPECT_EQ(resumed["elbo"], trained["elbo"]);
  EXPECT_EQ(different_tensors(before, read_checkpoint(run("done"))), Words());
  EXPECT_EQ(read_metrics(run("done")).size(), 2u);
}

TEST_F(Resume, TakesTheFlagsThatMayChange) {
  felbo_json(train("a", 2));
  const json resumed = felbo_json({"train", "--resume", run("a"), "--epochs", "3", "--threads", "2",
                                   "--save-every", "2", "--device", "cpu"});
  EXPECT_EQ(resumed["device"], "cpu (2 threads)");
  const std::string config = read_bytes(folder_ / "a" / "config.toml");
  for (const char* line : {"epochs = 3", "threads = 2", "save-every = 2", "device = 'cpu'"})
    EXPECT_TRUE(has(config, line));
}

TEST_F(Resume, RemovesWhatAKilledProcessLeft) {
  felbo_json(train("a", 1));
  const auto leftover = folder_ / ("a/checkpoint.safetensors.tmp-" + ended_process() + "-0");
  write_bytes(leftover, "half");
  felbo_json({"train", "--resume", run("a"), "--epochs", "2"});
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

TEST_F(Resume, WarnsOfGreyPixelsAgain) {
  const char* warning = "not a log-likelihood";
  const Words grey{"train", "--data", data(), "--out", run("a"), "--hidden", "none", "--epochs", "1"};
  EXPECT_TRUE(has(felbo(grey).err, warning));
  EXPECT_TRUE(has(felbo({"train", "--resume", run("a"), "--epochs", "2"}).err, warning));
  felbo_json(train("b", 1));
  EXPECT_FALSE(has(felbo({"train", "--resume", run("b"), "--epochs", "2"}).err, warning));
}

/// A model that was trained where there is more memory may be evaluated here, but not trained.
TEST_F(Resume, NeedsTheMemoryOfTrainingWhichAnEvaluationDoesNot) {
  const json trained = felbo_json(train("a", 1));
  const std::string file = folder_ / "a" / "checkpoint.safetensors";
  write_bytes(file, edited_checkpoint(read_bytes(file), [](json& header, std::string&) {
                std::string config = header["__metadata__"]["config"];
                const std::size_t at = config.find("\nsamples = 2\n");
                ASSERT_NE(at, std::string::npos);
                header["__metadata__"]["config"] = config.replace(at, 13, "\nsamples = 1048576\n");
              }));
  EXPECT_EQ(felbo_json({"evaluate", run("a")})["elbo"], trained["elbo"]);
  felbo_json({"sample", run("a"), "--count", "3", "--out", folder_ / "z.npy"});
  const Outcome outcome = felbo({"train", "--resume", run("a"), "--epochs", "2"});
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "GiB"));
}

/// Comparing bits notices each thing that a checkpoint could forget: with it forgotten, the run goes on, but
/// elsewhere.
TEST_F(Resume, ForgettingAnyPartOfTheStateShows) {
  felbo_json(train("straight", 4));
  felbo_json(train("half", 2));
  const Checkpoint straight = read_checkpoint(run("straight"));
  const std::string whole = read_bytes(folder_ / "half" / "checkpoint.safetensors");
  const auto zero = [](const char* prefix) {
    return [prefix](json& header, std::string& bytes) {
      for (const auto& [name, tensor] : header.items()) {
        if (!name.starts_with(prefix)) continue;
        const std::uint64_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1];
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), end - begin, '\0');
      }
    };
  };
  const auto other_seed = [](json& header, std::string&) {
    std::string config = header["__metadata__"]["config"];
    const std::size_t at = config.find("seed = 7");
    ASSERT_NE(at, std::string::npos);
    header["__metadata__"]["config"] = config.replace(at, 8, "seed = 8");
  };
  const auto resumed_with = [&](const auto& edit) {
    write_bytes(folder_ / "half" / "checkpoint.safetensors", edited_checkpoint(whole, edit));
    felbo_json({"train", "--resume", run("half"), "--epochs", "4"});
    return different_tensors(straight, read_checkpoint(run("half")));
  };
  EXPECT_EQ(resumed_with([](json&, std::string&) {}), Words());
  EXPECT_EQ(resumed_with(zero("adam.m.")).size(), straight.tensors.size());
  EXPECT_EQ(resumed_with(zero("adam.v.")).size(), straight.tensors.size());
  EXPECT_EQ(resumed_with(other_seed).size(), straight.tensors.size());
}

class ResumeRefused : public Resume {
 protected:
  /// Expects status 2, all of `words` on standard error, and every file as it was.
  void refused(const Words& arguments, const Words& words) const {
    const auto before = snapshot(folder_.path());
    const Outcome outcome = felbo(arguments);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& word : words) EXPECT_TRUE(has(outcome.err, word));
    EXPECT_TRUE(before == snapshot(folder_.path())) << "something was written";
  }
};

TEST_F(ResumeRefused, OtherEpochsUnderCosine) {
  felbo_json(train("a", 2) + Words{"--lr-schedule", "cosine"});
  refused({"train", "--resume", run("a"), "--epochs", "4"}, {"--epochs 4", "cosine", "2 epochs"});
}

TEST_F(ResumeRefused, WhatAStepDependsOn) {
  felbo_json(train("a", 2));
  refused({"train", "--resume", run("a"), "--lr", "1e-2"}, {"--lr", "cannot change"});
  refused({"train", "--resume", run("a"), "--seed", "1"}, {"--seed", "cannot change"});
  refused({"train", "--resume", run("a"), "--data", data()}, {"--data", "cannot change"});
  refused({"train", "--resume", run("a"), "--out", run("b")}, {"--out"});
  refused({"train", "--resume", run("a"), "--epochs", "1"}, {"--epochs 1", "already finished 2"});
  refused({"train", "--resume", run("a"), "--epochs", "0"}, {"epochs", "0"});
  refused({"train", "--resume", run("a"), "--epochs", "3", "--save-every", "0"}, {"--save-every"});
  refused({"train", "--resume", run("a"), "--epochs", "3", "--save-steps=-1"}, {"--save-steps"});
  refused({"train", "--resume", run("a"), "--epochs", "3", "--keep", "0"}, {"--keep"});
}

TEST_F(ResumeRefused, DataThatAreNotThoseOfTheRun) {
  felbo_json(train("a", 2));
  write_bytes(data(), picture_npy(3000, 8, 8));
  refused({"train", "--resume", run("a"), "--epochs", "3"}, {data(), "not those that the run began with"});
  write_bytes(data(), picture_npy(4000, 8, 7));
  refused({"train", "--resume", run("a"), "--epochs", "3"}, {data(), "56", "64"});
  std::filesystem::remove(data());
  refused({"train", "--resume", run("a"), "--epochs", "3"}, {data(), "no such file"});
}

TEST_F(ResumeRefused, MetricsThatAreNone) {
  felbo_json(train("a", 2));
  write_bytes(folder_ / "a" / "metrics.jsonl", "{\"epoch\": 1}\nhello\n");
  refused({"train", "--resume", run("a"), "--epochs", "3"}, {"metrics.jsonl", "line 2"});
}

TEST_F(ResumeRefused, RunThatHasNoCheckpointYet) {
  felbo_json(train("a", 2));
  std::filesystem::remove(folder_ / "a" / "checkpoint.safetensors");
  refused({"train", "--resume", run("a")}, {run("a"), "before its first checkpoint", "--force"});
  refused({"train", "--resume", run("none")}, {run("none"), "holds no run"});
  refused({"train", "--resume", data()}, {data(), "is a file, not a run's folder"});
}

}  // namespace
}  // namespace felbo::cli
