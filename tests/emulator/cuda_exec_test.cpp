// CudaExec against the emulated machine, whose faults can be chosen.
#include "host/exec/cuda_exec.h"
#include "host/exec/cuda_libraries.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <type_traits>

#include "cuda_runtime.h"
#include "kernels/common/cuda/launch.h"
#include "tests/emulator/emulator.h"

namespace felbo {
namespace {

/// Puts the machine back as it was.
class CudaExecTest : public testing::Test {
 protected:
  void TearDown() override { emulator::machine() = before_; }
  const emulator::Machine before_ = emulator::machine();
};

/// The message of a std::runtime_error, which ends felbo with exit status 1.
template <class F>
std::string failure(const F& call) {
  try {
    call();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST_F(CudaExecTest, NamesTheDevices) {
  emulator::machine().devices = 2;
  const auto devices = cuda_devices();
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[1].index, 1);
  EXPECT_EQ(devices[1].name, "emulated");
  EXPECT_EQ(devices[1].major, 9);
  EXPECT_EQ(devices[1].memory, std::int64_t{16} << 30);
  EXPECT_EQ(CudaExec(1).device().index, 1);
}

TEST_F(CudaExecTest, NamesTheVersionsOfWhatComputes) {
  const std::map<std::string, std::string> versions{
      {"cuda_driver", "12.4"}, {"cuda_runtime", "12.2"}, {"cublaslt", "12.3.4"}};
  EXPECT_EQ(cuda_libraries(), versions);
  emulator::machine().driver_version = 13010;
  EXPECT_EQ(cuda_libraries().at("cuda_driver"), "13.1");
}

TEST_F(CudaExecTest, SaysThatThereIsNoDriver) {
  emulator::machine().driver_error = cudaErrorInsufficientDriver;
  for (const std::string& text : {failure([] { CudaExec(); }), failure([] { cuda_devices(); })}) {
    EXPECT_NE(text.find("there is no NVIDIA driver on this machine"), std::string::npos) << text;
    EXPECT_NE(text.find("--device cpu"), std::string::npos) << text;
  }
}

TEST_F(CudaExecTest, SaysThatThereIsNoDevice) {
  emulator::machine().devices = 0;
  EXPECT_NE(failure([] { CudaExec(); }).find("no CUDA device was found"), std::string::npos);
}

TEST_F(CudaExecTest, PassesOnOtherFailuresOfTheDriver) {
  emulator::machine().driver_error = cudaErrorInvalidValue;
  const std::string text = failure([] { CudaExec(); });
  EXPECT_NE(text.find("cudaErrorInvalidValue"), std::string::npos) << text;
  EXPECT_NE(text.find("cuda_exec.cpp:"), std::string::npos) << text;
}

TEST_F(CudaExecTest, SaysThatTheDeviceIsTooOld) {
  emulator::machine().major = 7;
  emulator::machine().minor = 5;
  const std::string text = failure([] { CudaExec(); });
  EXPECT_NE(
      text.find(
          "CUDA device 0 (emulated) is too old: it has compute capability 7.5, felbo needs 8.0 or later"),
      std::string::npos)
      << text;
}

TEST_F(CudaExecTest, RefusesADeviceThatDoesNotExist) {
  for (const int device : {-1, 1, 100}) {
    EXPECT_THROW(CudaExec exec(device), std::invalid_argument) << device;
  }
}

TEST_F(CudaExecTest, SaysHowMuchMemoryIsNeededAndFree) {
  const std::size_t before = emulator::live_bytes();
  emulator::machine().total_memory = before + (std::size_t{48} << 20);
  const CudaExec exec;  // takes 32 MiB
  const std::string text = failure([&] { Buffer<CudaExec, float> buffer(exec, 8 << 20); });
  EXPECT_NE(text.find("too little device memory: 33554432 bytes (0.031 GiB) are needed"), std::string::npos)
      << text;
  EXPECT_NE(text.find("0.016 GiB are free"), std::string::npos) << text;
  EXPECT_NE(failure([] { CudaExec second; }).find("too little device memory"), std::string::npos);
  EXPECT_EQ(emulator::live_bytes(), before + (std::size_t{32} << 20));
}

TEST_F(CudaExecTest, FreesAllAndMovesOnly) {
  static_assert(!std::is_copy_constructible_v<CudaExec> && !std::is_copy_assignable_v<CudaExec>);
  const std::size_t before = emulator::live_bytes();
  {
    CudaExec first(0, 1000), second(0, 500);
    CudaExec third = std::move(first);
    EXPECT_EQ(third.workspace().size(), 1000u);
    EXPECT_EQ(first.stream(), nullptr);
    third = std::move(second);
    EXPECT_EQ(third.workspace().size(), 500u);
    Buffer<CudaExec, double> a(third, 10);
    Buffer<CudaExec, double> b = std::move(a);
    EXPECT_EQ(b.size(), 10);
    EXPECT_EQ(emulator::live_bytes(), before + 1000 + 500 + 80);
  }
  EXPECT_EQ(emulator::live_bytes(), before);
}

TEST_F(CudaExecTest, SharesAllButThePrecision) {
  const std::size_t before = emulator::live_bytes();
  {
    auto tf32 = std::make_unique<CudaExec>(0, 1000, Precision::kTf32);
    const CudaExec in_float = with_float_products(*tf32);
    EXPECT_EQ(tf32->precision(), Precision::kTf32);
    EXPECT_EQ(in_float.precision(), Precision::kFp32);
    EXPECT_EQ(in_float.stream(), tf32->stream());
    EXPECT_EQ(in_float.workspace().data(), tf32->workspace().data());
    EXPECT_EQ(&in_float.cublas_lt(), &tf32->cublas_lt());
    tf32.reset();
    EXPECT_EQ(emulator::live_bytes(), before + 1000);
    EXPECT_NO_THROW(in_float.synchronize());
  }
  EXPECT_EQ(emulator::live_bytes(), before);
}

TEST_F(CudaExecTest, BuffersAreZeroedAndCopied) {
  const CudaExec exec;
  const Buffer<CudaExec, int> buffer(exec, 5), empty(exec, 0);
  std::vector<int> host{1, 2, 3, 4, 5};
  download(exec, View<const int, 1>(buffer.view()), std::span<int>(host));
  EXPECT_EQ(host, std::vector<int>(5, 0));
  std::iota(host.begin(), host.end(), 7);
  upload(exec, std::span<const int>(host), buffer.view());
  std::vector<int> back(3);
  download(exec, View<const int, 1>(buffer.view().slice(1, 3)), std::span<int>(back));
  EXPECT_EQ(back, (std::vector<int>{8, 9, 10}));
  EXPECT_EQ(empty.data(), nullptr);
}

__global__ void write_one(int* out) { *out = 1; }

TEST_F(CudaExecTest, LaunchesAreChecked) {
  const CudaExec exec;
  int out = 0;
  launch(exec, write_one, 0, 32, 0, &out);
  EXPECT_EQ(out, 0);
  launch(exec, write_one, 1, 32, 0, &out);
  EXPECT_EQ(out, 1);
  const std::string text = failure([&] { launch(exec, write_one, 1, 2048, 0, &out); });
  EXPECT_NE(text.find("cudaErrorInvalidConfiguration"), std::string::npos) << text;
  EXPECT_NE(text.find("launch.h:"), std::string::npos) << text;
  EXPECT_EQ(blocks_for(0, 128), 0u);
  EXPECT_EQ(blocks_for(129, 128), 2u);
  EXPECT_THROW(blocks_for(std::int64_t{1} << 40, 128), std::invalid_argument);
}

/// Copies that are late, from memory that the host writes again; with a wait between the two or without.
int copied_late(bool wait) {
  emulator::machine().streams = emulator::Streams::kLate;
  const CudaExec exec;
  const Buffer<CudaExec, int> there(exec, 1);
  const PinnedBuffer<int> pinned(1);
  const SideCopies copies(exec);
  for (const int number : {7, 8}) {
    if (wait) copies.wait_for_host(0);
    *pinned.data() = number;
    if (number == 8) break;
    copies.begin(0);
    copies.copy(there.data(), pinned.data(), sizeof(int));
    copies.end(0);
    copies.acquire(0);
  }
  return to_host(exec, there.view())[0];
}

TEST_F(CudaExecTest, LateStreamsShowWhatIsNotWaitedFor) {
  EXPECT_EQ(copied_late(true), 7);
  EXPECT_EQ(copied_late(false), 8);
}

TEST_F(CudaExecTest, LateStreamsWorkInTheirOrder) {
  for (const emulator::Streams streams : emulator::kStreams) {
    emulator::machine().streams = streams;
    const CudaExec exec;
    const Buffer<CudaExec, int> there(exec, 3);
    const std::vector<int> first{1, 2, 3}, then{4, 5};
    exec.copy_to_device(there.data(), first.data(), 12);
    exec.copy_to_device(there.data(), then.data(), 8);
    exec.copy_on_device(there.data() + 2, there.data(), 4);
    EXPECT_EQ(to_host(exec, there.view()), (std::vector<int>{4, 5, 4}));
  }
}

TEST_F(CudaExecTest, PinnedMemoryIsNotTheDevices) {
  const CudaExec exec;
  const std::int64_t free = cuda_free_memory();
  const std::size_t live = emulator::live_bytes();
  {
    const PinnedBuffer<double> pinned(1000), empty(0);
    EXPECT_EQ(cuda_free_memory(), free);
    EXPECT_EQ(emulator::live_bytes(), live + 8000);
    EXPECT_EQ(empty.data(), nullptr);
  }
  EXPECT_EQ(emulator::live_bytes(), live);
}

__global__ void add_to(int* total, const int* what) { *total += *what; }

// Run 1 is plain, run 2 recorded and launched, run 3 launched: the host's part happens twice, the device's
// work three times, each with the number that stands in memory by then.
TEST_F(CudaExecTest, ReplaysWhatWasRecorded) {
  const CudaExec exec;
  const Buffer<CudaExec, int> total(exec, 1), what(exec, 1);
  Replay<CudaExec> replay;
  int enqueued = 0;
  for (const int number : {1, 10, 100}) {
    upload(exec, std::vector{number}, what.view());
    replay(exec, [&] {
      ++enqueued;
      launch(exec, add_to, 1, 1, 0, total.data(), what.data());
    });
  }
  EXPECT_EQ(to_host(exec, total.view())[0], 111);
  EXPECT_EQ(enqueued, 2);
  Replay<CudaExec> moved = std::move(replay);
  moved(exec, [] { FAIL() << "it was recorded already"; });
  EXPECT_EQ(to_host(exec, total.view())[0], 211);
}

TEST_F(CudaExecTest, RecordingRefusesAllocationsAndWaiting) {
  const CudaExec exec;
  for (const std::function<void()>& bad :
       {std::function<void()>([&] { exec.synchronize(); }), {[&] { Buffer<CudaExec, int>(exec, 1); }}, {[] {
          throw std::runtime_error("cudaErrorStreamCapture of its own");
        }}}) {
    Replay<CudaExec> replay;
    replay(exec, [] {});
    EXPECT_NE(failure([&] { replay(exec, bad); }).find("cudaErrorStreamCapture"), std::string::npos);
    EXPECT_NO_THROW(exec.synchronize()) << "the stream is of use again";
  }
}

}  // namespace
}  // namespace felbo
