// A library to be preloaded, in which the calls that change or read files below one folder fail, or do half
// of what they should, or end the process, at a place that the environment names:
//
//   FELBO_FAULT_ROOT   the folder; other files are left alone
//   FELBO_FAULT        N:ACTION, for the N-th such call (from 1). ACTION: kill (before the call is made),
//   half
//                      (a write or read does half of its bytes), half-kill (then the process ends), or a
//                      number: the errno that the call fails with; with a + behind it, every later call that
//                      takes room on a disk (write, open to create, link, mkdir) fails so too
//   FELBO_FAULT_LOG    a file that each such call adds a line to: its name and path
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

struct Plan {
  const char* root = std::getenv("FELBO_FAULT_ROOT");
  const char* log = std::getenv("FELBO_FAULT_LOG");
  long at = 0;
  long error = 0;
  bool kill = false, half = false, lasting = false;

  Plan() {
    const char* text = std::getenv("FELBO_FAULT");
    if (text == nullptr) return;
    char* action = nullptr;
    at = std::strtol(text, &action, 10);
    ++action;
    half = std::strncmp(action, "half", 4) == 0;
    kill = std::strstr(action, "kill") != nullptr;
    lasting = std::strchr(action, '+') != nullptr;
    if (!half && !kill) error = std::strtol(action, nullptr, 10);
  }
};

const Plan& plan() {
  static const Plan the_plan;
  return the_plan;
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool below_root(const char* path) {
  return plan().root != nullptr && path != nullptr &&
         std::strncmp(path, plan().root, std::strlen(plan().root)) == 0;
}

/// The path behind a descriptor, in `path`.
bool below_root(int fd, char (&path)[4096]) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = '\0';
  return below_root(path);
}

void log_call(const char* call, const char* path) {
  char line[4200];
  const int length = std::snprintf(line, sizeof line, "%s %s\n", call, path);
  const long fd = ::syscall(SYS_openat, AT_FDCWD, plan().log, O_WRONLY | O_CREAT | O_APPEND, 0666);
  ::syscall(SYS_write, fd, line, static_cast<std::size_t>(length));
  ::syscall(SYS_close, fd);
}

enum class Fate { kMake, kFail, kHalf };

/// Counts a call and says what becomes of it; errno is set where it fails.
Fate count(const char* call, const char* path, bool takes_room) {
  static std::atomic<long> calls{0};
  const long number = ++calls;
  if (plan().log != nullptr) log_call(call, path);
  const bool now = number == plan().at;
  if (plan().at == 0 || !(now || (plan().lasting && takes_room && number > plan().at))) return Fate::kMake;
  const bool splits = std::strcmp(call, "write") == 0 || std::strcmp(call, "read") == 0;
  if (plan().half && splits) return Fate::kHalf;
  if (plan().kill) die();
  if (plan().half) return Fate::kMake;
  errno = static_cast<int>(plan().error);
  return Fate::kFail;
}

Fate count_fd(const char* call, int fd, bool takes_room) {
  char path[4096];
  const int kept = errno;
  const bool ours = plan().root != nullptr && below_root(fd, path);
  errno = kept;
  return ours ? count(call, path, takes_room) : Fate::kMake;
}

Fate count_path(const char* call, const char* path, bool takes_room) {
  return below_root(path) ? count(call, path, takes_room) : Fate::kMake;
}

template <class Call>
ssize_t transfer(const char* name, int fd, std::size_t size, const Call& call) {
  const Fate fate = count_fd(name, fd, std::strcmp(name, "write") == 0);
  if (fate == Fate::kFail) return -1;
  if (fate == Fate::kMake) return call(size);
  const ssize_t done = call(size > 1 ? size / 2 : size);
  if (plan().kill) die();
  return done;
}

template <class F>
int open_with(const char* real, const char* path, int flags, mode_t mode) {
  if (count_path("open", path, (flags & O_CREAT) != 0) == Fate::kFail) return -1;
  return next<F>(real)(path, flags, mode);
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with<int(const char*, int, ...)>("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with<int(const char*, int, ...)>("open64", path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  if (count_path("open", path, mode[0] != 'r') == Fate::kFail) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  if (count_path("open", path, mode[0] != 'r') == Fate::kFail) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

ssize_t write(int fd, const void* bytes, std::size_t size) {
  return transfer("write", fd, size, [&](std::size_t part) {
    return next<ssize_t(int, const void*, std::size_t)>("write")(fd, bytes, part);
  });
}

ssize_t read(int fd, void* bytes, std::size_t size) {
  return transfer("read", fd, size, [&](std::size_t part) {
    return next<ssize_t(int, void*, std::size_t)>("read")(fd, bytes, part);
  });
}

int fsync(int fd) {
  if (count_fd("fsync", fd, false) == Fate::kFail) return -1;
  return next<int(int)>("fsync")(fd);
}

int rename(const char* from, const char* to) {
  if (count_path("rename", to, false) == Fate::kFail) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}

int link(const char* from, const char* to) {
  if (count_path("link", to, true) == Fate::kFail) return -1;
  return next<int(const char*, const char*)>("link")(from, to);
}

int unlink(const char* path) {
  if (count_path("unlink", path, false) == Fate::kFail) return -1;
  return next<int(const char*)>("unlink")(path);
}

int remove(const char* path) {
  if (count_path("unlink", path, false) == Fate::kFail) return -1;
  return next<int(const char*)>("remove")(path);
}

int mkdir(const char* path, mode_t mode) {
  if (count_path("mkdir", path, true) == Fate::kFail) return -1;
  return next<int(const char*, mode_t)>("mkdir")(path, mode);
}

int flock(int fd, int operation) {
  if (count_fd("flock", fd, false) == Fate::kFail) return -1;
  return next<int(int, int)>("flock")(fd, operation);
}

}  // extern "C"
