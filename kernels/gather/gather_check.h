// What every gather refuses.
#pragma once

#include <cmath>

#include "kernels/common/check.h"
#include "kernels/gather/gather.h"

namespace felbo {

template <class T>
void check(const GatherArgs<T>& args) {
  FELBO_CHECK(args.rows.size == args.x.rows, "gather: {} row indices for a batch of {} rows", args.rows.size,
              args.x.rows);
  FELBO_CHECK(args.data.cols == args.x.cols, "gather: data of {} columns for a batch of {} columns",
              args.data.cols, args.x.cols);
  FELBO_CHECK(args.rounded.empty() || (args.rounded.rows == args.x.rows && args.rounded.cols == args.x.cols),
              "gather: a batch of {} x {}, but room for {} x {} in bfloat16", args.x.rows, args.x.cols,
              args.rounded.rows, args.rounded.cols);
  FELBO_CHECK(std::isfinite(args.divisor) && args.divisor > 0.0f,
              "gather: the divisor must be positive and finite, got {}", args.divisor);
}

}  // namespace felbo
