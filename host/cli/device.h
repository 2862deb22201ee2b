// --device: which Exec a verb runs on.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>

#include "host/exec/cpu_exec.h"
#include "host/exec/data_place.h"
#include "host/exec/precision.h"
#if FELBO_WITH_CUDA
#include "host/exec/cuda_exec.h"
#endif

namespace felbo {

/// What the user asked for.
struct DeviceRequest {
  std::string device = "auto";  // auto, cpu, cuda or cuda:N
  int threads = 0;              // of the CPU; 0 for all cores
  Precision precision = Precision::kFp32;
  std::string data_on = "auto";  // auto, device or host
};

/// The index of the GPU to run on, or nothing for the CPU: `auto` takes GPU 0 where this build and this
/// machine have one that felbo can use. Throws std::invalid_argument for an unknown name, and
/// std::runtime_error if CUDA was asked for by name and this build has no CUDA back end.
std::optional<int> cuda_index(const DeviceRequest& request);

/// Throws std::invalid_argument unless the CPU has the precision asked for, which is fp32 alone.
void check_cpu_precision(const DeviceRequest& request);

/// The processor's name as /proc/cpuinfo has it, "unknown processor" where there is none.
std::string cpu_name();

/// "cpu (2 threads)", "cuda:0 (NVIDIA H200)".
inline std::string describe_device(const CpuExec& exec) {
  return fmt::format("cpu ({} threads)", exec.threads());
}
#if FELBO_WITH_CUDA
inline std::string describe_device(const CudaExec& exec) {
  return fmt::format("cuda:{} ({})", exec.device().index, exec.device().name);
}
#endif

/// Calls f(exec) with the Exec asked for. Throws as cuda_index(), data_place_from_name(),
/// check_cpu_precision() and the Exec's constructor do.
template <class F>
auto with_device(const DeviceRequest& request, const F& f) {
  [[maybe_unused]] const std::optional<int> cuda = cuda_index(request);
  [[maybe_unused]] const DataPlacement placement{data_place_from_name(request.data_on)};
#if FELBO_WITH_CUDA
  if (cuda) return f(CudaExec(*cuda, CudaExec::kDefaultWorkspace, request.precision, placement));
#endif
  check_cpu_precision(request);
  return f(CpuExec(request.threads));
}

}  // namespace felbo
