// Work on an NVIDIA GPU. This header needs no CUDA header; what it declares is in the library felbo::cuda.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "host/exec/buffer.h"
#include "host/exec/data_place.h"
#include "host/exec/exec.h"
#include "host/exec/precision.h"
#include "host/exec/replay.h"
#include "kernels/common/view.h"

struct CUevent_st;      // cudaEvent_t points to it
struct CUstream_st;     // cudaStream_t points to it
struct CUgraphExec_st;  // cudaGraphExec_t points to it

namespace felbo {

/// The oldest compute capability that kernels are compiled for is this one, 0.
inline constexpr int kOldestCudaMajor = 8;

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

/// Bytes of the current device's memory that are free now.
std::int64_t cuda_free_memory();

class CublasLt;  // host/exec/cublas_lt.h

/// A device, a stream on it, scratch memory and a cuBLASLt handle. Ops enqueue on the stream and return. For
/// one thread at a time. Move-only.
class CudaExec {
 public:
  static constexpr std::int64_t kDefaultWorkspace = std::int64_t{32} << 20;

  /// Makes `device` the calling thread's current one. Throws std::invalid_argument if there is no such
  /// device, and std::runtime_error if there is no driver, if the device is older than compute capability 8.0
  /// or has too little free memory for the workspace, or if cuBLASLt cannot start. `precision` is that of
  /// matrix products, `placement` that of data sets.
  explicit CudaExec(int device = 0, std::int64_t workspace_bytes = kDefaultWorkspace,
                    Precision precision = Precision::kFp32, DataPlacement placement = {});
  CudaExec(CudaExec&& other) noexcept = default;
  CudaExec& operator=(CudaExec&& other) noexcept;

  /// The same stream, workspace and handle with products in another precision: what is enqueued on either
  /// runs in one order. They end with the last CudaExec that shares them.
  CudaExec with_precision(Precision precision) const { return CudaExec(shared_, precision, placement_); }
  /// The same with data sets held in another way.
  CudaExec with_placement(DataPlacement placement) const { return CudaExec(shared_, precision_, placement); }

  const CudaDevice& device() const { return shared_->device; }
  CUstream_st* stream() const { return shared_ != nullptr ? shared_->stream : nullptr; }
  /// Device memory that any op of this Exec may overwrite. Ops of one stream come one after another, so it is
  /// free for the next one as soon as it is enqueued.
  std::span<std::byte> workspace() const { return shared_->workspace; }
  Precision precision() const { return precision_; }
  DataPlacement placement() const { return placement_; }
  CublasLt& cublas_lt() const { return *shared_->cublas_lt; }

  /// Waits for all that was enqueued. Throws std::runtime_error if any of it failed.
  void synchronize() const;

  /// Enqueue a copy, or zeros. Memory that is pageable must stay as it is until the stream has come there.
  void copy_to_device(void* to, const void* from, std::int64_t bytes) const;
  void copy_to_host(void* to, const void* from, std::int64_t bytes) const;
  void copy_on_device(void* to, const void* from, std::int64_t bytes) const;
  void zero(void* memory, std::int64_t bytes) const;

 private:
  struct Shared {
    explicit Shared(CudaDevice device);
    ~Shared();
    CudaDevice device;
    CUstream_st* stream = nullptr;
    std::span<std::byte> workspace;
    std::unique_ptr<CublasLt> cublas_lt;
  };
  CudaExec(std::shared_ptr<Shared> shared, Precision precision, DataPlacement placement)
      : shared_(std::move(shared)), precision_(precision), placement_(placement) {}

  std::shared_ptr<Shared> shared_;
  Precision precision_;
  DataPlacement placement_;
};

/// The Exec with products in float, whatever they are in for training: evaluations of all runs compare.
inline CudaExec with_float_products(const CudaExec& exec) { return exec.with_precision(Precision::kFp32); }

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

template <class T>
void upload(const CudaExec& exec, std::type_identity_t<std::span<const T>> from, View<T, 1> to) {
  exec.copy_to_device(to.data, from.data(), static_cast<std::int64_t>(from.size_bytes()));
  exec.synchronize();
}
template <class T>
void download(const CudaExec& exec, View<T, 1> from,
              std::type_identity_t<std::span<std::remove_const_t<T>>> to) {
  exec.copy_to_host(to.data(), from.data, static_cast<std::int64_t>(to.size_bytes()));
  exec.synchronize();
}
template <class T>
void copy(const CudaExec& exec, std::type_identity_t<View<const T, 1>> from, View<T, 1> to) {
  exec.copy_on_device(to.data, from.data, from.size * static_cast<std::int64_t>(sizeof(T)));
}
template <class T>
void zero(const CudaExec& exec, View<T, 1> memory) {
  exec.zero(memory.data, memory.size * static_cast<std::int64_t>(sizeof(T)));
}

/// `size` elements of host memory that copies to the device need not stage, not initialised. Move-only.
template <class T>
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::int64_t size)
      : data_(static_cast<T*>(
            cuda_allocate(CudaMemory::kPinned, size * static_cast<std::int64_t>(sizeof(T))))) {}
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { cuda_free(CudaMemory::kPinned, p); }
  };
  std::unique_ptr<T, Free> data_;
};

/// Copies to the device on a stream of their own, beside the work of an Exec, through two slots: each a piece
/// of pinned memory that the host fills and one of device memory that the Exec's work reads. The calls for a
/// slot come in the order of their declaration here, again and again; each says what it is safe to do next.
/// Not movable.
class SideCopies {
 public:
  static constexpr int kSlots = 2;

  /// The device memory of the slots may still be written by what `exec` was given before this.
  explicit SideCopies(const CudaExec& exec);
  /// Waits for the copies under way.
  ~SideCopies();
  SideCopies(const SideCopies&) = delete;
  SideCopies& operator=(const SideCopies&) = delete;

  /// Waits until the slot's last copies are done: the host may fill its pinned memory anew.
  void wait_for_host(int slot) const;
  /// Copies will wait until the Exec has done with the slot's device memory.
  void begin(int slot) const;
  void copy(void* to, const void* from, std::int64_t bytes) const;
  void end(int slot) const;
  /// What the Exec is given from now on waits for the slot's copies.
  void acquire(int slot) const;
  /// What the Exec was given so far is all that reads what the slot holds.
  void release(int slot) const;

 private:
  void close() noexcept;

  CUstream_st* work_;  // the Exec's
  CUstream_st* stream_ = nullptr;
  CUevent_st *copied_[kSlots] = {}, *read_[kSlots] = {};
};

/// The first run is plain: libraries load code and choose algorithms then. The second is recorded into a CUDA
/// graph, which that run and all later ones launch. Move-only.
template <>
class Replay<CudaExec> {
 public:
  Replay() = default;
  ~Replay() { close(); }
  Replay(Replay&& other) noexcept : ran_(other.ran_), graph_(std::exchange(other.graph_, nullptr)) {}
  Replay& operator=(Replay&& other) noexcept {
    std::swap(ran_, other.ran_);
    std::swap(graph_, other.graph_);
    return *this;
  }

  /// Throws std::runtime_error if what was enqueued cannot be recorded (an allocation, a synchronisation).
  void operator()(const CudaExec& exec, const std::function<void()>& enqueue) {
    if (!ran_) {
      enqueue();
      ran_ = true;
      return;
    }
    if (graph_ == nullptr) record(exec, enqueue);
    launch(exec);
  }

 private:
  void record(const CudaExec& exec, const std::function<void()>& enqueue);
  void launch(const CudaExec& exec) const;
  void close() noexcept;

  bool ran_ = false;
  CUgraphExec_st* graph_ = nullptr;
};

}  // namespace felbo
