#include "kernels/counts/counts.h"
#include "kernels/counts/counts_check.h"

namespace felbo {

void add_counts(const CpuExec&, const AddCountsArgs& args) {
  check(args);
  std::int64_t sum = 0;  // a batch of rows: too few to be worth a parallel region
  for (std::int64_t i = 0; i < args.counts.size; ++i) sum += args.counts(i);
  args.total(0) += sum;
}

}  // namespace felbo
