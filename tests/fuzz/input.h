// For the targets: bytes as a file, and what is to be made of a parser's answer.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace felbo::fuzz {

/// A file in memory that has a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("felbo-fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("memfd_create or write failed");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

/// What was accepted must be what the parser promises.
inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(std::string("broken promise: ") + what);
}

/// Calls f(), which may refuse the input. Whether it took it.
template <class F>
bool accepts(const F& f) {
  try {
    f();
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

/// The bytes, the first of them replaced.
inline std::string with_head(std::string_view bytes, std::string_view head) {
  std::string text(bytes);
  text.replace(0, std::min(head.size(), text.size()), head.substr(0, text.size()));
  return text;
}

}  // namespace felbo::fuzz
