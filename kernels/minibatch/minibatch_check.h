// What every next_minibatch refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/minibatch/minibatch.h"

namespace felbo {

inline void check(const NextMinibatchArgs& args) {
  FELBO_CHECK(args.rows.size >= 1 && args.rows.size <= args.batch && args.rows.size <= args.order.size,
              "next_minibatch: {} rows of batches of {} from an order of {}", args.rows.size, args.batch,
              args.order.size);
  FELBO_CHECK(args.position.size == 1 && args.now.size == 1,
              "next_minibatch: position and now have one element each, got {} and {}", args.position.size,
              args.now.size);
}

}  // namespace felbo
