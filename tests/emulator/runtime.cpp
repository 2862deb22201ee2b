// The CUDA runtime of the emulated machine: one memory, and streams as queues of work, each emptied in its
// order when the machine says (emulator.h). While a stream is being captured its work is recorded, and
// enqueued at each launch of the graph.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "cuda_runtime_api.h"
#include "tests/emulator/emulator.h"

using Work = std::vector<std::function<void()>>;

struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  std::shared_ptr<const Work> work;  // a launch may outlive the graph
};
struct CUstream_st {
  std::deque<std::function<void()>> work;
};
/// A place in a stream that it comes to.
struct Mark {
  CUstream_st* stream;
  bool passed = false;
};
struct CUevent_st {
  std::shared_ptr<Mark> mark;  // null: never recorded
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

struct Allocation {
  std::size_t bytes;
  bool on_device;
};
std::unordered_map<void*, Allocation>& allocations() {
  static std::unordered_map<void*, Allocation> map;
  return map;
}
std::size_t live = 0, live_on_device = 0;

std::vector<CUstream_st*>& streams() {
  static std::vector<CUstream_st*> all;
  return all;
}

void run_one(CUstream_st& stream) {
  const std::function<void()> work = std::move(stream.work.front());
  stream.work.pop_front();
  work();
}
void run_all(CUstream_st& stream) {
  while (!stream.work.empty()) run_one(stream);
}
void run_to(const Mark& mark) {
  while (!mark.passed) run_one(*mark.stream);
}
void run_all_streams() {
  for (CUstream_st* stream : streams()) run_all(*stream);
}

/// Does what a stream that was given work may have done by now.
void go_on(CUstream_st& stream) {
  static std::mt19937 random(1);
  if (machine().streams == Streams::kEager) run_all(stream);
  if (machine().streams != Streams::kRandom) return;
  for (auto turns = random() % 3; turns > 0; --turns) {
    CUstream_st& any = *streams()[random() % streams().size()];
    if (!any.work.empty()) run_one(any);
  }
}

cudaError_t allocate(void** memory, std::size_t bytes, bool on_device = true) {
  *memory = nullptr;
  if (breaks_capture()) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  if (on_device && (bytes > machine().total_memory || live_on_device > machine().total_memory - bytes))
    return cudaErrorMemoryAllocation;
  if (::posix_memalign(memory, kAlignment, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*memory, kPoison, bytes);
  allocations()[*memory] = {bytes, on_device};
  live += bytes;
  if (on_device) live_on_device += bytes;
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const auto found = allocations().find(memory);
  if (found == allocations().end()) return cudaErrorInvalidValue;
  live -= found->second.bytes;
  if (found->second.on_device) live_on_device -= found->second.bytes;
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
  if (name == "new-driver") machine.driver_version = 13000;
  if (name == "little-memory") machine.total_memory = (std::size_t{32} << 20) + 8192;
  if (name.starts_with("memory:")) machine.total_memory = std::stoull(name.substr(7));
  const char* streams = std::getenv("FELBO_EMULATOR_STREAMS");
  const std::string when = streams == nullptr ? "" : streams;
  if (when == "late") machine.streams = Streams::kLate;
  if (when == "random") machine.streams = Streams::kRandom;
  return machine;
}

bool is_device(int device) { return device >= 0 && device < machine().devices; }

std::int64_t recorded = 0, waited = 0, counted = 0;

}  // namespace

Machine& machine() {
  static Machine machine = machine_from(std::getenv("FELBO_EMULATOR_MACHINE"));
  return machine;
}
std::size_t live_bytes() { return live; }

std::int64_t recordings() { return recorded; }
std::int64_t stream_waits() { return waited; }
std::int64_t work_done() { return launches() + counted; }

void enqueue(CUstream_st* stream, std::function<void()> work) {
  if (stream == nullptr) return work();
  if (capture.stream == stream) {
    capture.work.push_back(std::move(work));
    return;
  }
  stream->work.push_back(std::move(work));
  go_on(*stream);
}

void enqueue_counted(CUstream_st* stream, std::function<void()> work) {
  enqueue(stream, [work = std::move(work)] {
    ++counted;
    work();
  });
}

cudaError_t launch(cudaStream_t stream, std::function<int()> kernel) {
  const bool at_once = stream == nullptr || (machine().streams == Streams::kEager && stream->work.empty());
  if (at_once && (stream == nullptr || capture.stream != stream)) return static_cast<cudaError_t>(kernel());
  enqueue(stream, [kernel = std::move(kernel)] {
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

cudaError_t cudaDriverGetVersion(int* version) {
  *version = machine().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 12020;
  return cudaSuccess;
}
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
  *free = *total - felbo::emulator::live_on_device;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return felbo::emulator::allocate(memory, bytes); }
cudaError_t cudaMallocManaged(void** memory, std::size_t bytes) {
  return felbo::emulator::allocate(memory, bytes);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return felbo::emulator::allocate(memory, bytes, false);
}
/// Waits for the whole device, as CUDA's does.
cudaError_t cudaFree(void* memory) {
  if (memory != nullptr) felbo::emulator::run_all_streams();
  return felbo::emulator::release(memory);
}
/// CUDA does not say that this waits: what still copies from the memory then reads what is there next.
cudaError_t cudaFreeHost(void* memory) { return felbo::emulator::release(memory); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  felbo::emulator::enqueue_counted(stream, [=] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  felbo::emulator::enqueue_counted(stream, [=] {
    if (bytes > 0) std::memset(memory, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  felbo::emulator::streams().push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  felbo::emulator::run_all(*stream);
  std::erase(felbo::emulator::streams(), stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (felbo::emulator::breaks_capture()) return cudaErrorStreamCaptureUnsupported;
  ++felbo::emulator::waited;
  if (stream != nullptr) felbo::emulator::run_all(*stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (stream == nullptr) return cudaErrorInvalidValue;
  if (stream == felbo::emulator::capture.stream) return cudaErrorStreamCaptureUnsupported;
  event->mark = std::make_shared<Mark>(Mark{stream});
  felbo::emulator::enqueue(stream, [mark = event->mark] { mark->passed = true; });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (felbo::emulator::breaks_capture()) return cudaErrorStreamCaptureUnsupported;
  if (event->mark != nullptr) felbo::emulator::run_to(*event->mark);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (stream == nullptr) return cudaErrorInvalidValue;
  if (stream == felbo::emulator::capture.stream) return cudaErrorStreamCaptureUnsupported;
  if (event->mark != nullptr)
    felbo::emulator::enqueue(stream, [mark = event->mark] { felbo::emulator::run_to(*mark); });
  return cudaSuccess;
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
  ++felbo::emulator::recorded;
  *exec = new CUgraphExec_st{std::make_shared<const Work>(graph->work)};
  return cudaSuccess;
}
/// How many there are; what they are is not told.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (nodes != nullptr) return cudaErrorInvalidValue;
  *count = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  felbo::emulator::enqueue(stream, [all = exec->work] {
    for (const auto& work : *all) work();
  });
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
