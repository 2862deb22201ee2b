#include "tests/emulator/emulator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "kernels/common/cuda/dynamic_shared.cuh"
#include "tests/emulator/planted_kernels.cuh"

namespace felbo::emulator {
namespace {

template <class... Parameters, class... Args>
cudaError_t launch(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...), Args... args) {
  const cudaLaunchConfig_t config{grid, block, shared, nullptr};
  return cudaLaunchKernelEx(&config, kernel, args...);
}

template <Bug kBug>
std::vector<float> run_sum() {
  std::vector<float> values(2 * kBlock), out(2, -1.0f);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13);
  launch(2, kBlock, 0, sum_block<kBug>, values.data(), out.data());
  return out;
}

/// What the emulator says about a kernel that must not pass.
template <class F>
std::string complaint(const F& run) {
  try {
    run();
  } catch (const KernelError& e) {
    return e.what();
  }
  return "nothing";
}

class EverySchedule : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { set_schedule(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Emulator, EverySchedule, testing::ValuesIn(kSchedules));

TEST_P(EverySchedule, RightKernelsAreRight) {
  float want[2] = {};
  for (int i = 0; i < 2 * kBlock; ++i) want[i / kBlock] += static_cast<float>(i % 13);
  EXPECT_EQ(run_sum<Bug::kNone>(), std::vector<float>(want, want + 2));
  std::vector<int> values(kBlock), out(kBlock);
  std::iota(values.begin(), values.end(), 0);
  launch(1, kBlock, 0, reverse_warps<Bug::kNone>, values.data(), out.data());
  for (int i = 0; i < kBlock; ++i) EXPECT_EQ(out[i], i / 32 * 32 + 31 - i % 32);
  launch(1, kBlock, 0, scan_block<Bug::kNone>, values.data(), out.data());
  for (int i = 0; i < kBlock; ++i) EXPECT_EQ(out[i], i * (i + 1) / 2);
}

TEST_P(EverySchedule, DivergentBarrierIsADeadlock) {
  EXPECT_EQ(complaint(run_sum<Bug::kDivergentBarrier>).substr(23),
            ": deadlock: threads 0-39 wait at __syncthreads; 40-127 have left the kernel");
}

TEST_P(EverySchedule, EarlyExitBeforeABarrierIsADeadlock) {
  EXPECT_EQ(complaint(run_sum<Bug::kEarlyExit>).substr(23),
            ": deadlock: threads 0-95 wait at __syncthreads; 96-127 have left the kernel");
}

TEST_P(EverySchedule, MasksThatDisagreeAreADeadlock) {
  const std::string text = complaint(run_sum<Bug::kWrongMask>);
  EXPECT_NE(text.find("wait at __shfl_xor_sync with mask 0x7fffffff"), std::string::npos) << text;
}

TEST_P(EverySchedule, LaneOutsideTheMaskIsAnError) {
  const std::string text = complaint(run_sum<Bug::kLaneOutsideMask>);
  EXPECT_NE(text.find("__shfl_xor_sync: reads lane "), std::string::npos) << text;
  EXPECT_NE(text.find("which is not in the mask"), std::string::npos) << text;
}

TEST_P(EverySchedule, TheEmulatorWorksOnAfterAFailure) {
  complaint(run_sum<Bug::kDivergentBarrier>);
  EXPECT_EQ(run_sum<Bug::kNone>()[0], run_sum<Bug::kNone>()[0]);
  EXPECT_EQ(run_sum<Bug::kNone>().size(), 2u);
}

__global__ void call_with_mask(unsigned mask) { __syncwarp(mask); }

TEST_P(EverySchedule, MasksThatCannotBeAreErrors) {
  const std::string absent = complaint([] { launch(1, 20, 0, call_with_mask, 0xffffffffu); });
  EXPECT_NE(absent.find("__syncwarp: the mask 0xffffffff names lanes from 20 on, which do not exist"),
            std::string::npos)
      << absent;
  const std::string without = complaint([] { launch(1, 32, 0, call_with_mask, 0u); });
  EXPECT_NE(without.find("__syncwarp: the mask 0x00000000 leaves out the calling lane"), std::string::npos)
      << without;
}

// This processor reads 16 bytes from anywhere; a device does not.
TEST_P(EverySchedule, MisalignedAddressesAreErrors) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "UndefinedBehaviorSanitizer ends the program first";
#endif
  alignas(16) float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  float out[2] = {};
  const auto sum = [&](const float* from) { launch(1, 2, 0, sum_sixteens, from, static_cast<float*>(out)); };
  sum(values);
  EXPECT_EQ(out[0], 10.0f);
  EXPECT_EQ(out[1], 26.0f);
  const std::string text = complaint([&] { sum(values + 1); });
  for (const char* part :
       {", thread ", ": an address that is 4 above a multiple of 16, ", "planted_kernels.cuh:"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  sum(values + 4);
  EXPECT_EQ(out[1], 42.0f);
}

// A missing barrier shows under some schedule: that is why there are five.
TEST(Emulator, SomeScheduleShowsAMissingBarrier) {
  std::set<std::vector<float>> results;
  for (const Schedule schedule : kSchedules) {
    set_schedule(schedule);
    results.insert(run_sum<Bug::kMissingBarrier>());
  }
  EXPECT_GT(results.size(), 1u);
}

__global__ void note_order(int* order, int* next, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    order[(*next)++] = static_cast<int>(threadIdx.x);
    __syncwarp();
  }
}

TEST(Emulator, SchedulesAreWhatTheyAreCalled) {
  std::map<Schedule, std::vector<int>> orders;
  for (const Schedule schedule : kSchedules) {
    set_schedule(schedule);
    std::vector<int> order(128);
    int next = 0;
    launch(1, 64, 0, note_order, order.data(), &next, 2);
    EXPECT_EQ(next, 128);
    orders[schedule] = order;
  }
  const auto& forward = orders[Schedule::kForward];
  const auto& greedy = orders[Schedule::kGreedyForward];
  for (int i = 0; i < 32; ++i) EXPECT_EQ(forward[i], i);
  // The last lane of a warp to arrive goes on at once; then greedy stays with the warp, and forward does not.
  EXPECT_EQ(forward[33], 32);
  EXPECT_EQ(greedy[33], 0);
  EXPECT_EQ(orders[Schedule::kReverse][0], 63);
  EXPECT_EQ(orders[Schedule::kGreedyReverse][0], 63);
  EXPECT_NE(orders[Schedule::kRandom], forward);
}

__global__ void warp_votes(unsigned* out) {
  const unsigned lane = threadIdx.x;
  const unsigned full = 0xffffffffu;
  out[lane] = __ballot_sync(full, lane % 3 == 0);
  out[32 + lane] = static_cast<unsigned>(__any_sync(full, lane == 31) + 2 * __any_sync(full, lane == 32) +
                                         4 * __all_sync(full, lane < 32) + 8 * __all_sync(full, lane < 31));
  if (lane < 8) out[64 + lane] = __ballot_sync(0xffu, lane != 2);
}

TEST_P(EverySchedule, Votes) {
  std::vector<unsigned> out(72);
  launch(1, 32, 0, warp_votes, out.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 0x49249249u);
    EXPECT_EQ(out[32 + i], 5u);
  }
  for (int i = 64; i < 72; ++i) EXPECT_EQ(out[i], 0xfbu);
}

__global__ void shuffles(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const unsigned full = 0xffffffffu;
  out[lane] = __shfl_sync(full, lane, 35);
  out[32 + lane] = __shfl_sync(full, lane, 3, 8);
  out[64 + lane] = __shfl_up_sync(full, lane, 3, 16);
  out[96 + lane] = __shfl_down_sync(full, lane, 3, 16);
  out[128 + lane] = __shfl_xor_sync(full, lane, 5);
  out[160 + lane] = static_cast<int>(__shfl_sync(full, 1e9 + lane, 7) - 1e9);
}

TEST_P(EverySchedule, Shuffles) {
  std::vector<int> out(192);
  launch(1, 32, 0, shuffles, out.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 3);
    EXPECT_EQ(out[32 + i], i / 8 * 8 + 3);
    EXPECT_EQ(out[64 + i], i % 16 < 3 ? i : i - 3);
    EXPECT_EQ(out[96 + i], i % 16 > 12 ? i : i + 3);
    EXPECT_EQ(out[128 + i], i ^ 5);
    EXPECT_EQ(out[160 + i], 7);
  }
}

__global__ void places(unsigned* seen) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  atomicAdd(&seen[block * blockDim.x * blockDim.y * blockDim.z + thread], 1u);
}

TEST_P(EverySchedule, EveryThreadOfEveryBlockRunsOnce) {
  std::vector<unsigned> seen(2 * 3 * 4 * 5 * 2 * 3);
  launch({2, 3, 4}, {5, 2, 3}, 0, places, seen.data());
  EXPECT_EQ(seen, std::vector<unsigned>(seen.size(), 1u));
}

__global__ void copy_dynamic_shared(unsigned char* out, int size) {
  const unsigned char* shared = felbo::dynamic_shared<unsigned char>();
  for (int i = 0; i < size; ++i) out[i] = shared[i];
}

TEST(Emulator, DynamicSharedMemoryIsPoisoned) {
  std::vector<unsigned char> out(40);
  launch(1, 1, 40, copy_dynamic_shared, out.data(), 40);
  EXPECT_EQ(out, std::vector<unsigned char>(40, 0xff));
}

TEST(Emulator, RefusesLaunchesThatADeviceRefuses) {
  EXPECT_EQ(launch(0, 32, 0, call_with_mask, 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch({1, 65536}, 32, 0, call_with_mask, 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, 1025, 0, call_with_mask, 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, {32, 33}, 0, call_with_mask, 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, 32, 48 * 1024 + 1, call_with_mask, 1u), cudaErrorInvalidConfiguration);
}

TEST(Emulator, MemoryIsPoisonedAndCounted) {
  const std::size_t before = live_bytes();
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 100), cudaSuccess);
  EXPECT_EQ(live_bytes(), before + 100);
  EXPECT_EQ(static_cast<unsigned char*>(memory)[99], 0xff);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  EXPECT_EQ(live_bytes(), before);
  EXPECT_EQ(cudaMalloc(&memory, machine().total_memory + 1), cudaErrorMemoryAllocation);
}

TEST(Emulator, ScheduleNames) {
  EXPECT_EQ(schedule_from_name("greedy-reverse"), Schedule::kGreedyReverse);
  EXPECT_THROW(schedule_from_name("backward"), std::invalid_argument);
}

}  // namespace
}  // namespace felbo::emulator
