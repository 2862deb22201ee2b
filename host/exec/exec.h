// The kinds of Exec, for headers that only name them.
#pragma once

#include "host/exec/cpu_exec.h"

namespace felbo {

/// Runs ops on an NVIDIA GPU: host/exec/cuda_exec.h. Named here so that ops can be declared for it where no
/// CUDA toolkit is installed; their definitions are in the library felbo::cuda.
class CudaExec;

}  // namespace felbo
