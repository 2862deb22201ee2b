// The whole training step against its matrix products alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/stepped_model.h"
#include "host/exec/precision.h"

namespace felbo::bench {

/// A step of SteppedModel timed in turn with its matrix products alone: on a CPU by oneDNN's sgemm on the
/// same number of threads, on a GPU by the dense ops, recorded and replayed as the step is.
struct StepTiming {
  std::string name;  // of the shape
  std::int64_t batch;
  double seconds;          // of a step
  double product_seconds;  // of its products alone
  double share;            // product_seconds / seconds, the median over pairs
  double flops;            // of the products of a step
  std::int64_t launches;   // ops of a step on a CPU; on a GPU nodes of the graph that is replayed
};
/// "784-500-20-500-784"
std::string name_of(const StepShape& shape);
/// In `precision`, which on a CPU is fp32.
StepTiming time_step(const StepShape& shape, Precision precision);

}  // namespace felbo::bench
