#include "kernels/round/round.h"
#include "kernels/round/round_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread

}  // namespace

void round_to_bfloat16(const CpuExec& exec, const RoundArgs& args) {
  check(args);
  exec.parallel_for(args.from.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    round_to_bfloat16(args.from.data + begin, end - begin, args.to.data + begin);
  });
}

}  // namespace felbo
