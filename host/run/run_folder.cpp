#include "host/run/run_folder.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
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

std::array<std::filesystem::path, 7> all_files(const std::filesystem::path& run) {
  const RunFiles f = run_files(run);
  return {f.config, f.metrics, f.checkpoint, f.samples, f.reconstructions, f.evaluation, f.report};
}

/// Takes a number from the front of `text`; false if there is none.
bool take_number(std::string_view& text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc() && number >= 0;
}

/// The process that `name` is a temporary file of, if it is one of `file`: NAME.tmp-PID-N.
std::optional<pid_t> writer_of(std::string_view name, const std::string& file) {
  const std::string beginning = file + ".tmp-";
  if (!name.starts_with(beginning)) return std::nullopt;
  name.remove_prefix(beginning.size());
  pid_t process = 0;
  int number = 0;
  if (!take_number(name, process) || process == 0 || !name.starts_with("-")) return std::nullopt;
  name.remove_prefix(1);
  return take_number(name, number) && name.empty() ? std::optional(process) : std::nullopt;
}

bool runs(pid_t process) { return process != ::getpid() && (::kill(process, 0) == 0 || errno != ESRCH); }

bool is_leftover(const std::string& name, const std::filesystem::path& run) {
  for (const std::filesystem::path& file : all_files(run)) {
    const std::optional<pid_t> writer = writer_of(name, file.filename().string());
    if (writer) return !runs(*writer);
  }
  return false;
}

}  // namespace

RunFiles run_files(const std::filesystem::path& run) {
  return {run / "config.toml", run / "metrics.jsonl",       run / "checkpoint.safetensors",
          run / "samples.png", run / "reconstructions.png", run / "evaluation.json",
          run / "report.html"};
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

void create_run(const std::filesystem::path& run) {
  std::error_code error;
  std::filesystem::create_directories(run, error);
  FELBO_CHECK(!error, "--out {}: cannot make the folder: {}", run.string(), error.message());
  for (const std::filesystem::path& file : all_files(run)) {
    std::filesystem::remove(file, error);
    FELBO_CHECK(!error, "--out {}: cannot replace {}: {}", run.string(), file.filename().string(),
                error.message());
  }
  remove_leftovers(run);
}

void append_metrics(const std::filesystem::path& metrics, const std::string& line) {
  std::ofstream out(metrics, std::ios::app | std::ios::binary);
  out << line << '\n' << std::flush;
  if (!out)
    throw std::runtime_error(fmt::format("{}: cannot write: {}", metrics.string(), std::strerror(errno)));
}

void truncate_metrics(const std::filesystem::path& metrics, int epoch) {
  std::ifstream in(metrics, std::ios::binary);
  std::string kept, line;
  for (int number = 1; std::getline(in, line) && !in.eof(); ++number) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    const bool valid = json.is_object() && json.contains("epoch") && json["epoch"].is_number_integer();
    FELBO_CHECK(valid, "{}, line {}: not a line of metrics; repair or remove the file", metrics.string(),
                number);
    if (json["epoch"].get<std::int64_t>() > epoch) break;
    kept += line + "\n";
  }
  in.close();
  write_file_atomically(metrics, kept);
}

}  // namespace felbo
