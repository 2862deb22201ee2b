// What every rounding refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/round/round.h"

namespace felbo {

inline void check(const RoundArgs& args) {
  FELBO_CHECK(args.from.size == args.to.size, "round_to_bfloat16: {} floats, but room for {}", args.from.size,
              args.to.size);
}

}  // namespace felbo
