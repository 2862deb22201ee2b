// Where work runs. An Exec is passed explicitly as the first argument of every op and of the host code that
// calls ops; there is no global one.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace felbo {

/// Items [begin, end).
struct Range {
  std::int64_t begin;
  std::int64_t end;
};

/// One thread of a parallel region.
struct Team {
  std::int64_t index;
  std::int64_t size;
  /// This thread's contiguous part of `n` items.
  Range share(std::int64_t n) const { return {n * index / size, n * (index + 1) / size}; }
};

/// Runs ops on this machine's cores. Cheap to copy. Results never depend on the number of threads: work is
/// split by shape, and every reduction has a fixed order.
class CpuExec {
 public:
  /// `threads` = 0 takes one thread a core that this process may use; throws std::invalid_argument if
  /// negative or above 4096.
  explicit CpuExec(int threads = 0);

  int threads() const { return threads_; }

  /// Calls f(team) once on each of at most `most` threads. Inside, team.share(n) is a thread's part of n
  /// items.
  template <class F>
  void parallel(std::int64_t most, const F& f) const {
    const int size = static_cast<int>(std::clamp<std::int64_t>(most, 1, threads_));
#pragma omp parallel num_threads(size)
    {
      // A library called inside (oneDNN) must stay on its caller's thread; the setting ends with the region.
      omp_set_num_threads(1);
      f(Team{omp_get_thread_num(), omp_get_num_threads()});
    }
  }

  /// Calls f(begin, end) on contiguous pieces of [0, n), as many as there are threads or fewer, so that a
  /// piece has about `grain` items or more.
  template <class F>
  void parallel_for(std::int64_t n, std::int64_t grain, const F& f) const {
    if (n <= 0) return;
    parallel((n + grain - 1) / grain, [&](Team team) {
      const Range range = team.share(n);
      f(range.begin, range.end);
    });
  }

 private:
  int threads_;
};

/// The Exec with products in float, which is what they are in on a CPU.
inline CpuExec with_float_products(const CpuExec& exec) { return exec; }

}  // namespace felbo
