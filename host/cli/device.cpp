#include "host/cli/device.h"

#include <charconv>
#include <fstream>
#include <stdexcept>

#include "kernels/common/check.h"

namespace felbo {
namespace {

int parse_index(const std::string& device) {
  if (device == "cuda") return 0;
  int index = -1;
  const char *first = device.data() + 5, *last = device.data() + device.size();
  const bool named = device.starts_with("cuda:") && first != last;
  FELBO_CHECK(named && std::from_chars(first, last, index).ptr == last && index >= 0,
              "--device must be auto, cpu or cuda[:N], got '{}'", device);
  return index;
}

#if FELBO_WITH_CUDA
/// A GPU that felbo can use, if there is one.
std::optional<int> any_device() {
  try {
    for (const CudaDevice& device : cuda_devices()) {
      if (device.major >= kOldestCudaMajor) return device.index;
    }
  } catch (const std::runtime_error&) {  // no driver, no device: the CPU it is
  }
  return std::nullopt;
}
#endif

}  // namespace

std::optional<int> cuda_index(const DeviceRequest& request) {
  if (request.device == "cpu") return std::nullopt;
#if FELBO_WITH_CUDA
  if (request.device == "auto") return any_device();
  return parse_index(request.device);
#else
  if (request.device == "auto") return std::nullopt;
  parse_index(request.device);
  throw std::runtime_error(
      fmt::format("--device {}: this felbo was built without CUDA; build it where the CUDA toolkit is "
                  "installed (configure "
                  "with -DFELBO_CUDA=ON), or use --device cpu",
                  request.device));
#endif
}

std::string cpu_name() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

void check_cpu_precision(const DeviceRequest& request) {
  FELBO_CHECK(
      request.precision == Precision::kFp32,
      "--precision {} needs a GPU, and --device {} is the CPU here; use --precision fp32, or --device "
      "cuda on a machine with a GPU",
      name_of(request.precision), request.device);
}

}  // namespace felbo
