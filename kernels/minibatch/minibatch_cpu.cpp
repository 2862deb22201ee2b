#include <algorithm>

#include "kernels/minibatch/minibatch.h"
#include "kernels/minibatch/minibatch_check.h"

namespace felbo {

void next_minibatch(const CpuExec&, const NextMinibatchArgs& args) {
  check(args);
  const std::int64_t step = args.position(0)++;
  std::copy_n(args.order.data + step * args.batch, args.rows.size, args.rows.data);
  args.now(0) = args.plan(step);
}

}  // namespace felbo
