// In place of NVIDIA's libnvidia-ml.so.1: one device, which takes a millijoule whenever it is asked.
#include <cstring>

namespace {
int users = 0;
unsigned long long millijoules = 12'345'678;
int a_device = 0;
constexpr int kSuccess = 0, kUninitialized = 1, kNotFound = 6;
}  // namespace

extern "C" {

int nvmlInit_v2() {
  ++users;
  return kSuccess;
}
int nvmlShutdown() {
  --users;
  return kSuccess;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* pci_bus_id, void** device) {
  if (users == 0) return kUninitialized;
  if (std::strcmp(pci_bus_id, "0000:3B:00.0") != 0) return kNotFound;
  *device = &a_device;
  return kSuccess;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* energy) {
  if (users == 0) return kUninitialized;
  if (device != &a_device) return kNotFound;
  *energy = ++millijoules;
  return kSuccess;
}

}  // extern "C"
