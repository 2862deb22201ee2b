// The whole training step against its matrix products alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "host/exec/precision.h"

namespace felbo::bench {

/// A step of a Bernoulli VAE X-H-Z-H-X with ReLU on dynamically binarised bytes: the way of the data from the
/// gather to Adam, timed in turn with its matrix products alone: on a CPU by oneDNN's sgemm on the same
/// number of threads, on a GPU by the dense ops, recorded and replayed as the step is.
struct StepTiming {
  std::string name;  // of the shape
  std::int64_t batch;
  double seconds;          // of a step
  double product_seconds;  // of its products alone
  double share;            // product_seconds / seconds, the median over pairs
  double flops;            // of the products of a step
};
struct StepShape {
  std::int64_t dimensions;
  std::vector<std::int64_t> hidden;
  std::int64_t latent, batch;
};
/// "784-500-20-500-784"
std::string name_of(const StepShape& shape);
/// In `precision`, which on a CPU is fp32.
StepTiming time_step(const StepShape& shape, Precision precision);

}  // namespace felbo::bench
