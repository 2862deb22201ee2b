// What next_minibatch() moves; it computes nothing.
#pragma once

#include "kernels/common/work.h"
#include "kernels/minibatch/minibatch.h"

namespace felbo {

/// An index a datum read and written, and the step's plan and position.
constexpr Work next_minibatch_work(std::int64_t batch) {
  return work_of(batch, 8.0, 0.0) + work_of(1, 2.0 * sizeof(StepPlan) + 2.0 * sizeof(std::int64_t), 0.0);
}

}  // namespace felbo
