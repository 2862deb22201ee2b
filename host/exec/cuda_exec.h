// Work on an NVIDIA GPU. This header needs no CUDA header; what it declares is in the library felbo::cuda.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/exec/buffer.h"
#include "host/exec/exec.h"
#include "kernels/common/view.h"

struct CUstream_st;  // cudaStream_t points to it

namespace felbo {

/// A GPU of this machine.
struct CudaDevice {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::int64_t memory = 0;  // bytes in all
};

/// All GPUs, usable by felbo or not. Throws std::runtime_error if there is no driver, a driver older than
/// felbo was built for, or no device.
std::vector<CudaDevice> cuda_devices();

/// Which memory: the device's own, memory that host and device both reach, or host memory that copies need
/// not stage.
enum class CudaMemory { kDevice, kManaged, kPinned };

/// `bytes` of memory, not initialised; null for 0. Throws std::runtime_error that says how much was needed
/// and how much is free if the device has too little.
void* cuda_allocate(CudaMemory kind, std::int64_t bytes);
/// Frees what cuda_allocate gave out. Logs a failure instead of throwing: destructors call it.
void cuda_free(CudaMemory kind, void* memory) noexcept;

/// A device, a stream on it and scratch memory. Ops enqueue on the stream and return. Move-only.
class CudaExec {
 public:
  static constexpr std::int64_t kDefaultWorkspace = std::int64_t{32} << 20;

  /// Makes `device` the calling thread's current one. Throws std::invalid_argument if there is no such
  /// device, and std::runtime_error if there is no driver, if the device is older than compute capability 8.0
  /// or has too little free memory for the workspace.
  explicit CudaExec(int device = 0, std::int64_t workspace_bytes = kDefaultWorkspace);
  ~CudaExec();
  CudaExec(CudaExec&& other) noexcept;
  CudaExec& operator=(CudaExec&& other) noexcept;

  const CudaDevice& device() const { return device_; }
  CUstream_st* stream() const { return stream_; }
  /// Device memory that any op of this Exec may overwrite. Ops of one stream come one after another, so it is
  /// free for the next one as soon as it is enqueued.
  std::span<std::byte> workspace() const { return workspace_; }

  /// Waits for all that was enqueued. Throws std::runtime_error if any of it failed.
  void synchronize() const;

  /// Enqueue a copy, or zeros. Memory that is pageable must stay as it is until the stream has come there.
  void copy_to_device(void* to, const void* from, std::int64_t bytes) const;
  void copy_to_host(void* to, const void* from, std::int64_t bytes) const;
  void zero(void* memory, std::int64_t bytes) const;

 private:
  void close() noexcept;

  CudaDevice device_;
  CUstream_st* stream_ = nullptr;
  std::span<std::byte> workspace_;
};

/// `size` zeroed elements of device memory. Move-only.
template <class T>
class Buffer<CudaExec, T> {
 public:
  Buffer() = default;
  Buffer(const CudaExec& exec, std::int64_t size)
      : data_(static_cast<T*>(cuda_allocate(CudaMemory::kDevice, bytes(size)))), size_(size) {
    exec.zero(data_.get(), bytes(size));
  }

  T* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  View<T, 1> view() const { return {data_.get(), size_}; }
  View<T, 1> vector(std::int64_t size) const { return {data_.get(), size}; }
  View<T, 2> matrix(std::int64_t rows, std::int64_t cols) const { return {data_.get(), rows, cols}; }

 private:
  static std::int64_t bytes(std::int64_t size) { return size * static_cast<std::int64_t>(sizeof(T)); }
  struct Free {
    void operator()(T* p) const { cuda_free(CudaMemory::kDevice, p); }
  };
  std::unique_ptr<T, Free> data_;
  std::int64_t size_ = 0;
};

/// Copies host elements to the device, or back, and waits until they have arrived.
template <class T>
void upload(const CudaExec& exec, std::span<const T> from, View<T, 1> to) {
  exec.copy_to_device(to.data, from.data(), static_cast<std::int64_t>(from.size_bytes()));
  exec.synchronize();
}
template <class T>
void download(const CudaExec& exec, View<const T, 1> from, std::span<T> to) {
  exec.copy_to_host(to.data(), from.data, static_cast<std::int64_t>(to.size_bytes()));
  exec.synchronize();
}

}  // namespace felbo
