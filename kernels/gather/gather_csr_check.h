// What every gather of sparse rows refuses, and what one element becomes.
#pragma once

#include "kernels/common/check.h"
#include "kernels/gather/gather_csr.h"
#include "kernels/gather/gather_math.h"

namespace felbo {

inline void check(const GatherCsrArgs& args) {
  FELBO_CHECK(args.begin.size >= 1, "gather: sparse data need the begin of each row and the end of the last");
  FELBO_CHECK(args.column.size == args.value.size, "gather: {} columns for {} values", args.column.size,
              args.value.size);
  FELBO_CHECK(args.rows.size == args.x.rows, "gather: {} row indices for a batch of {} rows", args.rows.size,
              args.x.rows);
  FELBO_CHECK(args.rounded.empty() || (args.rounded.rows == args.x.rows && args.rounded.cols == args.x.cols),
              "gather: a batch of {} x {}, but room for {} x {} in bfloat16", args.x.rows, args.x.cols,
              args.rounded.rows, args.rounded.cols);
}

/// Element `column` of row `datum`, whose value is v.
FELBO_HD inline float sparse_element(const GatherCsrArgs& args, std::uint32_t datum, std::uint32_t column,
                                     float v) {
  if (args.binarize == Binarize::kNone) return v;
  if (args.binarize == Binarize::kThreshold) return gather_math::threshold(v);
  return gather_math::draw(v, args.noise.words(datum, 0, column / 4)[static_cast<int>(column % 4)]);
}

}  // namespace felbo
