// Fibers, schedules and the waiting of threads for each other. Nothing here may be compiled with
// -fsanitize=thread: the check is of the kernels, and the switching is not to count as synchronisation.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_runtime.h"
#include "tests/emulator/emulator.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(FELBO_EMULATOR_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace felbo::emulator {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;
constexpr std::size_t kStackBytes = 256 * 1024;
constexpr std::size_t kGuardBytes =
    64 * 1024;                           // below the stack: running over it is a crash, not a corruption
constexpr unsigned char kPoison = 0xff;  // a NaN for floats

enum class State { kReady, kAtBlockBarrier, kAtWarpFunction, kDone };

/// What a thread that waits at a warp function has called.
struct WarpCall {
  WarpFunction function = WarpFunction::kSync;
  const char* name = "";
  unsigned mask = 0;
  std::uint64_t value = 0;
  int source_lane = 0;
};

struct Thread {
  fcontext_t context = nullptr;
  char* stack = nullptr;  // lowest address
  void* tsan_fiber = nullptr;
  uint3 index{};
  State state = State::kDone;
  WarpCall call;
  std::uint64_t result = 0;
};

/// Happens-before edges for ThreadSanitizer. Two addresses used in turn: a thread on its way into the next
/// barrier must not be ordered before one that is still on its way out of this one.
struct SyncPoint {
  char turn[2] = {};
  unsigned passed = 0;
};

#if defined(FELBO_EMULATOR_TSAN)
void tsan_arrive(SyncPoint& point) { __tsan_release(&point.turn[point.passed % 2]); }
void tsan_leave(SyncPoint& point, unsigned passed) { __tsan_acquire(&point.turn[passed % 2]); }
void tsan_release(char& point) { __tsan_release(&point); }
void tsan_acquire(char& point) { __tsan_acquire(&point); }
void tsan_switch(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
#else
void tsan_arrive(SyncPoint&) {}
void tsan_leave(SyncPoint&, unsigned) {}
void tsan_release(char&) {}
void tsan_acquire(char&) {}
void tsan_switch(void*) {}
#endif

Schedule schedule_of_environment() {
  const char* name = std::getenv("FELBO_EMULATOR_SCHEDULE");
  return name == nullptr ? Schedule::kForward : schedule_from_name(name);
}
Schedule& current_schedule() {
  static Schedule schedule = schedule_of_environment();
  return schedule;
}

/// "0-31, 40, 42-63".
std::string ranges(const std::vector<int>& sorted) {
  std::string text;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += std::to_string(sorted[i]);
    if (last > i) text += "-" + std::to_string(sorted[last]);
    i = last + 1;
  }
  return text;
}
std::string hexadecimal(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

/// All that runs one block at a time.
class Engine {
 public:
  ~Engine() { drop_fibers(); }

  void run(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(void*), void* context);
  void sync_block();
  std::uint64_t warp_function(const WarpCall& call);
  void misaligned(const std::string& access) {
    error_ = where() + ", thread " + std::to_string(running_) + ": " + access;
    yield();  // never comes back
  }
  void* dynamic_shared() const { return shared_.get(); }
  int lane() const { return running_ % kWarp; }
  bool busy() const { return running_ >= 0; }

 private:
  static void enter(transfer_t transfer);
  void make_fibers(int count);
  void drop_fibers();
  void run_block(Schedule schedule);
  bool run_pass(Schedule schedule);
  bool run_greedy(int warp, bool backwards);
  bool resume(int id);
  void yield();
  void finish_warp_call(int first, unsigned mask);
  std::string complaint_about(const WarpCall& call) const;
  std::string where() const;
  std::string deadlock() const;

  std::vector<Thread> threads_;
  std::vector<int> order_;
  int count_ = 0;  // threads of the block
  int running_ = -1;
  int done_ = 0;
  int at_barrier_ = 0;
  SyncPoint block_point_;
  char block_starts_ = 0, block_ends_ = 0;  // blocks come one after another
  SyncPoint warp_points_[kMaxThreads / kWarp];
  std::unique_ptr<unsigned char[]> shared_;
  void (*body_)(void*) = nullptr;
  void* context_ = nullptr;
  fcontext_t scheduler_ = nullptr;
  void* scheduler_fiber_ = nullptr;
  std::string error_;
  std::mt19937 random_{1};
#if defined(__SANITIZE_ADDRESS__)
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
#endif
};

Engine& engine() {
  static Engine engine;
  return engine;
}

void Engine::make_fibers(int count) {
  while (static_cast<int>(threads_.size()) < count) {
    Thread t;
    void* memory = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("emulator: no memory for the stacks of the threads");
    ::mprotect(memory, kGuardBytes, PROT_NONE);
    t.stack = static_cast<char*>(memory) + kGuardBytes;
    t.context = make_fcontext(t.stack + kStackBytes, kStackBytes, &Engine::enter);
#if defined(FELBO_EMULATOR_TSAN)
    t.tsan_fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(t.tsan_fiber, ("CUDA thread " + std::to_string(threads_.size())).c_str());
#endif
    threads_.push_back(t);
  }
}

/// After a failed kernel its threads hang in the middle of their work: they are not used again.
void Engine::drop_fibers() {
  for (Thread& t : threads_) {
#if defined(FELBO_EMULATOR_TSAN)
    __tsan_destroy_fiber(t.tsan_fiber);
#endif
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(t.stack, kStackBytes);
#endif
    ::munmap(t.stack - kGuardBytes, kGuardBytes + kStackBytes);
  }
  threads_.clear();
}

/// A fiber serves the thread of one number in one block after another.
void Engine::enter(transfer_t transfer) {
  Engine& e = engine();
  e.scheduler_ = transfer.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &e.scheduler_stack_, &e.scheduler_stack_bytes_);
#endif
  for (;;) {
    tsan_acquire(e.block_starts_);
    e.body_(e.context_);
    tsan_release(e.block_ends_);
    e.threads_[static_cast<std::size_t>(e.running_)].state = State::kDone;
    ++e.done_;
    e.yield();
  }
}

/// Runs thread `id` until it waits or leaves the kernel, if it can go on.
bool Engine::resume(int id) {
  Thread& t = threads_[static_cast<std::size_t>(id)];
  if (t.state != State::kReady) return false;
  running_ = id;
  threadIdx = t.index;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, t.stack, kStackBytes);
#endif
  tsan_switch(t.tsan_fiber);
  t.context = jump_fcontext(t.context, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  running_ = -1;
  if (!error_.empty()) {
    drop_fibers();
    throw KernelError(std::exchange(error_, {}));
  }
  return true;
}

/// From a thread back to the scheduler; returns when the thread goes on.
void Engine::yield() {
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, scheduler_stack_, scheduler_stack_bytes_);
#endif
  tsan_switch(scheduler_fiber_);
  scheduler_ = jump_fcontext(scheduler_, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#endif
}

std::string Engine::where() const {
  const uint3 b = blockIdx;
  return "kernel, block (" + std::to_string(b.x) + ", " + std::to_string(b.y) + ", " + std::to_string(b.z) +
         ")";
}

void Engine::sync_block() {
  Thread& t = threads_[static_cast<std::size_t>(running_)];
  tsan_arrive(block_point_);
  const unsigned passing = block_point_.passed;
  if (++at_barrier_ == count_) {
    at_barrier_ = 0;
    ++block_point_.passed;
    for (int i = 0; i < count_; ++i) threads_[static_cast<std::size_t>(i)].state = State::kReady;
  } else {
    t.state = State::kAtBlockBarrier;
    yield();
  }
  tsan_leave(block_point_, passing);
}

/// Empty for a call that may wait.
std::string Engine::complaint_about(const WarpCall& call) const {
  const int lanes = std::min(kWarp, count_ - (running_ - running_ % kWarp));
  const std::string mask = "the mask " + hexadecimal(call.mask);
  std::string wrong;
  if ((call.mask >> lane() & 1u) == 0) {
    wrong = mask + " leaves out the calling lane";
  } else if (lanes < kWarp && (call.mask >> lanes) != 0) {
    wrong = mask + " names lanes from " + std::to_string(lanes) + " on, which do not exist";
  } else if (call.function == WarpFunction::kShuffle && (call.mask >> call.source_lane & 1u) == 0) {
    wrong = "reads lane " + std::to_string(call.source_lane) + ", which is not in " + mask;
  } else {
    return {};
  }
  return where() + ", thread " + std::to_string(running_) + ": " + call.name + ": " + wrong;
}

std::uint64_t Engine::warp_function(const WarpCall& call) {
  const int first = running_ - running_ % kWarp, lanes = std::min(kWarp, count_ - first);
  Thread& t = threads_[static_cast<std::size_t>(running_)];
  error_ = complaint_about(call);
  if (!error_.empty()) yield();  // never comes back
  SyncPoint& point = warp_points_[first / kWarp];
  const bool orders_memory = call.function == WarpFunction::kSync;
  if (orders_memory) tsan_arrive(point);
  const unsigned passing = point.passed;
  t.call = call;
  t.state = State::kAtWarpFunction;
  bool all = true;
  for (int l = 0; l < lanes; ++l) {
    const Thread& other = threads_[static_cast<std::size_t>(first + l)];
    if ((call.mask >> l & 1u) == 0) continue;
    all = all && other.state == State::kAtWarpFunction && other.call.function == call.function &&
          other.call.mask == call.mask;
  }
  if (all) {
    point.passed += orders_memory;
    finish_warp_call(first, call.mask);
  } else {
    yield();
  }
  if (orders_memory) tsan_leave(point, passing);
  return t.result;
}

void Engine::finish_warp_call(int first, unsigned mask) {
  Thread* warp = &threads_[static_cast<std::size_t>(first)];
  unsigned ballot = 0;
  for (int l = 0; l < kWarp; ++l) {
    if (mask >> l & 1u) ballot |= static_cast<unsigned>(warp[l].call.value != 0) << l;
  }
  for (int l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1u) == 0) continue;
    const WarpCall& call = warp[l].call;
    warp[l].result = call.function == WarpFunction::kShuffle ? warp[call.source_lane].call.value : ballot;
    warp[l].state = State::kReady;
  }
}

/// One turn for every thread that can go on; false if there was none.
bool Engine::run_pass(Schedule schedule) {
  bool any = false;
  const int warps = (count_ + kWarp - 1) / kWarp;
  switch (schedule) {
    case Schedule::kForward:
      for (int i = 0; i < count_; ++i) any |= resume(i);
      break;
    case Schedule::kReverse:
      for (int i = count_ - 1; i >= 0; --i) any |= resume(i);
      break;
    case Schedule::kRandom:
      std::shuffle(order_.begin(), order_.end(), random_);
      for (const int i : order_) any |= resume(i);
      break;
    case Schedule::kGreedyForward:
      for (int w = 0; w < warps; ++w) any |= run_greedy(w, false);
      break;
    case Schedule::kGreedyReverse:
      for (int w = warps - 1; w >= 0; --w) any |= run_greedy(w, true);
      break;
  }
  return any;
}

bool Engine::run_greedy(int warp, bool backwards) {
  bool any = false;
  const int first = warp * kWarp, lanes = std::min(kWarp, count_ - first);
  for (bool again = true; again;) {
    again = false;
    for (int l = 0; l < lanes; ++l) again |= resume(first + (backwards ? lanes - 1 - l : l));
    any |= again;
  }
  return any;
}

void Engine::run_block(Schedule schedule) {
  for (int i = 0; i < count_; ++i) threads_[static_cast<std::size_t>(i)].state = State::kReady;
  done_ = at_barrier_ = 0;
  tsan_release(block_starts_);
  while (done_ < count_) {
    if (run_pass(schedule)) continue;
    const std::string message = deadlock();
    drop_fibers();
    throw KernelError(message);
  }
  tsan_acquire(block_ends_);
}

std::string Engine::deadlock() const {
  std::vector<std::pair<std::string, std::vector<int>>> groups;
  for (int i = 0; i < count_; ++i) {
    const Thread& t = threads_[static_cast<std::size_t>(i)];
    std::string at = "have left the kernel";
    if (t.state == State::kAtBlockBarrier) at = "wait at __syncthreads";
    if (t.state == State::kAtWarpFunction) {
      at = std::string("wait at ") + t.call.name + " with mask " + hexadecimal(t.call.mask);
    }
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == at; });
    if (group == groups.end()) group = groups.insert(groups.end(), {at, {}});
    group->second.push_back(i);
  }
  std::string text = where() + ": deadlock:";
  for (const auto& [at, ids] : groups)
    text += (&at == &groups[0].first ? " threads " : "; ") + ranges(ids) + " " + at;
  return text;
}

void Engine::run(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(void*), void* context) {
  count_ = static_cast<int>(block.x * block.y * block.z);
  make_fibers(count_);
#if defined(FELBO_EMULATOR_TSAN)
  scheduler_fiber_ = __tsan_get_current_fiber();
#endif
  body_ = body;
  context_ = context;
  blockDim = block;
  gridDim = grid;
  order_.resize(static_cast<std::size_t>(count_));
  std::iota(order_.begin(), order_.end(), 0);
  for (int i = 0; i < count_; ++i) {
    const unsigned u = static_cast<unsigned>(i);
    threads_[static_cast<std::size_t>(i)].index = {u % block.x, u / block.x % block.y, u / block.x / block.y};
  }
  const Schedule schedule = current_schedule();
  const bool backwards = schedule == Schedule::kReverse || schedule == Schedule::kGreedyReverse;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t n = 0; n < blocks; ++n) {
    const std::uint64_t b = backwards ? blocks - 1 - n : n;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    if (shared_bytes > 0) {
      shared_.reset(new unsigned char[shared_bytes]);
      std::fill_n(shared_.get(), shared_bytes, kPoison);
    }
    run_block(schedule);
  }
  shared_.reset();
}

std::int64_t launch_count = 0;

}  // namespace

void set_schedule(Schedule schedule) { current_schedule() = schedule; }
Schedule schedule() { return current_schedule(); }
Schedule schedule_from_name(const std::string& name) {
  const char* names[] = {"forward", "reverse", "random", "greedy-forward", "greedy-reverse"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (name == names[i]) return kSchedules[i];
  }
  throw std::invalid_argument("schedule \"" + name + "\" is not known");
}
std::int64_t launches() { return launch_count; }

void sync_block() { engine().sync_block(); }
std::uint64_t warp_function(WarpFunction function, const char* name, unsigned mask, std::uint64_t value,
                            int source_lane) {
  return engine().warp_function({function, name, mask, value, source_lane});
}
int lane() { return engine().lane(); }
void* dynamic_shared() { return engine().dynamic_shared(); }

int run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(void*), void* context) {
  constexpr std::size_t kMostShared = 48 * 1024;
  const bool fits = grid.x >= 1 && grid.x <= 0x7fffffffu && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
                    grid.z <= 65535 && block.x >= 1 && block.y >= 1 && block.z >= 1 && block.z <= 64 &&
                    std::uint64_t{block.x} * block.y * block.z <= kMaxThreads && shared_bytes <= kMostShared;
  if (!fits) return cudaErrorInvalidConfiguration;
  ++launch_count;
  engine().run(grid, block, shared_bytes, body, context);
  return cudaSuccess;
}

}  // namespace felbo::emulator

// Where programs are sanitized in earnest the sanitizer has its own runtime, which knows more than alignment.
#if !defined(__SANITIZE_ADDRESS__)

namespace felbo::emulator {
namespace {

/// Where an access stands in the source, and of what: the layout of GCC's and Clang's ubsan_handlers.h.
struct Access {
  const char* file;
  std::uint32_t line, column;
  const void* type;
  unsigned char log_alignment, kind;
};
void misaligned(const Access& at, std::uintptr_t address) {
  if (!engine().busy()) return;  // host code, whose processor takes it
  engine().misaligned("an address that is " + std::to_string(address % (1u << at.log_alignment)) +
                      " above a multiple of " + std::to_string(1u << at.log_alignment) + ", " + at.file +
                      ":" + std::to_string(at.line));
}

}  // namespace
}  // namespace felbo::emulator

/// Code under -fsanitize=alignment calls this before it reads or writes what is not aligned as its type asks.
extern "C" void __ubsan_handle_type_mismatch_v1(const void* access, std::uintptr_t address) {
  felbo::emulator::misaligned(*static_cast<const felbo::emulator::Access*>(access), address);
}

#endif
