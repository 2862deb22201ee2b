// The whole training step against its matrix products alone.
#pragma once

#include <cstdint>
#include <string>

#include "host/exec/cpu_exec.h"

namespace felbo::bench {

/// A step of a Bernoulli VAE X-H-Z-H-X with ReLU on dynamically binarised bytes: the way of the data from the
/// gather to Adam, timed in turn with the same matrix products by oneDNN's sgemm on the same number of
/// threads.
struct StepTiming {
  std::string name;
  std::int64_t batch;
  double seconds;          // of a step
  double product_seconds;  // of its products alone
  double share;            // product_seconds / seconds, the median over pairs
  double flops;            // of the products of a step
};
StepTiming time_step(const CpuExec& exec, std::int64_t X, std::int64_t H, std::int64_t Z, std::int64_t batch);

}  // namespace felbo::bench
