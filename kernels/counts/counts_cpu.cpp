#include "kernels/counts/counts.h"
#include "kernels/counts/counts_check.h"
#include "kernels/counts/counts_math.h"

namespace felbo {

void add_counts(const CpuExec&, const AddCountsArgs& args) {
  check(args);
  std::int64_t sum = 0;  // a batch of rows: too few to be worth a parallel region
  for (std::int64_t i = 0; i < args.counts.size; ++i) sum += args.counts(i);
  args.total(0) += sum;
}

void add_non_finite(const CpuExec&, const AddNonFiniteArgs& args) {
  check(args);
  std::int64_t found = 0;  // once an epoch over the parameters: not worth a parallel region either
  for (std::int64_t i = 0; i < args.values.size; ++i) found += counts_math::is_non_finite(args.values(i));
  args.total(0) += found;
}

}  // namespace felbo
