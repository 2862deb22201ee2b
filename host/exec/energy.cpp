#include "host/exec/energy.h"

#include <dlfcn.h>

#include <utility>

namespace felbo {

/// The functions of NVML that are called, by their documentation: all return 0 for success, and a device's
/// handle is a pointer. Initialised while this lives.
struct EnergyCounter::Nvml {
  explicit Nvml(const std::string& name) : library(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (library == nullptr) return;
    find("nvmlShutdown", shutdown);
    find("nvmlDeviceGetHandleByPciBusId_v2", device_by_bus);
    find("nvmlDeviceGetTotalEnergyConsumption", energy);
    int (*init)() = nullptr;
    find("nvmlInit_v2", init);
    const bool complete = shutdown != nullptr && device_by_bus != nullptr && energy != nullptr;
    started = complete && init != nullptr && init() == 0;
  }
  ~Nvml() {
    if (started) shutdown();
    if (library != nullptr) ::dlclose(library);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  template <class F>
  void find(const char* symbol, F& function) const {
    function = reinterpret_cast<F>(::dlsym(library, symbol));
  }

  void* library;
  bool started = false;
  int (*shutdown)() = nullptr;
  int (*device_by_bus)(const char* pci_bus_id, void** device) = nullptr;
  int (*energy)(void* device, unsigned long long* millijoules) = nullptr;
};

EnergyCounter::EnergyCounter(const std::string& pci_bus_id, const std::string& library) {
  auto nvml = std::make_shared<const Nvml>(library);
  if (nvml->started && nvml->device_by_bus(pci_bus_id.c_str(), &device_) == 0) nvml_ = std::move(nvml);
}

std::optional<double> EnergyCounter::joules() const {
  unsigned long long millijoules = 0;
  if (nvml_ == nullptr || nvml_->energy(device_, &millijoules) != 0) return std::nullopt;
  return static_cast<double>(millijoules) * 1e-3;
}

}  // namespace felbo
