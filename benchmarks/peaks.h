// What this machine can do, measured in the run that quotes it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "benchmarks/bench_exec.h"
#include "host/exec/precision.h"
#include "kernels/common/work.h"

namespace felbo::bench {

/// Bytes, operations in fp32 and random words a second.
struct Peaks {
  double bytes_per_second = 0.0, flops_per_second = 0.0, words_per_second = 0.0;
  std::string by;  // which product computes so many operations
};
/// What a call with this work takes at least.
inline double least_seconds(const Work& work, const Peaks& peaks) {
  return std::max({work.bytes / peaks.bytes_per_second, work.operations / peaks.flops_per_second,
                   work.words / peaks.words_per_second});
}

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

#if FELBO_WITH_CUDA
Bandwidth copy_bandwidth(const CudaExec& exec);
ProductRate product_rate(const CudaExec& exec, Precision precision);
double word_rate(const CudaExec& exec);
#endif

}  // namespace felbo::bench
