// planted_bugs KERNEL: runs one small kernel under every schedule; for AddressSanitizer and ThreadSanitizer,
// whose reports end a program. Exit status 0 if nothing was reported and the results are right.
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "tests/emulator/emulator.h"
#include "tests/emulator/planted_kernels.cuh"

using namespace felbo::emulator;

namespace {

template <Bug kBug>
bool sums() {
  std::vector<float> values(3 * kBlock), out(3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7);
  const cudaLaunchConfig_t config{3, kBlock, 0, nullptr};
  cudaLaunchKernelEx(&config, sum_block<kBug>, values.data(), out.data());
  for (int b = 0; b < 3; ++b) {
    if (out[b] != std::accumulate(values.begin() + b * kBlock, values.begin() + (b + 1) * kBlock, 0.0f))
      return false;
  }
  return true;
}

template <Bug kBug>
bool reverses() {
  std::vector<int> values(kBlock), out(kBlock);
  std::iota(values.begin(), values.end(), 0);
  const cudaLaunchConfig_t config{1, kBlock, 0, nullptr};
  cudaLaunchKernelEx(&config, reverse_warps<kBug>, values.data(), out.data());
  for (int i = 0; i < kBlock; ++i) {
    if (out[i] != i / 32 * 32 + 31 - i % 32) return false;
  }
  return true;
}

template <Bug kBug>
bool scans() {
  std::vector<int> values(kBlock, 1), out(kBlock);
  const cudaLaunchConfig_t config{1, kBlock, 0, nullptr};
  cudaLaunchKernelEx(&config, scan_block<kBug>, values.data(), out.data());
  for (int i = 0; i < kBlock; ++i) {
    if (out[i] != i + 1) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  bool right = true;
  for (const Schedule schedule : kSchedules) {
    set_schedule(schedule);
    if (std::strcmp(name, "right") == 0)
      right &= sums<Bug::kNone>() && reverses<Bug::kNone>() && scans<Bug::kNone>();
    if (std::strcmp(name, "missing-syncthreads") == 0) sums<Bug::kMissingBarrier>();
    if (std::strcmp(name, "missing-syncwarp") == 0) reverses<Bug::kMissingBarrier>();
    if (std::strcmp(name, "missing-second-barrier") == 0) scans<Bug::kMissingBarrier>();
    if (std::strcmp(name, "shared-overrun") == 0) sums<Bug::kSharedOverrun>();
  }
  std::puts(right ? "results are right" : "results are wrong");
  return right ? 0 : 1;
}
