// Where a run stands beside its ModelState: what its books need to go on as if it had not stopped.
#pragma once

#include <cstdint>

#include "host/train/training_step.h"

namespace felbo {

struct RunProgress {
  // Of the epoch under way:
  std::int64_t steps = 0;  // taken
  TrainingTotals totals;   // sums over them
  double seconds = 0.0;    // that they took

  int best_epoch = 0;      // the epoch whose checkpoint had the best held-out ELBO; 0: none yet
  double best_elbo = 0.0;  // nats a datum
};

}  // namespace felbo
