// Normals as a program gets them from cuRAND.
#pragma once

#if FELBO_WITH_CUDA

#include <cstdint>

#include "host/exec/cuda_exec.h"

namespace felbo::bench {

/// cuRAND's Philox4x32-10 generator, by its host interface on the stream of a CudaExec. The library is looked
/// for when the first one is made, and nothing here needs its header.
class CurandNormals {
 public:
  explicit CurandNormals(const CudaExec& exec);
  ~CurandNormals();
  CurandNormals(const CurandNormals&) = delete;
  CurandNormals& operator=(const CurandNormals&) = delete;

  /// Enqueues `count` normals (an even number of them) to device memory. False if there is no cuRAND, or it
  /// refuses.
  bool fill(float* to, std::int64_t count) const;

 private:
  void* generator_ = nullptr;
};

}  // namespace felbo::bench

#endif
