// What every Adam refuses.
#pragma once

#include "kernels/adam/adam.h"
#include "kernels/common/check.h"

namespace felbo {

inline void check(const AdamArgs& args) {
  const std::int64_t count = args.parameter.size;
  FELBO_CHECK(args.gradient.size == count && args.m.size == count && args.v.size == count,
              "adam: {} parameters, but {} gradients, {} first and {} second moments", count,
              args.gradient.size, args.m.size, args.v.size);
  FELBO_CHECK(args.rounded.empty() || args.rounded.size == count,
              "adam: {} parameters, but room for {} in bfloat16", count, args.rounded.size);
}

}  // namespace felbo
