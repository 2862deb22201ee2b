// What add_counts refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/counts/counts.h"

namespace felbo {

inline void check(const AddCountsArgs& args) {
  FELBO_CHECK(args.total.size == 1, "add_counts: total has {} elements, expected 1", args.total.size);
}

}  // namespace felbo
