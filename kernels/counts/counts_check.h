// What the counting ops refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/counts/counts.h"

namespace felbo {

inline void check(const AddCountsArgs& args) {
  FELBO_CHECK(args.total.size == 1, "add_counts: total has {} elements, expected 1", args.total.size);
}
inline void check(const AddNonFiniteArgs& args) {
  FELBO_CHECK(args.total.size == 1, "add_non_finite: total has {} elements, expected 1", args.total.size);
}

}  // namespace felbo
