#include "benchmarks/curand_normals.h"

#if FELBO_WITH_CUDA

#include <dlfcn.h>

#include <cstddef>
#include <string>

namespace felbo::bench {
namespace {

constexpr int kPhilox4x32x10 = 161;  // CURAND_RNG_PSEUDO_PHILOX4_32_10

/// The functions of cuRAND that are called. All return 0 for success.
struct Curand {
  Curand() {
    const std::string name = "libcurand.so.10";
    for (const std::string& path : {name, FELBO_CUDA_LIBRARY_DIR "/" + name}) {
      void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library == nullptr) continue;
      find_all(library);
      return;
    }
  }

  void find_all(void* library) {
    find(library, "curandCreateGenerator", create);
    find(library, "curandDestroyGenerator", destroy);
    find(library, "curandSetStream", set_stream);
    find(library, "curandGenerateNormal", normal);
    complete = create != nullptr && destroy != nullptr && set_stream != nullptr && normal != nullptr;
  }
  template <class F>
  static void find(void* library, const char* symbol, F& function) {
    function = reinterpret_cast<F>(::dlsym(library, symbol));
  }

  bool complete = false;
  int (*create)(void** generator, int type) = nullptr;
  int (*destroy)(void* generator) = nullptr;
  int (*set_stream)(void* generator, CUstream_st* stream) = nullptr;
  int (*normal)(void* generator, float* to, std::size_t count, float mean, float deviation) = nullptr;
};

const Curand& curand() {
  static const Curand curand;
  return curand;
}

}  // namespace

CurandNormals::CurandNormals(const CudaExec& exec) {
  if (!curand().complete || curand().create(&generator_, kPhilox4x32x10) != 0) {
    generator_ = nullptr;
  } else if (curand().set_stream(generator_, exec.stream()) != 0) {
    curand().destroy(generator_);
    generator_ = nullptr;
  }
}

CurandNormals::~CurandNormals() {
  if (generator_ != nullptr) curand().destroy(generator_);
}

bool CurandNormals::fill(float* to, std::int64_t count) const {
  return generator_ != nullptr &&
         curand().normal(generator_, to, static_cast<std::size_t>(count), 0.0f, 1.0f) == 0;
}

}  // namespace felbo::bench

#endif
