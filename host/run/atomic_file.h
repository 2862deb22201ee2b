// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace felbo {

/// Writes a file so that its name always holds either the old content or the whole new content, also after a
/// crash, a full disk or a power cut: the bytes go to a temporary file in the same folder
/// (`NAME.tmp-PID-N`), which commit() flushes to the disk and renames. Without a commit, the destructor
/// removes the temporary file. Not for use by two threads at once.
class AtomicFile {
 public:
  /// Opens the temporary file. A symbolic link at `path` is followed. Throws std::invalid_argument if
  /// `path` cannot be written as asked: its folder is missing or closed to this user, or it names a folder or
  /// a device. Throws std::runtime_error if the machine cannot open a file.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends all of `bytes`. Throws std::runtime_error with the path, the system's reason and the counts of
  /// bytes written and wanted; the temporary file is then gone and the old file untouched.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Puts the file under its name and makes that durable: fsync of the file, rename, fsync of the folder.
  /// Throws std::runtime_error as write() does. Once, as the last call.
  void commit();

 private:
  void require_open() const;
  void discard() noexcept;
  void sync_folder();
  [[noreturn]] void fail(std::string_view action, int error, std::size_t wanted);

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty once renamed or removed
  int fd_ = -1;
  std::uint64_t written_ = 0;
};

/// Whether a system call failed (with this errno) because the disk is full or fails, or the machine has no
/// more of something, and not because of what was asked for.
bool is_machine_failure(int error);

/// Makes `path` hold `text`, by an AtomicFile; throws as that does.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace felbo
