// What every log_counts refuses, and one element of it.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/log_counts/log_counts.h"

namespace felbo {

template <class T>
void check(const LogCountsArgsOf<T>& args) {
  FELBO_CHECK(args.x.size == args.y.size, "log_counts: {} counts, but room for {}", args.x.size, args.y.size);
}

/// 1 + x is exact for counts.
FELBO_HD inline float log_count(float x) { return math::log_normal(math::add(1.0f, x)); }

}  // namespace felbo
