// Copies of a problem that are worked on in turn, so that what is timed finds its arrays in memory and not in
// a cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/bench_exec.h"

namespace felbo::bench {

/// Bytes of arrays that cannot stay in the caches of this generation of machines.
constexpr double kOutOfCache = 128e6;

/// Whether one copy is worked on again and again, in whatever cache it fits (`felbo bench --hot`).
inline bool& hot() {
  static bool value = false;
  return value;
}

/// Copies of arrays small enough that their set-up would take longer than their timing.
constexpr std::int64_t most_copies(const CpuExec&) { return 4096; }
#if FELBO_WITH_CUDA
constexpr std::int64_t most_copies(const CudaExec&) { return 512; }
#endif

/// Copies of a problem that moves so many bytes: an array that is read and written counts twice in them.
template <class Exec>
std::int64_t copies_for(const Exec& exec, double bytes) {
  if (hot()) return 1;
  const double copies = std::ceil(2.0 * kOutOfCache / std::max(bytes, 1.0));
  return std::clamp(static_cast<std::int64_t>(std::min(copies, 1e9)), std::int64_t{1}, most_copies(exec));
}

template <class Problem>
class Rotation {
 public:
  /// make() gives a std::unique_ptr<Problem>; a call on it moves `bytes`.
  template <class Exec, class Make>
  Rotation(const Exec& exec, double bytes, const Make& make) : bytes_(bytes) {
    for (std::int64_t i = copies_for(exec, bytes); i > 0; --i) copies_.push_back(make());
  }
  Problem& next() {
    Problem& now = *copies_[at_];
    at_ = at_ + 1 == copies_.size() ? 0 : at_ + 1;
    return now;
  }
  std::int64_t size() const { return static_cast<std::int64_t>(copies_.size()); }
  /// Whether a round of all copies leaves the caches.
  bool out_of_cache() const { return bytes_ * static_cast<double>(size()) >= kOutOfCache; }

 private:
  double bytes_;
  std::vector<std::unique_ptr<Problem>> copies_;
  std::size_t at_ = 0;
};

}  // namespace felbo::bench
