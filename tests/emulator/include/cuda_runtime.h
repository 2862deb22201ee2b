// Stands in for the CUDA toolkit's header of this name where kernels are emulated: the part of the language
// and of the runtime that felbo uses. tests/emulator/emulator.h says what is modelled. Absent on purpose:
// atomics on floats and fast-math intrinsics, which felbo does not use.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#define FELBO_EMULATED_CUDA 1

// --- The language

// Internal linkage, so that AddressSanitizer guards the static shared arrays of kernel templates too: it
// leaves those of functions alone that the linker may merge. A __device__ function with a shared array is
// best static by itself.
#define __global__ [[maybe_unused]] static
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace felbo::emulator {

enum class WarpFunction { kSync, kShuffle, kBallot };

void sync_block();
/// Waits until the lanes of `mask` have all called the same function with the same mask. A shuffle gives the
/// `value` of `source_lane`; a ballot gives the lanes of the mask whose value is not 0.
std::uint64_t warp_function(WarpFunction function, const char* name, unsigned mask, std::uint64_t value,
                            int source_lane);
int lane();
/// The block's dynamic shared memory, as many bytes as the launch asked for.
void* dynamic_shared();

/// Runs `body(context)` once a thread.
int run_grid(dim3 grid, dim3 block, std::size_t dynamic_shared_bytes, void (*body)(void*), void* context);

template <class T>
T shuffle(const char* name, unsigned mask, T value, int source_lane) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_function(WarpFunction::kShuffle, name, mask, bits, source_lane);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace felbo::emulator

/// Where the running thread stands; set before it goes on.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

inline void __syncthreads() { felbo::emulator::sync_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  felbo::emulator::warp_function(felbo::emulator::WarpFunction::kSync, "__syncwarp", mask, 0, 0);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return static_cast<unsigned>(felbo::emulator::warp_function(felbo::emulator::WarpFunction::kBallot,
                                                              "__ballot_sync", mask, predicate != 0, 0));
}
inline int __any_sync(unsigned mask, int predicate) {
  return felbo::emulator::warp_function(felbo::emulator::WarpFunction::kBallot, "__any_sync", mask,
                                        predicate != 0, 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return felbo::emulator::warp_function(felbo::emulator::WarpFunction::kBallot, "__all_sync", mask,
                                        predicate == 0, 0) == 0;
}

/// A lane beyond its part of the warp (`width` lanes, a power of two) gets its own value back, as in CUDA.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int part = felbo::emulator::lane() & ~(width - 1);
  return felbo::emulator::shuffle("__shfl_sync", mask, value, part + (source & (width - 1)));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = felbo::emulator::lane(), source = lane - static_cast<int>(delta);
  return felbo::emulator::shuffle("__shfl_up_sync", mask, value,
                                  source < (lane & ~(width - 1)) ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = felbo::emulator::lane(), source = lane + static_cast<int>(delta);
  return felbo::emulator::shuffle("__shfl_down_sync", mask, value,
                                  source > (lane | (width - 1)) ? lane : source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const int lane = felbo::emulator::lane(), source = lane ^ lane_mask;
  return felbo::emulator::shuffle("__shfl_xor_sync", mask, value,
                                  source > (lane | (width - 1)) ? lane : source);
}

template <class T>
requires std::is_integral_v<T> T atomicAdd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_add(value, std::memory_order_relaxed);
}

// --- The runtime

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
};
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
typedef struct CUstream_st* cudaStream_t;
inline constexpr unsigned cudaStreamNonBlocking = 1;

cudaError_t cudaMalloc(void** memory, std::size_t bytes);
cudaError_t cudaMallocManaged(void** memory, std::size_t bytes);
cudaError_t cudaMallocHost(void** memory, std::size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

typedef struct CUevent_st* cudaEvent_t;
inline constexpr unsigned cudaEventDisableTiming = 2;
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);

enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
typedef struct CUgraph_st* cudaGraph_t;
typedef struct CUgraphExec_st* cudaGraphExec_t;
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

namespace felbo::emulator {
/// Enqueues a kernel, or records it while its stream is being captured.
cudaError_t launch(cudaStream_t stream, std::function<int()> kernel);
}  // namespace felbo::emulator

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

/// Arguments are copied once, as into a kernel's parameter memory, and each thread gets its own copy of them.
template <class... Parameters, class... Args>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Args&&... args) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  } call{kernel, {std::forward<Args>(args)...}};
  return felbo::emulator::launch(config->stream, [config = *config, call]() mutable {
    return felbo::emulator::run_grid(
        config.gridDim, config.blockDim, config.dynamicSmemBytes,
        [](void* context) {
          Call& c = *static_cast<Call*>(context);
          std::apply(c.kernel, c.parameters);
        },
        &call);
  });
}
