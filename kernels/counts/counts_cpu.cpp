#include "kernels/common/check.h"
#include "kernels/counts/counts.h"

namespace felbo {

void add_counts(const CpuExec&, const AddCountsArgs& args) {
  FELBO_CHECK(args.total.size == 1, "add_counts: total has {} elements, expected 1", args.total.size);
  std::int64_t sum = 0;  // a batch of rows: too few to be worth a parallel region
  for (std::int64_t i = 0; i < args.counts.size; ++i) sum += args.counts(i);
  args.total(0) += sum;
}

}  // namespace felbo
