// cuBLASLt's functions, each found in the shared library when it is first called. Linked in the usual way the
// library, half a gigabyte, would be loaded whenever the program starts, and the program would not start at
// all on a machine without it, on which it has a CPU to run on.
#include <cublasLt.h>
#include <dlfcn.h>

#include <string>

#include "host/exec/cublas_lt.h"

namespace felbo {
namespace {

#define FELBO_TEXT_OF(x) #x
#define FELBO_TEXT(x) FELBO_TEXT_OF(x)
constexpr const char* kName = "libcublasLt.so." FELBO_TEXT(CUBLAS_VER_MAJOR);

struct Library {
  void* handle = nullptr;
  std::string failure;

  Library() {
    // Where the loader looks, and then where the toolkit was that this program was built with.
    for (const std::string& path : {std::string(kName), FELBO_CUDA_LIBRARY_DIR "/" + std::string(kName)}) {
      handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle != nullptr) return;
      if (failure.empty()) failure = ::dlerror();
    }
  }
};

Library& library() {
  static Library library;
  return library;
}

template <class F>
F* find(const char* name) {
  return library().handle == nullptr ? nullptr : reinterpret_cast<F*>(::dlsym(library().handle, name));
}

}  // namespace

std::string cublas_lt_failure() {
  if (library().handle != nullptr) return {};
  return std::string(kName) + " cannot be loaded (" + library().failure +
         "); install cuBLAS of the CUDA toolkit, or put its folder on LD_LIBRARY_PATH";
}

}  // namespace felbo

/// Defines cuBLASLt's function `name`, which calls the library's.
#define FELBO_FORWARD(name, parameters, arguments)                           \
  cublasStatus_t CUBLASWINAPI name parameters {                              \
    static auto* const call = felbo::find<decltype(name)>(#name);            \
    return call == nullptr ? CUBLAS_STATUS_NOT_INITIALIZED : call arguments; \
  }

extern "C" {

FELBO_FORWARD(cublasLtCreate, (cublasLtHandle_t * handle), (handle))
FELBO_FORWARD(cublasLtDestroy, (cublasLtHandle_t handle), (handle))
FELBO_FORWARD(cublasLtMatmul,
              (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
               cublasLtMatrixLayout_t layout_a, const void* b, cublasLtMatrixLayout_t layout_b,
               const void* beta, const void* c, cublasLtMatrixLayout_t layout_c, void* d,
               cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t* algo, void* workspace,
               size_t bytes, cudaStream_t stream),
              (handle, desc, alpha, a, layout_a, b, layout_b, beta, c, layout_c, d, layout_d, algo, workspace,
               bytes, stream))
FELBO_FORWARD(cublasLtMatmulAlgoGetHeuristic,
              (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
               cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
               cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t results[],
               int* count),
              (handle, desc, a, b, c, d, preference, wanted, results, count))
FELBO_FORWARD(cublasLtMatmulDescCreate,
              (cublasLtMatmulDesc_t * desc, cublasComputeType_t compute, cudaDataType_t scale),
              (desc, compute, scale))
FELBO_FORWARD(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t desc), (desc))
FELBO_FORWARD(cublasLtMatmulDescSetAttribute,
              (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void* value,
               size_t size),
              (desc, attribute, value, size))
FELBO_FORWARD(cublasLtMatrixLayoutCreate,
              (cublasLtMatrixLayout_t * layout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld),
              (layout, type, rows, cols, ld))
FELBO_FORWARD(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout), (layout))
FELBO_FORWARD(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * preference), (preference))
FELBO_FORWARD(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference), (preference))
FELBO_FORWARD(cublasLtMatmulPreferenceSetAttribute,
              (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
               const void* value, size_t size),
              (preference, attribute, value, size))

size_t CUBLASWINAPI cublasLtGetVersion() {
  static auto* const call = felbo::find<decltype(cublasLtGetVersion)>("cublasLtGetVersion");
  return call == nullptr ? 0 : call();
}
const char* CUBLASWINAPI cublasLtGetStatusName(cublasStatus_t status) {
  static auto* const call = felbo::find<decltype(cublasLtGetStatusName)>("cublasLtGetStatusName");
  return call == nullptr ? "cuBLASLt is not loaded" : call(status);
}
const char* CUBLASWINAPI cublasLtGetStatusString(cublasStatus_t status) {
  static auto* const call = felbo::find<decltype(cublasLtGetStatusString)>("cublasLtGetStatusString");
  return call == nullptr ? "cuBLASLt is not loaded" : call(status);
}

}  // extern "C"
