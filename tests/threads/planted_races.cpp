// Loops as ops write them, right and with a planted race, for the check that ThreadSanitizer sees the one and
// is silent on the other: it knows OpenMP's forks and joins only where the runtime tells it of them.
//   planted_races right|one-sum|one-too-far|no-barrier
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "host/exec/cpu_exec.h"

namespace felbo {
namespace {

constexpr std::int64_t kSize = 4096;

/// Each thread its share, and the next region reads across the shares.
float right(const CpuExec& exec) {
  std::vector<float> x(kSize), y(kSize);
  for (int round = 0; round < 20; ++round) {
    exec.parallel_for(kSize, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x[i] += static_cast<float>(i);
    });
    exec.parallel_for(kSize, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = x[kSize - 1 - i];
    });
    x[0] = y[kSize - 1];
  }
  return y[0];
}

/// A sum that all threads add to.
float one_sum(const CpuExec& exec) {
  float sum = 0.0f;
  exec.parallel_for(kSize, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) sum += static_cast<float>(i);
  });
  return sum;
}

/// A share that ends one too late.
float one_too_far(const CpuExec& exec) {
  std::vector<float> x(kSize + 1);
  for (int round = 0; round < 20; ++round) {
    exec.parallel_for(kSize, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end + 1; ++i) x[i] += 1.0f;
    });
  }
  return x[0];
}

/// Reads another thread's share within the region that writes it.
float no_barrier(const CpuExec& exec) {
  std::vector<float> x(kSize), y(kSize);
  for (int round = 0; round < 20; ++round) {
    exec.parallel(2, [&](Team team) {
      const Range mine = team.share(kSize);
      for (std::int64_t i = mine.begin; i < mine.end; ++i) x[i] += 1.0f;
      for (std::int64_t i = mine.begin; i < mine.end; ++i) y[i] = x[kSize - 1 - i];
    });
  }
  return y[0];
}

float run(const std::string& name) {
  const CpuExec exec(2);
  if (name == "one-sum") return one_sum(exec);
  if (name == "one-too-far") return one_too_far(exec);
  if (name == "no-barrier") return no_barrier(exec);
  return right(exec);
}

}  // namespace
}  // namespace felbo

int main(int argc, char** argv) {
  std::printf("%g\n", static_cast<double>(felbo::run(argc > 1 ? argv[1] : "right")));
  return 0;
}
