// Checks of CUDA calls. A call that fails is a failure of the machine: std::runtime_error, exit status 1.
#pragma once

#include <cuda_runtime.h>
#include <fmt/core.h>

#include <stdexcept>

namespace felbo {

inline void cuda_check(cudaError_t error, const char* call, const char* file, int line) {
  if (error == cudaSuccess) [[likely]]
    return;
  throw std::runtime_error(fmt::format("{}:{}: {} failed: {} ({})", file, line, call,
                                       cudaGetErrorString(error), cudaGetErrorName(error)));
}

}  // namespace felbo

/// Throws std::runtime_error with the place, the call and CUDA's reason unless `call` returns cudaSuccess.
#define FELBO_CUDA_CHECK(call) ::felbo::cuda_check((call), #call, __FILE__, __LINE__)
