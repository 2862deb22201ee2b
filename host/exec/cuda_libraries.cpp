#include "host/exec/cuda_libraries.h"

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "kernels/common/check.h"
#include "kernels/common/cuda/check.h"

namespace felbo {

std::map<std::string, std::string> cuda_libraries() {
  int driver = 0, runtime = 0;
  FELBO_CUDA_CHECK(cudaDriverGetVersion(&driver));
  FELBO_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  const auto text = [](int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); };
  const std::size_t blas = cublasLtGetVersion();
  return {{"cuda_driver", text(driver)},
          {"cuda_runtime", text(runtime)},
          {"cublaslt", fmt::format("{}.{}.{}", blas / 10000, blas / 100 % 100, blas % 100)}};
}

}  // namespace felbo
