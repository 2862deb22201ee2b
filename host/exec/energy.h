// The energy that a GPU takes.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace felbo {

/// Counts what one GPU, the whole board, has taken since its driver was loaded, by NVML. The library belongs
/// to the driver and not to CUDA, and is loaded when the first counter asks for it; nothing here needs its
/// header.
class EnergyCounter {
 public:
  /// Of no device: joules() is nothing.
  EnergyCounter() = default;
  /// Of the device at `pci_bus_id`, "0000:3B:00.0" (CUDA's numbers of devices are not NVML's). Where the
  /// library cannot be loaded or knows no such device, joules() is nothing.
  explicit EnergyCounter(const std::string& pci_bus_id, const std::string& library = "libnvidia-ml.so.1");

  /// Joules, counted in millijoules and by the driver some tens of times a second. Nothing if the device does
  /// not count (before Volta, or an instance of MIG).
  std::optional<double> joules() const;

 private:
  struct Nvml;
  std::shared_ptr<const Nvml> nvml_;
  void* device_ = nullptr;
};

}  // namespace felbo
