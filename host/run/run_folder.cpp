#include "host/run/run_folder.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host/run/atomic_file.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

std::array<std::filesystem::path, 5> all_files(const std::filesystem::path& run) {
  const RunFiles f = run_files(run);
  return {f.config, f.metrics, f.checkpoint, f.samples, f.reconstructions};
}

}  // namespace

RunFiles run_files(const std::filesystem::path& run) {
  return {run / "config.toml", run / "metrics.jsonl", run / "checkpoint.safetensors", run / "samples.png",
          run / "reconstructions.png"};
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

void create_run(const std::filesystem::path& run) {
  std::error_code error;
  std::filesystem::create_directories(run, error);
  FELBO_CHECK(!error, "--out {}: cannot make the folder: {}", run.string(), error.message());
  for (const std::filesystem::path& file : all_files(run)) {
    std::filesystem::remove(file, error);
    FELBO_CHECK(!error, "--out {}: cannot replace {}: {}", run.string(), file.filename().string(),
                error.message());
  }
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
