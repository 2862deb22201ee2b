#include "host/run/atomic_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "kernels/common/check.h"

namespace felbo {
namespace {

namespace fs = std::filesystem;

std::string errno_text(int error) { return std::generic_category().message(error); }

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// The file that `path` stands for: replacing a symbolic link itself would cut the link.
fs::path follow_link(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error)) ? fs::weakly_canonical(path) : path;
}

/// Renaming over a device or a pipe would destroy it (as root, even /dev/null).
void check_target(const fs::path& path) {
  FELBO_CHECK(path.has_filename(), "cannot write '{}': it names no file; add a file name", path.string());
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  FELBO_CHECK(!fs::is_directory(status), "cannot write '{}': it is a folder; name a file in it",
              path.string());
  FELBO_CHECK(!fs::exists(status) || fs::is_regular_file(status),
              "cannot write '{}': it is no regular file (a device, pipe or socket); name a regular file",
              path.string());
}

/// A name that no other process or AtomicFile uses: `NAME.tmp-PID-N`.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  fs::path name = path;
  name += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
  return name;
}

int open_exclusively(const fs::path& path) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/// Says why no file could be opened beside `path`: the request's fault, or else the machine's.
[[noreturn]] void fail_open(const fs::path& path, int error) {
  const std::string folder = folder_of(path).string();
  FELBO_CHECK(error != ENOENT && error != ENOTDIR,
              "cannot write '{}': there is no folder '{}'; create it or name another", path.string(), folder);
  FELBO_CHECK(error != EACCES && error != EPERM && error != EROFS,
              "cannot write '{}': no permission to create files in '{}' ({}); name another folder",
              path.string(), folder, errno_text(error));
  FELBO_CHECK(error != ENAMETOOLONG, "cannot write '{}': the name is too long; take a shorter one",
              path.string());
  throw std::runtime_error(fmt::format("cannot create a file in '{}' to write '{}': {}", folder,
                                       path.string(), errno_text(error)));
}

std::string_view advice(int error) {
  if (error == ENOSPC || error == EDQUOT) return " Free some space and run it again.";
  if (error == EFBIG) return " Raise the limit on the size of files (ulimit -f) and run it again.";
  return "";
}

int fsync_retrying(int fd) {
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(follow_link(path)) {
  check_target(path_);
  do {
    temporary_ = temporary_name(path_);  // one left by a killed process of the same id is stepped over
    fd_ = open_exclusively(temporary_);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail_open(path_, errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  require_open();
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("write", count < 0 ? errno : EIO, bytes.size());
    written_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  require_open();
  if (fsync_retrying(fd_) != 0) fail("flush to disk", errno, 0);
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0 && errno != EINTR) fail("close", errno, 0);  // after EINTR, Linux has closed the file
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("put the new file in place of", errno, 0);
  temporary_.clear();
  sync_folder();
}

void AtomicFile::require_open() const {
  if (fd_ < 0)
    throw std::logic_error("AtomicFile: '" + path_.string() + "' is already committed or has failed");
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty() && ::unlink(temporary_.c_str()) != 0 && errno != ENOENT) {
    const int error = errno;
    spdlog::warn("cannot remove the temporary file '{}': {}", temporary_.c_str(), errno_text(error));
  }
  temporary_.clear();
}

void AtomicFile::sync_folder() {
  const std::string folder = folder_of(path_).string();
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int result = fd < 0 ? -1 : fsync_retrying(fd);
  const int error = errno;
  if (fd >= 0) ::close(fd);
  // A folder may be closed to reading, and some file systems cannot sync folders: the rename stands all the
  // same.
  if (result == 0 || error == EACCES || error == EINVAL || error == ENOTSUP) return;
  throw std::runtime_error(
      fmt::format("'{}' is written, but its folder cannot be flushed to disk ({}); a power cut may undo it",
                  path_.string(), errno_text(error)));
}

void AtomicFile::fail(std::string_view action, int error, std::size_t wanted) {
  std::error_code ignored;
  const bool had_old = std::filesystem::exists(path_, ignored);
  discard();
  throw std::runtime_error(
      fmt::format("cannot {} '{}': {} ({} bytes were written, {} more were wanted). {}.{}", action,
                  path_.string(), errno_text(error), written_, wanted,
                  had_old ? "The old file is untouched" : "No file was left", advice(error)));
}

bool is_machine_failure(int error) {
  for (const int machine : {ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM}) {
    if (error == machine) return true;
  }
  return false;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace felbo
