// Running totals of counts: per-row ones, such as the log-variances that a clamp held, and numbers that are
// none.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/view.h"

namespace felbo {

struct AddCountsArgs {
  View<const std::int32_t, 1> counts;  // (R)
  View<std::int64_t, 1> total;         // (1) total += sum of counts
};

/// Throws std::invalid_argument unless `total` has one element.
void add_counts(const CpuExec& exec, const AddCountsArgs& args);
void add_counts(const CudaExec& exec, const AddCountsArgs& args);

struct AddNonFiniteArgs {
  View<const float, 1> values;  // (P)
  View<std::int64_t, 1> total;  // (1) total += how many values are NaN or infinite
};

/// Throws std::invalid_argument unless `total` has one element.
void add_non_finite(const CpuExec& exec, const AddNonFiniteArgs& args);
void add_non_finite(const CudaExec& exec, const AddNonFiniteArgs& args);

}  // namespace felbo
