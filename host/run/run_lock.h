// One process at a time writes a run.
#pragma once

#include <filesystem>

namespace felbo {

/// An exclusive flock on the run's folder itself, so that nothing is written and nothing is left: the kernel
/// gives it back when the process ends, in whatever way. Where the file system cannot lock a folder, it warns
/// and goes on without.
class RunLock {
 public:
  RunLock() = default;
  /// Throws std::invalid_argument if another process holds it or `run` is no folder that can be opened;
  /// std::runtime_error if the machine fails.
  explicit RunLock(const std::filesystem::path& run);
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;

  /// Whether this object holds a folder.
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace felbo
