// The versions of what computes on a GPU beside felbo's own kernels. This header needs no CUDA header; what
// it declares is in the library felbo::cuda.
#pragma once

#include <map>
#include <string>

namespace felbo {

/// By name, as "12.4": `cuda_driver` (the newest CUDA that it knows), `cuda_runtime` (in this program) and
/// `cublaslt`. Throws std::runtime_error if CUDA does not say.
std::map<std::string, std::string> cuda_libraries();

}  // namespace felbo
