#include "kernels/round/round.h"
#include "kernels/round/round_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread

void round_elements(std::int64_t n, const float* __restrict from, BFloat16* __restrict to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = BFloat16(from[i]);
}

}  // namespace

void round_to_bfloat16(const CpuExec& exec, const RoundArgs& args) {
  check(args);
  exec.parallel_for(args.from.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    round_elements(end - begin, args.from.data + begin, args.to.data + begin);
  });
}

}  // namespace felbo
