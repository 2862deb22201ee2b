#include "host/run/run_lock.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/run/atomic_file.h"
#include "kernels/common/check.h"

namespace felbo {

RunLock::RunLock(const std::filesystem::path& run)
    : fd_(::open(run.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) {
    const int reason = errno;
    const std::string message = fmt::format("{}: cannot open the run's folder: {}", run.string(),
                                            std::generic_category().message(reason));
    if (is_machine_failure(reason)) throw std::runtime_error(message);
    throw std::invalid_argument(message);
  }
  int result = 0;
  do {
    result = ::flock(fd_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  const int error = errno;
  if (error != EWOULDBLOCK) {
    spdlog::warn("{}: this file system cannot lock the run ({}): see to it that no other process trains it",
                 run.string(), std::generic_category().message(error));
    return;
  }
  ::close(std::exchange(fd_, -1));
  FELBO_CHECK(false, "{}: another process is training this run; wait for it, stop it, or name another folder",
              run.string());
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

RunLock::RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace felbo
