#include "kernels/log_counts/log_counts.h"
#include "kernels/log_counts/log_counts_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread

void log_of(const float* __restrict x, std::int64_t n, float* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = log_count(x[i]);
}

}  // namespace

void log_counts(const CpuExec& exec, const LogCountsArgs& args) {
  check(args);
  exec.parallel_for(args.x.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    log_of(args.x.data + begin, end - begin, args.y.data + begin);
  });
}

}  // namespace felbo
