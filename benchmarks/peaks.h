// What this machine can do, measured in the run that quotes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "benchmarks/bench_exec.h"
#include "benchmarks/roof.h"
#include "host/exec/precision.h"

namespace felbo::bench {

/// Bytes a second of a copy between two arrays far larger than the caches, the bytes read and the bytes
/// written counted once each. On a CPU the faster of a plain loop and the C library's memcpy, whose stores
/// bypass the cache; on a GPU the runtime's copy.
struct Bandwidth {
  std::int64_t array_bytes;
  double bytes_per_second;
};
Bandwidth copy_bandwidth(const CpuExec& exec);

/// Operations a second of a large product of square matrices: by oneDNN on a CPU's threads in float32, by
/// cuBLASLt on a GPU in `precision`.
struct ProductRate {
  std::int64_t size;  // rows and columns
  double flops_per_second;
  std::string by;
};
ProductRate product_rate(const CpuExec& exec, Precision precision);

/// Words of Philox4x32-10 a second where next to nothing else is done.
double word_rate(const CpuExec& exec);

/// Measures one of the peaks (in fp32) once more, by one timing: beside what it bounds, because the speed of
/// a machine that is shared drifts. Keeps the arrays of those that it was asked for.
using PeakMeter = std::function<double(Roof)>;
PeakMeter peak_meter(const CpuExec& exec);

#if FELBO_WITH_CUDA
Bandwidth copy_bandwidth(const CudaExec& exec);
ProductRate product_rate(const CudaExec& exec, Precision precision);
double word_rate(const CudaExec& exec);
PeakMeter peak_meter(const CudaExec& exec);
#endif

}  // namespace felbo::bench
