// What this machine can do, measured in the run that quotes it.
#pragma once

#include "host/exec/cpu_exec.h"

namespace felbo::bench {

/// Bytes a second of a copy between two arrays far larger than the caches, the bytes read and the bytes
/// written counted once each: the faster of a plain loop and the C library's memcpy, whose stores bypass the
/// cache.
double copy_bandwidth(const CpuExec& exec);

/// float32 operations a second of a large product by oneDNN on exec's threads.
double product_rate(const CpuExec& exec);

}  // namespace felbo::bench
