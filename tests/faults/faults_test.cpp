// A training that is killed, or whose disk fails, at any point goes on bit for bit as if it had not been, and
// no checkpoint is lost or half-written on the way: every call that touches the run's files is killed at, and
// made to fail, in turn; then the program is killed at random moments.
#include <atomic>
#include <cerrno>
#include <cmath>
#include <functional>
#include <random>
#include <set>

#include "host/run/safetensors.h"
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

constexpr int kKills = 150;  // at random moments; those at calls come on top
constexpr std::uint32_t kSeed = 20;

std::atomic<int> killed{0}, failed{0}, resumed{0};

/// What became of a run that was disturbed and then went on.
struct Case {
  std::string name;
  Words environment;  // of the disturbed process
};

class Faults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Memory, where there is a file system in it: hundreds of runs need not wait for a disk.
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TEST_TMPDIR", "/dev/shm", 0);
    folder_ = std::make_unique<TempFolder>();
    write_bytes(*folder_ / "x.npy", picture_npy(60, 3, 2));
    ASSERT_EQ(felbo(train("straight")).status, 0);
    straight_ = timeless_files(*folder_ / "straight");
    ASSERT_EQ(straight_.size(), 8u);  // 6 files, and two kept checkpoints
    ASSERT_EQ(
        felbo(train("middle"), {.environment = fault("middle", calls("straight").size() / 2, "kill")}).signal,
        SIGKILL);
  }
  static void TearDownTestSuite() {
    std::printf("%d processes killed, %d with a failed or partial call, %d resumed: every run bit for bit\n",
                killed.load(), failed.load(), resumed.load());
    folder_.reset();
  }

  static std::string run(const std::string& name) { return *folder_ / name; }

  static Words train(const std::string& name) {
    return {"train",
            "--data",
            *folder_ / "x.npy",
            "--out",
            run(name),
            "--epochs",
            "2",
            "--binarize",
            "dynamic",
            "--hidden",
            "none",
            "--latent",
            "1",
            "--batch",
            "16",
            "--keep",
            "2",
            "--save-steps",
            "2",
            "--threads",
            "1",
            "--valid-fraction",
            "0.2"};
  }
  static Words resume(const std::string& name) { return {"train", "--resume", run(name)}; }

  static Words fault(const std::string& name, std::size_t at, const std::string& action) {
    return {std::string("LD_PRELOAD=") + FELBO_FAULT_SHIM, "FELBO_FAULT_ROOT=" + run(name),
            "FELBO_FAULT=" + std::to_string(at) + ":" + action};
  }

  /// The calls that training a run makes; or going on with a copy of "middle", for that name.
  static Words calls(const std::string& name) {
    const std::string log = *folder_ / (name + ".log"), of = name + "_calls";
    if (name == "middle") copy_run("middle", of);
    const Outcome outcome = felbo(name == "middle" ? resume(of) : train(of),
                                  {.environment = {std::string("LD_PRELOAD=") + FELBO_FAULT_SHIM,
                                                   "FELBO_FAULT_ROOT=" + run(of), "FELBO_FAULT_LOG=" + log}});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    Words lines;
    std::istringstream text(read_bytes(log));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    std::filesystem::remove_all(run(of));
    return lines;
  }

  static void copy_run(const std::string& from, const std::string& to) {
    std::filesystem::copy(run(from), run(to), std::filesystem::copy_options::recursive);
  }

  /// Steps of the checkpoint that stands, which must be whole; -1 if there is none.
  static std::int64_t checked_step(const std::string& name) {
    std::int64_t step = -1;
    if (!std::filesystem::exists(run(name))) return step;
    for (const auto& entry : std::filesystem::directory_iterator(run(name))) {
      if (entry.path().extension() != ".safetensors") continue;
      const SafetensorsFile file(entry.path());
      if (entry.path().filename() == "checkpoint.safetensors") step = std::stoll(file.metadata("step"));
    }
    return step;
  }

  /// Goes on until the run is whole (or begins again where no checkpoint was written) and compares it.
  static void finish(const std::string& name, const std::string& context) {
    const bool begun = std::filesystem::exists(run(name) + "/checkpoint.safetensors");
    const Outcome outcome = felbo(begun ? resume(name) : train(name));
    EXPECT_EQ(outcome.status, 0) << context << ": " << outcome.err;
    if (begun) ++resumed;
    EXPECT_EQ(different_files(straight_, timeless_files(run(name))), Words()) << context;
    std::filesystem::remove_all(run(name));
  }

  /// Runs `first` (on a run of this name) with a fault and goes on. Returns the step of the checkpoint that
  /// stood in between.
  static std::int64_t disturb(const std::string& name, const Words& first, std::size_t at,
                              const std::string& action, const std::string& call) {
    const std::string context = name + " (" + call + ", " + action + ")";
    const Outcome outcome = felbo(first, {.environment = fault(name, at, action)});
    if (outcome.signal == SIGKILL) {
      ++killed;
    } else {
      ++failed;
      EXPECT_TRUE(outcome.status == 0 || outcome.status == 1)
          << context << ": status " << outcome.status << ", signal " << outcome.signal << ": " << outcome.err;
      EXPECT_TRUE(outcome.status == 0 || has(outcome.err, "felbo: ")) << context;
    }
    const std::int64_t step = checked_step(name);
    finish(name, context);
    return step;
  }

  /// `each(i)` for i below `count`, on all processors.
  static void parallel(std::size_t count, const std::function<void(std::size_t)>& each) {
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> workers;
    for (unsigned w = 0; w < std::max(2u, std::thread::hardware_concurrency()); ++w) {
      workers.emplace_back([&] {
        for (std::size_t i; (i = next++) < count;) each(i);
      });
    }
    for (std::thread& worker : workers) worker.join();
  }

  /// Every call in turn: killed at it. At every other one too: in turn a full disk from then on, a failure of
  /// the device, and half of the bytes.
  static void each_call(const std::string& what, const Words& lines, std::vector<std::int64_t>& steps) {
    const std::string full = std::to_string(ENOSPC) + "+", broken = std::to_string(EIO);
    steps.assign(lines.size(), -1);
    parallel(lines.size(), [&](std::size_t i) {
      const std::string& call = lines[i];
      const bool moves_bytes = call.starts_with("write") || call.starts_with("read");
      const std::string others[] = {full, broken, moves_bytes ? "half" : broken};
      Words actions{moves_bytes && i % 2 == 1 ? "half-kill" : "kill"};
      if (i % 2 == 0) actions.push_back(others[i / 2 % 3]);
      for (const std::string& action : actions) {
        const std::string name = what + std::to_string(i) + "_" + action.substr(0, 4);
        if (what == "resume") copy_run("middle", name);
        const std::int64_t step =
            disturb(name, what == "resume" ? resume(name) : train(name), i + 1, action, call);
        if (action.ends_with("kill")) steps[i] = step;
      }
    });
  }

  static std::unique_ptr<TempFolder> folder_;
  static std::map<std::string, std::string> straight_;
};

std::unique_ptr<TempFolder> Faults::folder_;
std::map<std::string, std::string> Faults::straight_;

TEST_F(Faults, AtEveryCallOfATraining) {
  const Words lines = calls("straight");
  ASSERT_GT(lines.size(), 50u);
  std::vector<std::int64_t> steps;
  each_call("train", lines, steps);
  // Later kills find later checkpoints: none is lost, and each rename of one is seen.
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_EQ(steps.front(), -1);
  EXPECT_EQ(steps.back(), 6);
  EXPECT_EQ(std::set<std::int64_t>(steps.begin(), steps.end()), (std::set<std::int64_t>{-1, 0, 2, 3, 5, 6}));
}

TEST_F(Faults, AtEveryCallOfAResumedTraining) {
  const Words lines = calls("middle");
  ASSERT_GT(lines.size(), 20u);
  std::vector<std::int64_t> steps;
  each_call("resume", lines, steps);
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_GE(steps.front(), 2);
  EXPECT_EQ(steps.back(), 6);
}

/// Each run is killed up to three times on its way.
TEST_F(Faults, AtRandomMoments) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(felbo(train("timed")).status, 0);
    std::filesystem::remove_all(run("timed"));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 5;
  std::mt19937 random(kSeed);
  std::vector<double> delays;
  for (int i = 0; i < kKills; ++i)
    delays.push_back(1.2 * seconds * static_cast<double>(random()) / 4294967296.0);
  parallel(kKills / 3, [&](std::size_t i) {
    const std::string name = "random" + std::to_string(i);
    std::int64_t step = -1;
    for (std::size_t k = 3 * i; k < 3 * i + 3; ++k) {
      Program program(step < 0 ? train(name) + Words{"--force"} : resume(name));
      std::this_thread::sleep_for(std::chrono::duration<double>(delays[k]));
      program.kill_hard();
      if (program.wait().signal == SIGKILL) ++killed;
      const std::int64_t now = checked_step(name);
      EXPECT_GE(now, step) << name;
      step = now;
    }
    finish(name, name);
  });
}

}  // namespace
}  // namespace felbo::cli
