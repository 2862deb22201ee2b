// The whole program with --device cuda, on the emulated machine: what it trains, and what it says when there
// is no device to train on.
#include <cmath>
#include <cstdlib>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// The emulated machine with a fault, for the programs started while it lives.
class Fault {
 public:
  explicit Fault(const char* name) { ::setenv("FELBO_EMULATOR_MACHINE", name, 1); }
  ~Fault() { ::unsetenv("FELBO_EMULATOR_MACHINE"); }
};

/// The values of a .npy file of float32 (format 1.0: ten bytes, then a header of the length they end with).
std::vector<float> npy_floats(const std::filesystem::path& file) {
  const std::string bytes = read_bytes(file);
  const std::size_t begin =
      10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
  std::vector<float> values((bytes.size() - begin) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(float));
  return values;
}

class CudaProgram : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(folder_ / "x.npy", picture_npy(150, 6, 5)); }
  std::string run(const std::string& name) const { return folder_ / name; }
  Words train(const std::string& name, const std::string& device, int epochs = 3) const {
    return {"train",
            "--data",
            folder_ / "x.npy",
            "--out",
            run(name),
            "--epochs",
            std::to_string(epochs),
            "--binarize",
            "dynamic",
            "--hidden",
            "12",
            "--latent",
            "3",
            "--batch",
            "32",
            "--lr",
            "3e-3",
            "--samples",
            "2",
            "--seed",
            "7",
            "--device",
            device};
  }
  TempFolder folder_;
};

// The same data in the same order, the same pixels and the same noise: the two runs differ by rounding, which
// 15 steps of Adam at 3e-3 can amplify, since it divides small gradients by their own size: a percent of an
// ELBO of 20 nats.
TEST_F(CudaProgram, TrainsAsTheCpuDoes) {
  const json cuda = felbo_json(train("cuda", "cuda"));
  const json cpu = felbo_json(train("cpu", "cpu"));
  EXPECT_EQ(cuda.value("device", ""), "cuda:0 (emulated)");
  ASSERT_TRUE(std::isfinite(cpu.value("elbo", NAN)));
  EXPECT_NEAR(cuda.value("elbo", NAN), cpu.value("elbo", NAN), 0.01 * std::abs(cpu.value("elbo", NAN)));
  const auto a = read_metrics(run("cuda")), b = read_metrics(run("cpu"));
  ASSERT_EQ(a.size(), 3u);
  // Before the first step the parameters are equal; an epoch's mean drifts with them.
  EXPECT_NEAR(a[0].value("train_elbo", NAN), b[0].value("train_elbo", NAN),
              1e-3 * std::abs(b[0].value("train_elbo", NAN)));
}

TEST_F(CudaProgram, ResumesBitForBit) {
  felbo_json(train("whole", "cuda", 3));
  felbo_json(train("part", "cuda", 1));
  felbo_json({"train", "--resume", run("part"), "--epochs", "3"});
  expect_same_checkpoint(run("whole"), run("part"));
}

// The ledger names the driver, and a run that goes on under another says so.
TEST_F(CudaProgram, ANewDriverIsWarnedOf) {
  felbo_json(train("run", "cuda", 1));
  const json ledger = json::parse(read_checkpoint(run("run")).metadata.at("ledger").get<std::string>());
  EXPECT_EQ(ledger["device"], "cuda:0 (emulated)");
  EXPECT_EQ(ledger["libraries"]["cuda_driver"], "12.4");
  EXPECT_EQ(ledger["libraries"]["cuda_runtime"], "12.2");
  EXPECT_EQ(ledger["libraries"]["cublaslt"], "12.3.4");
  const Words resume{"train", "--resume", run("run")};
  EXPECT_FALSE(has(felbo(resume + Words{"--epochs", "2"}).err, "bits may differ"));
  const Fault machine("new-driver");
  const Outcome warned = felbo(resume + Words{"--epochs", "3"});
  EXPECT_EQ(warned.status, 0) << warned.err;
  EXPECT_TRUE(
      has(warned.err, "bits may differ from those of the run that began: cuda_driver is 13.0, it was 12.4"))
      << warned.err;
}

// Training in another precision takes other steps. What it is judged by does not: the held-out figures are
// those of the evaluation of its checkpoint, which knows of no precision, to the last bit.
TEST_F(CudaProgram, TrainsInTheOtherPrecisionsAndIsJudgedInFloat) {
  felbo_json(train("fp32", "cuda"));
  for (const std::string precision : {"tf32", "bf16"}) {
    const Words flags{"--precision", precision};
    const json trained = felbo_json(train("whole", "cuda") + flags + Words{"--force"});
    EXPECT_EQ(trained.value("precision", ""), precision);
    EXPECT_NE(different_tensors(read_checkpoint(run("fp32")), read_checkpoint(run("whole"))), Words());
    const json judged = felbo_json({"evaluate", run("whole"), "--device", "cuda"});
    EXPECT_EQ(judged["elbo"], trained["elbo"]) << precision;
    felbo_json(train("part", "cuda", 1) + flags + Words{"--force"});
    felbo_json({"train", "--resume", run("part"), "--epochs", "3"});
    expect_same_checkpoint(run("whole"), run("part"));
  }
}

TEST_F(CudaProgram, RefusesThePrecisionsOfAGpuOnTheCpu) {
  felbo_json(train("run", "cuda", 1) + Words{"--precision", "tf32"});
  const auto refused = [&](const Words& arguments, const char* words) {
    const Outcome outcome = felbo(arguments);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_TRUE(has(outcome.err, words)) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(run("none")));
  };
  refused(train("none", "cpu") + Words{"--precision", "tf32"},
          "--precision tf32 needs a GPU, and --device cpu is the CPU here");
  refused(train("none", "cpu") + Words{"--precision", "bf16"},
          "--precision bf16 needs a GPU, and --device cpu is the CPU here");
  refused({"train", "--resume", run("run"), "--device", "cpu"}, "--precision tf32 needs a GPU");
  refused({"train", "--resume", run("run"), "--precision", "fp32"}, "--precision cannot change");
  const Fault machine("no-device");
  refused(train("none", "auto") + Words{"--precision", "tf32"},
          "--precision tf32 needs a GPU, and --device auto is the CPU here");
}

TEST_F(CudaProgram, EvaluatesAndShowsWhatTheCpuDoes) {
  felbo_json(train("run", "cuda", 1));
  const auto evaluate = [&](const char* device) {
    return felbo_json({"evaluate", run("run"), "--samples", "5", "--device", device});
  };
  const json cuda = evaluate("cuda:0"), cpu = evaluate("cpu");
  // Means over 15 data of sums over 30 pixels: roundings of 1e-7 each, 1e-5 in all with room.
  for (const char* key : {"elbo", "log_px", "kl", "log_px_given_z"})
    EXPECT_NEAR(cuda.value(key, NAN), cpu.value(key, NAN), 1e-5 * (1 + std::abs(cpu.value(key, NAN)))) << key;
  for (const Words& verb : {Words{"sample", run("run"), "--count", "9"},
                            {"reconstruct", run("run"), "--count", "7"},
                            {"sample", run("run"), "--count", "4", "--from", "posterior"},
                            {"encode", run("run")}}) {
    const std::string a = folder_ / "cuda.npy", b = folder_ / "cpu.npy";
    felbo_json(verb + Words{"--out", a, "--device", "cuda"});
    felbo_json(verb + Words{"--out", b, "--device", "cpu"});
    const std::vector<float> x = npy_floats(a), y = npy_floats(b);
    ASSERT_EQ(x.size(), y.size());
    ASSERT_FALSE(x.empty());
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(x[i], y[i], 1e-5 * (1 + std::abs(y[i]))) << verb[0] << i;
  }
}

// 1.5 MB of data for a device that has as much beside cuBLASLt's workspace: they are streamed, on streams
// that work as late as they may, and no bit of the run is another.
TEST_F(CudaProgram, StreamsWhatDoesNotFitOnTheDevice) {
  write_bytes(folder_ / "large.npy", picture_npy(2000, 28, 28));
  const auto large = [&](const std::string& name, const Words& more) {
    return Words{"train",    "--data",     folder_ / "large.npy",
                 "--out",    run(name),    "--epochs",
                 "1",        "--hidden",   "4",
                 "--latent", "2",          "--batch",
                 "16",       "--seed",     "7",
                 "--json",   "--binarize", "dynamic",
                 "--device", "cuda",       "--valid-fraction",
                 "0.02"} +
           more;
  };
  const auto refused = [&](const Words& words) {
    const Outcome outcome = felbo(words);
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "too little device memory")) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(run("none")));
  };
  felbo_json(large("resident", {}));
  {
    const Fault machine("memory:35000000");
    ::setenv("FELBO_EMULATOR_STREAMS", "late", 1);
    const Outcome streamed = felbo(large("streamed", {}));
    ::unsetenv("FELBO_EMULATOR_STREAMS");
    ASSERT_EQ(streamed.status, 0) << streamed.err;
    EXPECT_TRUE(has(streamed.err, "stay in host memory and are streamed to the device")) << streamed.err;
    refused(large("none", {"--data-on", "device"}));
  }
  expect_same_checkpoint(run("resident"), run("streamed"));
  {
    const Fault machine("memory:33700000");
    refused(large("none", {}));
  }
  const Words evaluate{"evaluate", run("resident"), "--split", "valid", "--device", "cuda", "--data-on"};
  EXPECT_EQ(felbo_json(evaluate + Words{"host"})["elbo"], felbo_json(evaluate + Words{"device"})["elbo"]);
  const Outcome bad = felbo(large("none", {"--data-on", "gpu"}));
  EXPECT_EQ(bad.status, 2);
  EXPECT_TRUE(has(bad.err, "--data-on must be auto, device or host, got 'gpu'")) << bad.err;
}

/// What cuda is refused with; no run is left behind.
TEST_F(CudaProgram, SaysWhyThereIsNoDevice) {
  const std::vector<std::pair<const char*, const char*>> faults{
      {"no-driver", "there is no NVIDIA driver on this machine"},
      {"no-device", "no CUDA device was found"},
      {"old-device", "is too old: it has compute capability 7.0, felbo needs 8.0 or later"},
      {"little-memory", "too little device memory"}};
  for (const auto& [fault, message] : faults) {
    const Fault machine(fault);
    const Outcome outcome = felbo(train("none", "cuda"));
    EXPECT_EQ(outcome.status, 1) << fault;
    EXPECT_TRUE(has(outcome.err, message)) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "free") || has(outcome.err, "--device cpu")) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(run("none"))) << fault;
  }
  const Outcome outcome = felbo(train("none", "cuda:1"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(has(outcome.err, "CUDA device 1 does not exist: this machine has 1, counted from 0"))
      << outcome.err;
  for (const char* name : {"gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:0x"}) {
    const Outcome bad = felbo(train("none", name));
    EXPECT_EQ(bad.status, 2) << name;
    EXPECT_TRUE(has(bad.err, "--device must be auto, cpu or cuda[:N]")) << bad.err;
  }
}

TEST_F(CudaProgram, ChecksEveryOp) {
  const json check = felbo_json({"check", "--device", "cuda"});
  EXPECT_EQ(check.value("device", ""), "cuda:0 (emulated)");
  EXPECT_EQ(check.value("failed", -1), 0);
  EXPECT_EQ(check.value("skipped", -1), 0);
  EXPECT_GT(check.value("compared", 0), 1'000'000);
  for (const char* fault : {"no-driver", "no-device", "old-device"}) {
    const Fault machine(fault);
    const Outcome outcome = felbo({"check", "--device", "cuda"});
    EXPECT_EQ(outcome.status, 1) << fault;
    EXPECT_EQ(outcome.out, "") << fault;
    EXPECT_TRUE(has(outcome.err, "--device cpu")) << outcome.err;
  }
}

TEST_F(CudaProgram, AgreesWithTheOracle) {
  const json oracle = felbo_json({"oracle", "--device", "cuda", "--quick"});
  EXPECT_EQ(oracle.value("device", ""), "cuda:0 (emulated)");
  EXPECT_EQ(oracle.value("compared", 0), 104);
  EXPECT_EQ(oracle.value("failed", -1), 0);
}

TEST_F(CudaProgram, AutoTakesTheGpuWhereThereIsOne) {
  EXPECT_EQ(felbo_json(train("a", "auto", 1)).value("device", ""), "cuda:0 (emulated)");
  for (const char* fault : {"no-driver", "no-device", "old-device"}) {
    const Fault machine(fault);
    EXPECT_TRUE(has(felbo_json(train("a", "auto", 1) + Words{"--force"}).value("device", ""), "cpu"))
        << fault;
  }
}

TEST_F(CudaProgram, InfoNamesTheDevices) {
  EXPECT_TRUE(has(felbo({"info"}).out, "cuda:0: emulated, compute capability 9.0"));
  const Fault machine("no-driver");
  EXPECT_TRUE(has(felbo({"info"}).out, "there is no NVIDIA driver"));
}

}  // namespace
}  // namespace felbo::cli
