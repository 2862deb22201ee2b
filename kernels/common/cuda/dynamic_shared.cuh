// The block's dynamic shared memory.
#pragma once

#include <cuda_runtime.h>

namespace felbo {

/// As many bytes as launch() was given, aligned to 16, not initialised.
template <class T>
__device__ inline T* dynamic_shared() {
#if defined(FELBO_EMULATED_CUDA)
  return static_cast<T*>(emulator::dynamic_shared());
#else
  extern __shared__ __align__(16) unsigned char felbo_dynamic_shared[];
  return reinterpret_cast<T*>(felbo_dynamic_shared);
#endif
}

}  // namespace felbo
