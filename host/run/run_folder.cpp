#include "host/run/run_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

#include "host/run/atomic_file.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

/// The files with fixed names, the checkpoint first.
std::array<std::filesystem::path, 9> all_files(const std::filesystem::path& run) {
  const RunFiles f = run_files(run);
  return {f.checkpoint,      f.config,     f.metrics, f.best,  f.samples,
          f.reconstructions, f.evaluation, f.report,  f.events};
}

/// Takes a number from the front of `text`; false if there is none.
bool take_number(std::string_view& text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc() && number >= 0;
}

/// The step of a file name checkpoint-STEP.safetensors.
std::optional<std::int64_t> step_of(std::string_view name) {
  constexpr std::string_view kBegin = "checkpoint-", kEnd = ".safetensors";
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return std::nullopt;
  const std::string_view digits =
      name.substr(kBegin.size(), name.size() - std::min(name.size(), kBegin.size() + kEnd.size()));
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  const bool number = error == std::errc() && end == digits.data() + digits.size() && step >= 0;
  return number ? std::optional(step) : std::nullopt;
}

/// A temporary file's name, NAME.tmp-PID-N, taken apart.
struct TemporaryName {
  std::string_view file;
  pid_t writer = 0;
};
std::optional<TemporaryName> temporary_name(std::string_view name) {
  const std::size_t at = name.rfind(".tmp-");
  if (at == std::string_view::npos) return std::nullopt;
  TemporaryName t{name.substr(0, at)};
  name.remove_prefix(at + 5);
  int number = 0;
  if (!take_number(name, t.writer) || t.writer == 0 || !name.starts_with("-")) return std::nullopt;
  name.remove_prefix(1);
  return take_number(name, number) && name.empty() ? std::optional(t) : std::nullopt;
}

bool runs(pid_t process) { return process != ::getpid() && (::kill(process, 0) == 0 || errno != ESRCH); }

bool is_leftover(const std::string& name, const std::filesystem::path& run) {
  const std::optional<TemporaryName> temporary = temporary_name(name);
  if (!temporary) return false;
  const bool of_run = std::ranges::any_of(
      all_files(run), [&](const std::filesystem::path& file) { return file.filename() == temporary->file; });
  return (of_run || step_of(temporary->file)) && !runs(temporary->writer);
}

std::string errno_text(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_write(const std::filesystem::path& path, int error) {
  throw std::runtime_error(fmt::format("{}: cannot write: {}", path.string(), errno_text(error)));
}

/// Closes a file descriptor at the end of a scope.
struct OpenFile {
  int fd;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

/// The bytes of a file; nothing where there is no such file.
std::optional<std::string> read_file(const std::filesystem::path& path) {
  const auto fail = [&] {
    throw std::runtime_error(fmt::format("{}: cannot be read: {}", path.string(), errno_text(errno)));
  };
  const OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0 && errno == ENOENT) return std::nullopt;
  if (file.fd < 0) fail();
  std::string bytes, buffer(std::size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t count = ::read(file.fd, buffer.data(), buffer.size());
    if (count == 0) return bytes;
    if (count > 0) {
      bytes.append(buffer, 0, static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      fail();
    }
  }
}

/// Opens the file as `flag` says, writes all bytes and flushes them to the disk.
void write_bytes(const std::filesystem::path& path, int flag, std::string_view bytes) {
  const OpenFile file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0666)};
  if (file.fd < 0) fail_write(path, errno);
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t count = ::write(file.fd, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_write(path, count < 0 ? errno : EIO);
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  // What cannot be flushed, such as a pipe, is written all the same.
  if (::fsync(file.fd) != 0 && errno != EINVAL && errno != EROFS) fail_write(path, errno);
}

/// Whether a link failed because this file system, or this file, has none.
bool cannot_link(int error) {
  return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK || error == EXDEV;
}

void sync_folder(const std::filesystem::path& folder) {
  const OpenFile file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (file.fd < 0 || (::fsync(file.fd) != 0 && errno != EINVAL && errno != ENOTSUP))
    fail_write(folder, errno);
}

/// A full or broken disk is the machine's fault, all else the request's.
[[noreturn]] void fail_for(const std::error_code& error, const std::string& message) {
  if (is_machine_failure(error.value())) throw std::runtime_error(message);
  throw std::invalid_argument(message);
}

void remove_file(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::remove(file, error);
  if (!error) return;
  const std::string message = fmt::format("--out {}: cannot replace {}: {}", file.parent_path().string(),
                                          file.filename().string(), error.message());
  fail_for(error, message);
}

void remove_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) fail_for(error, fmt::format("{}: cannot be removed: {}", folder.string(), error.message()));
}

}  // namespace

RunFiles run_files(const std::filesystem::path& run) {
  return {run / "config.toml",      run / "metrics.jsonl", run / "checkpoint.safetensors",
          run / "best.safetensors", run / "samples.png",   run / "reconstructions.png",
          run / "evaluation.json",  run / "report.html",   run / "events.out.tfevents.felbo",
          run / "nonfinite"};
}

std::filesystem::path kept_checkpoint(const std::filesystem::path& run, std::int64_t step) {
  return run / fmt::format("checkpoint-{:08}.safetensors", step);
}

std::vector<std::int64_t> kept_steps(const std::filesystem::path& run) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run, error)) {
    if (const auto step = step_of(entry.path().filename().string())) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

void link_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::path temporary = to;
  temporary += fmt::format(".tmp-{}-0", ::getpid());
  ::unlink(temporary.c_str());  // of a killed process of the same number
  if (::link(from.c_str(), temporary.c_str()) != 0) {
    if (cannot_link(errno)) return write_file_atomically(to, read_file(from).value_or(""));
    fail_write(to, errno);
  }
  const int renamed = ::rename(temporary.c_str(), to.c_str()), error = errno;
  ::unlink(temporary.c_str());  // rename() leaves it where both are already the same file
  if (renamed != 0) fail_write(to, error);
  sync_folder(to.parent_path());
}

void keep_checkpoint(const std::filesystem::path& run, std::int64_t step, int keep) {
  if (keep > 1) link_file(run_files(run).checkpoint, kept_checkpoint(run, step));
  std::vector<std::int64_t> steps = kept_steps(run);
  const auto remove = [&](std::int64_t kept) {
    std::error_code error;
    std::filesystem::remove(kept_checkpoint(run, kept), error);
    if (error) spdlog::warn("cannot remove {}: {}", kept_checkpoint(run, kept).string(), error.message());
  };
  std::erase_if(steps, [&](std::int64_t kept) {
    if (kept > step) remove(kept);
    return kept > step;
  });
  const std::size_t most = keep > 1 ? static_cast<std::size_t>(keep) : 0;
  for (std::size_t i = 0; i + most < steps.size(); ++i) remove(steps[i]);
}

void check_new_run(const std::filesystem::path& run, bool force) {
  FELBO_CHECK(!run.empty(), "--out RUN is missing: the folder that the run is written to");
  FELBO_CHECK(!std::filesystem::exists(run) || std::filesystem::is_directory(run),
              "--out {}: exists and is not a folder", run.string());
  if (force) return;
  for (const std::filesystem::path& file : all_files(run)) {
    FELBO_CHECK(!std::filesystem::exists(file),
                "--out {}: holds another run ({}); give another folder, --force to replace it, or --resume "
                "{} to go on with it",
                run.string(), file.filename().string(), run.string());
  }
}

void remove_leftovers(const std::filesystem::path& run) {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(run, error)) {
    if (is_leftover(entry.path().filename().string(), run)) found.push_back(entry.path());
  }
  for (const std::filesystem::path& file : found) {
    std::filesystem::remove(file, error);
    if (error) spdlog::warn("cannot remove the left-over file {}: {}", file.string(), error.message());
  }
}

void create_folder(const std::filesystem::path& run) {
  std::error_code error;
  std::filesystem::create_directories(run, error);
  if (error)
    fail_for(error, fmt::format("--out {}: cannot make the folder: {}", run.string(), error.message()));
}

void create_run(const std::filesystem::path& run) {
  create_folder(run);
  for (const std::filesystem::path& file : all_files(run)) remove_file(file);
  for (const std::int64_t step : kept_steps(run)) remove_file(kept_checkpoint(run, step));
  remove_folder(run_files(run).nonfinite);
  remove_leftovers(run);
}

void append_bytes(const std::filesystem::path& path, std::string_view bytes) {
  write_bytes(path, O_APPEND, bytes);
}

void append_metrics(const std::filesystem::path& metrics, const std::string& line) {
  append_bytes(metrics, line + "\n");
}

void rewrite_events(const std::filesystem::path& run, std::string_view bytes) {
  write_bytes(run_files(run).events, O_TRUNC, bytes);
}

void truncate_metrics(const std::filesystem::path& metrics, int epoch) {
  const std::string text = read_file(metrics).value_or("");
  std::string kept;
  std::size_t begin = 0;
  for (int number = 1;; ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // a line without its end is one that was not written whole
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    const bool valid = json.is_object() && json.contains("epoch") && json["epoch"].is_number_integer();
    FELBO_CHECK(valid, "{}, line {}: not a line of metrics; repair or remove the file", metrics.string(),
                number);
    if (json["epoch"].get<std::int64_t>() > epoch) break;
    kept += line + "\n";
  }
  const auto lines = std::ranges::count(kept, '\n');
  if (lines < epoch)
    spdlog::warn("{}: holds {} of the {} epochs that the checkpoint knows of", metrics.string(), lines,
                 epoch);
  write_file_atomically(metrics, kept);
}

}  // namespace felbo
