// Where the tests of an op run. One test source serves every Exec: it is compiled for the CPU, and with
// FELBO_TEST_CUDA for CUDA, where it is linked with the emulator or with a real device. A test asks exec()
// for an Exec and keeps what the op touches in Array or Guarded, which the device reaches too.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <vector>

#if defined(FELBO_TEST_CUDA)
#include "host/exec/cuda_exec.h"
#else
#include "host/exec/cpu_exec.h"
#endif

namespace felbo::test {

#if defined(FELBO_TEST_CUDA)

inline const CudaExec& the_cuda_exec() {
  static const CudaExec exec;
  return exec;
}

/// A device; waits at the end of the statement that asked for it, so that results can be read.
class Exec {
 public:
  explicit Exec(const CudaExec& exec) : exec_(exec) {}
  Exec(const Exec&) = delete;
  Exec& operator=(const Exec&) = delete;
  ~Exec() noexcept(false) {
    if (std::uncaught_exceptions() == 0) exec_.synchronize();
  }
  operator const CudaExec&() const { return exec_; }

 private:
  const CudaExec& exec_;
};

/// A CPU has threads to choose; a device does not.
inline Exec exec(int /*threads*/) { return Exec(the_cuda_exec()); }

/// The kind of Exec, and one that a test keeps: host code is made for it.
using ExecType = CudaExec;
using ExecHandle = const CudaExec&;
inline ExecHandle open_exec(int /*threads*/) { return the_cuda_exec(); }

/// Without a device the program's tests are skipped, and it says so; with FELBO_REQUIRE_GPU=1 they fail.
class DeviceCheck : public testing::Environment {
 public:
  void SetUp() override {
    try {
      the_cuda_exec();
    } catch (const std::runtime_error& e) {
      const char* required = std::getenv("FELBO_REQUIRE_GPU");
      if (required != nullptr && required[0] == '1') {
        FAIL() << e.what();
      } else {
        GTEST_SKIP() << "not run on a GPU: " << e.what();
      }
    }
  }
};
inline testing::Environment* const device_check = testing::AddGlobalTestEnvironment(new DeviceCheck);

/// Memory that host and device both reach.
template <class T>
struct Allocator {
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(cuda_allocate(CudaMemory::kManaged, static_cast<std::int64_t>(n * sizeof(T))));
  }
  void deallocate(T* p, std::size_t) { cuda_free(CudaMemory::kManaged, p); }
  template <class U>
  bool operator==(const Allocator<U>&) const {
    return true;
  }
};

#else

inline CpuExec exec(int threads) { return CpuExec(threads); }

using ExecType = CpuExec;
using ExecHandle = CpuExec;
inline ExecHandle open_exec(int threads) { return CpuExec(threads); }

template <class T>
using Allocator = std::allocator<T>;

#endif

/// A std::vector that ops can read and write on any Exec.
template <class T>
using Array = std::vector<T, Allocator<T>>;

}  // namespace felbo::test
