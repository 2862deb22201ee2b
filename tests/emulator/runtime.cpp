// The CUDA runtime of the emulated machine: one memory, and work that is done when the call returns, unless a
// stream is being captured: then it is recorded, and done at each launch of the graph.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "tests/emulator/emulator.h"

using Work = std::vector<std::function<void()>>;

struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  Work work;
};

namespace felbo::emulator {
namespace {

/// The stream that is being captured, and what it was given so far.
struct Capture {
  cudaStream_t stream = nullptr;
  Work work;
  bool broken = false;
};
Capture capture;

/// What may not happen during a capture: an allocation, or waiting for the stream.
bool breaks_capture() {
  if (capture.stream == nullptr) return false;
  capture.broken = true;
  return true;
}

constexpr std::size_t kAlignment = 256;  // as cudaMalloc's
constexpr int kPoison = 0xff;            // a NaN for floats

std::unordered_map<void*, std::size_t>& allocations() {
  static std::unordered_map<void*, std::size_t> map;
  return map;
}
std::size_t live = 0;

cudaError_t allocate(void** memory, std::size_t bytes) {
  *memory = nullptr;
  if (breaks_capture()) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  if (bytes > machine().total_memory || live > machine().total_memory - bytes)
    return cudaErrorMemoryAllocation;
  if (::posix_memalign(memory, kAlignment, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*memory, kPoison, bytes);
  allocations()[*memory] = bytes;
  live += bytes;
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const auto found = allocations().find(memory);
  if (found == allocations().end()) return cudaErrorInvalidValue;
  live -= found->second;
  allocations().erase(found);
  std::free(memory);
  return cudaSuccess;
}

Machine machine_from(const char* fault) {
  Machine machine;
  const std::string name = fault == nullptr ? "" : fault;
  if (name == "no-driver") machine.driver_error = cudaErrorInsufficientDriver;
  if (name == "no-device") machine.devices = 0;
  if (name == "old-device") machine.major = 7;
  if (name == "little-memory") machine.total_memory = (std::size_t{32} << 20) + 8192;
  return machine;
}

bool is_device(int device) { return device >= 0 && device < machine().devices; }

}  // namespace

Machine& machine() {
  static Machine machine = machine_from(std::getenv("FELBO_EMULATOR_MACHINE"));
  return machine;
}
std::size_t live_bytes() { return live; }

void enqueue(std::function<void()> work) {
  if (capture.stream != nullptr) {
    capture.work.push_back(std::move(work));
  } else {
    work();
  }
}

cudaError_t launch(std::function<int()> kernel) {
  if (capture.stream == nullptr) return static_cast<cudaError_t>(kernel());
  capture.work.push_back([kernel = std::move(kernel)] {
    if (kernel() != cudaSuccess) throw KernelError("a recorded kernel could not be launched");
  });
  return cudaSuccess;
}

}  // namespace felbo::emulator

using felbo::emulator::machine;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
  }
  return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  if (machine().driver_error != 0) return static_cast<cudaError_t>(machine().driver_error);
  *count = machine().devices;
  return machine().devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!felbo::emulator::is_device(device)) return cudaErrorInvalidDevice;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated");
  properties->totalGlobalMem = machine().total_memory;
  properties->major = machine().major;
  properties->minor = machine().minor;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return felbo::emulator::is_device(device) ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = machine().total_memory;
  *free = *total - felbo::emulator::live;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return felbo::emulator::allocate(memory, bytes); }
cudaError_t cudaMallocManaged(void** memory, std::size_t bytes) {
  return felbo::emulator::allocate(memory, bytes);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return felbo::emulator::allocate(memory, bytes);
}
cudaError_t cudaFree(void* memory) { return felbo::emulator::release(memory); }
cudaError_t cudaFreeHost(void* memory) { return felbo::emulator::release(memory); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  felbo::emulator::enqueue([=] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  felbo::emulator::enqueue([=] {
    if (bytes > 0) std::memset(memory, value, bytes);
  });
  return cudaSuccess;
}

/// A stream is a byte of memory, so that one that is not destroyed is a leak that tools see.
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new char);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete reinterpret_cast<char*>(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return felbo::emulator::breaks_capture() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || felbo::emulator::capture.stream != nullptr) return cudaErrorInvalidValue;
  felbo::emulator::capture = {stream, {}, false};
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (stream == nullptr || stream != felbo::emulator::capture.stream) return cudaErrorInvalidValue;
  auto done = std::exchange(felbo::emulator::capture, {});
  if (done.broken) return cudaErrorStreamCaptureInvalidated;
  *graph = new CUgraph_st{std::move(done.work)};
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  for (const auto& work : exec->work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
