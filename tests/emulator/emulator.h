// Runs unchanged CUDA kernels on a CPU, to check their logic on machines with no GPU: one fiber a CUDA
// thread, switched only where threads wait for each other. include/cuda_runtime.h stands in for the toolkit's
// header of that name, so kernels and launchers compile with a plain C++ compiler and no CUDA header;
// include/cublasLt.h does so for cuBLASLt.
//
// Streams are queues of work. A stream runs what it is given at once, or, as `streams` of the Machine says,
// as late as it may: when something waits for it; or at random times in between. What the host or another
// stream does too early, because nobody waits, then shows: FELBO_EMULATOR_STREAMS=eager|late|random.
//
// Blocks run one after another, each under one of five schedules; a result that depends on the schedule is a
// race. Built with FELBO_EMULATOR_TSAN and run with kernels under -fsanitize=thread, it is a race check:
// threads of a block are unordered except by __syncthreads and __syncwarp. Stricter than hardware: a thread
// that leaves the kernel before a barrier, or a warp function whose mask names a lane that is not there, is a
// deadlock and not excused. Kernels compiled with -fsanitize=alignment fail, as on a device, where they read
// or write several elements at once from an address that is no multiple of their size.
//
// Not modelled: races between blocks, clusters, tensor cores, cp.async, textures, uninitialised static shared
// memory, the accuracy of approximate intrinsics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

struct CUstream_st;

namespace felbo::emulator {

/// In which order the threads of a block run. Each pass over the block resumes every thread that can go on;
/// greedy schedules stay with a warp until all of it waits for others.
enum class Schedule { kForward, kReverse, kRandom, kGreedyForward, kGreedyReverse };
inline constexpr Schedule kSchedules[] = {Schedule::kForward, Schedule::kReverse, Schedule::kRandom,
                                          Schedule::kGreedyForward, Schedule::kGreedyReverse};

/// The schedule of coming launches. It starts as FELBO_EMULATOR_SCHEDULE says (forward, reverse, random,
/// greedy-forward, greedy-reverse; forward where it is not set).
void set_schedule(Schedule schedule);
Schedule schedule();
/// Throws std::invalid_argument for a name that is not one of the above.
Schedule schedule_from_name(const std::string& name);

/// A kernel that cannot go on or did what CUDA leaves undefined; says which threads wait where.
struct KernelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// When a stream does its work. All of them are what CUDA allows.
enum class Streams { kEager, kLate, kRandom };
inline constexpr Streams kStreams[] = {Streams::kEager, Streams::kLate, Streams::kRandom};

/// What the emulated machine reports about itself. Tests change it to see failures reported; for a whole
/// program FELBO_EMULATOR_MACHINE=no-driver|no-device|old-device|new-driver|little-memory|memory:BYTES does.
struct Machine {
  int driver_error = 0;        // a cudaError_t that counting devices gives
  int driver_version = 12040;  // CUDA 12.4
  int devices = 1;
  int major = 9, minor = 0;
  std::size_t total_memory = std::size_t{16} << 30;
  Streams streams = Streams::kEager;
  int cublas_error = 0;           // a cublasStatus_t that starting cuBLASLt gives
  std::string cublas_failure;     // why its library cannot be loaded, if it cannot
  bool refuse_epilogues = false;  // cuBLASLt finds no algorithm for a product with an epilogue
  std::int64_t heuristics = 0;    // how often it was asked for an algorithm and found one
};
Machine& machine();

/// Bytes that cudaMalloc and its kin gave out and nobody freed yet.
std::size_t live_bytes();
/// Handles, descriptors, layouts and preferences of cuBLASLt that nobody destroyed yet.
std::int64_t live_cublas_objects();
/// Work on a stream; recorded while the stream is being captured.
void enqueue(CUstream_st* stream, std::function<void()> work);
/// The same, counted when it is done: a product, a copy or a fill.
void enqueue_counted(CUstream_st* stream, std::function<void()> work);
/// Graphs recorded so far, and waits of the host for a whole stream.
std::int64_t recordings();
std::int64_t stream_waits();
/// Kernels launched so far.
std::int64_t launches();
/// Kernels, products, copies and fills done so far, those of replayed graphs each time.
std::int64_t work_done();

}  // namespace felbo::emulator
