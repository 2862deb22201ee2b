#include "host/exec/cuda_exec.h"

#include <cuda_runtime.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "host/exec/cublas_lt.h"
#include "kernels/common/check.h"
#include "kernels/common/cuda/check.h"

namespace felbo {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

/// Said where nothing may be thrown.
void log_failure(cudaError_t error, const char* call) noexcept {
  if (error == cudaSuccess) return;
  spdlog::error("{} failed: {} ({})", call, cudaGetErrorString(error), cudaGetErrorName(error));
}

int count_devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    throw std::runtime_error(
        "no CUDA device can be used: there is no NVIDIA driver on this machine, or it is older than the CUDA "
        "runtime "
        "felbo was built with; install or update the driver (nvidia-smi shows it), or use --device cpu");
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    throw std::runtime_error(
        "no CUDA device was found: the driver is there, but shows no GPU; check nvidia-smi and "
        "CUDA_VISIBLE_DEVICES, "
        "or use --device cpu");
  }
  FELBO_CUDA_CHECK(error);
  return count;
}

CudaDevice describe(int index) {
  cudaDeviceProp properties;
  FELBO_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {index,
          properties.name,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          static_cast<std::int64_t>(properties.totalGlobalMem)};
}

CudaDevice usable_device(int index) {
  const int count = count_devices();
  FELBO_CHECK(index >= 0 && index < count,
              "CUDA device {} does not exist: this machine has {}, counted from 0", index, count);
  CudaDevice device = describe(index);
  if (device.major < kOldestCudaMajor) {
    throw std::runtime_error(fmt::format(
        "CUDA device {} ({}) is too old: it has compute capability {}.{}, felbo needs {}.0 or later; choose "
        "another device or use --device cpu",
        index, device.name, device.major, device.minor, kOldestCudaMajor));
  }
  return device;
}

const char* name_of(CudaMemory kind) {
  switch (kind) {
    case CudaMemory::kDevice:
      return "device memory";
    case CudaMemory::kManaged:
      return "managed memory";
    case CudaMemory::kPinned:
      return "pinned host memory";
  }
  return "memory";
}

[[noreturn]] void throw_too_little(CudaMemory kind, std::int64_t bytes) {
  cudaGetLastError();  // the failure is dealt with here: later launches must not report it
  std::size_t free = 0, total = 0;
  FELBO_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  throw std::runtime_error(fmt::format(
      "too little {}: {} bytes ({:.3f} GiB) are needed, and of the device's {:.3f} GiB {:.3f} GiB are free; "
      "use smaller batches or a smaller model, leave the data in host memory (--data-on host), or free "
      "memory on the device",
      name_of(kind), bytes, static_cast<double>(bytes) / kGiB, static_cast<double>(total) / kGiB,
      static_cast<double>(free) / kGiB));
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
  std::vector<CudaDevice> devices;
  const int count = count_devices();
  for (int i = 0; i < count; ++i) devices.push_back(describe(i));
  return devices;
}

void* cuda_allocate(CudaMemory kind, std::int64_t bytes) {
  FELBO_CHECK(bytes >= 0, "{} bytes of memory were asked for", bytes);
  if (bytes == 0) return nullptr;
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  cudaError_t error = cudaSuccess;
  if (kind == CudaMemory::kDevice) error = cudaMalloc(&memory, size);
  if (kind == CudaMemory::kManaged) error = cudaMallocManaged(&memory, size);
  if (kind == CudaMemory::kPinned) error = cudaMallocHost(&memory, size);
  if (error == cudaErrorMemoryAllocation) throw_too_little(kind, bytes);
  FELBO_CUDA_CHECK(error);
  return memory;
}

void cuda_free(CudaMemory kind, void* memory) noexcept {
  if (memory == nullptr) return;
  if (kind == CudaMemory::kPinned) {
    log_failure(cudaFreeHost(memory), "cudaFreeHost");
  } else {
    log_failure(cudaFree(memory), "cudaFree");
  }
}

std::int64_t cuda_free_memory() {
  std::size_t free = 0, total = 0;
  FELBO_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return static_cast<std::int64_t>(free);
}

CudaExec::CudaExec(int device, std::int64_t workspace_bytes, Precision precision, DataPlacement placement)
    : shared_(std::make_shared<Shared>(usable_device(device))), precision_(precision), placement_(placement) {
  FELBO_CUDA_CHECK(cudaSetDevice(device));
  auto* memory = static_cast<std::byte*>(cuda_allocate(CudaMemory::kDevice, workspace_bytes));
  shared_->workspace = {memory, static_cast<std::size_t>(workspace_bytes)};
  FELBO_CUDA_CHECK(cudaStreamCreateWithFlags(&shared_->stream, cudaStreamNonBlocking));
  shared_->cublas_lt = std::make_unique<CublasLt>();
}

CudaExec::Shared::Shared(CudaDevice device) : device(std::move(device)) {}

CudaExec::Shared::~Shared() {
  if (stream != nullptr) log_failure(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  cublas_lt.reset();
  if (stream != nullptr) log_failure(cudaStreamDestroy(stream), "cudaStreamDestroy");
  cuda_free(CudaMemory::kDevice, workspace.data());
}

CudaExec& CudaExec::operator=(CudaExec&& other) noexcept {
  std::swap(shared_, other.shared_);
  std::swap(precision_, other.precision_);
  std::swap(placement_, other.placement_);
  return *this;
}

void CudaExec::synchronize() const { FELBO_CUDA_CHECK(cudaStreamSynchronize(stream())); }

void CudaExec::copy_to_device(void* to, const void* from, std::int64_t bytes) const {
  FELBO_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream()));
}
void CudaExec::copy_to_host(void* to, const void* from, std::int64_t bytes) const {
  FELBO_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream()));
}
void CudaExec::copy_on_device(void* to, const void* from, std::int64_t bytes) const {
  FELBO_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream()));
}
void CudaExec::zero(void* memory, std::int64_t bytes) const {
  if (bytes > 0) FELBO_CUDA_CHECK(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(bytes), stream()));
}

SideCopies::SideCopies(const CudaExec& exec) : work_(exec.stream()) {
  try {
    FELBO_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (int slot = 0; slot < kSlots; ++slot) {
      FELBO_CUDA_CHECK(cudaEventCreateWithFlags(&copied_[slot], cudaEventDisableTiming));
      FELBO_CUDA_CHECK(cudaEventCreateWithFlags(&read_[slot], cudaEventDisableTiming));
      release(slot);
    }
  } catch (...) {
    close();
    throw;
  }
}

SideCopies::~SideCopies() { close(); }

void SideCopies::close() noexcept {
  if (stream_ != nullptr) log_failure(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  for (CUevent_st* event : {copied_[0], copied_[1], read_[0], read_[1]})
    if (event != nullptr) log_failure(cudaEventDestroy(event), "cudaEventDestroy");
  if (stream_ != nullptr) log_failure(cudaStreamDestroy(stream_), "cudaStreamDestroy");
}

void SideCopies::wait_for_host(int slot) const { FELBO_CUDA_CHECK(cudaEventSynchronize(copied_[slot])); }
void SideCopies::begin(int slot) const { FELBO_CUDA_CHECK(cudaStreamWaitEvent(stream_, read_[slot], 0)); }
void SideCopies::copy(void* to, const void* from, std::int64_t bytes) const {
  FELBO_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream_));
}
void SideCopies::end(int slot) const { FELBO_CUDA_CHECK(cudaEventRecord(copied_[slot], stream_)); }
void SideCopies::acquire(int slot) const { FELBO_CUDA_CHECK(cudaStreamWaitEvent(work_, copied_[slot], 0)); }
void SideCopies::release(int slot) const { FELBO_CUDA_CHECK(cudaEventRecord(read_[slot], work_)); }

void Replay<CudaExec>::record(const CudaExec& exec, const std::function<void()>& enqueue) {
  FELBO_CUDA_CHECK(cudaStreamBeginCapture(exec.stream(), cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    enqueue();
  } catch (...) {
    cudaStreamEndCapture(exec.stream(), &graph);  // what was thrown says why
    if (graph != nullptr) log_failure(cudaGraphDestroy(graph), "cudaGraphDestroy");
    throw;
  }
  FELBO_CUDA_CHECK(cudaStreamEndCapture(exec.stream(), &graph));
  const cudaError_t error = cudaGraphInstantiate(&graph_, graph, 0);
  log_failure(cudaGraphDestroy(graph), "cudaGraphDestroy");
  FELBO_CUDA_CHECK(error);
}

void Replay<CudaExec>::launch(const CudaExec& exec) const {
  FELBO_CUDA_CHECK(cudaGraphLaunch(graph_, exec.stream()));
}

void Replay<CudaExec>::close() noexcept {
  if (graph_ != nullptr) log_failure(cudaGraphExecDestroy(graph_), "cudaGraphExecDestroy");
}

}  // namespace felbo
