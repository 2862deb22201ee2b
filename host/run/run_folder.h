// A run is a folder; these are its files.
#pragma once

#include <filesystem>
#include <string>

namespace felbo {

struct RunFiles {
  std::filesystem::path config;           // config.toml
  std::filesystem::path metrics;          // metrics.jsonl, a line an epoch
  std::filesystem::path checkpoint;       // checkpoint.safetensors
  std::filesystem::path samples;          // samples.png
  std::filesystem::path reconstructions;  // reconstructions.png
  std::filesystem::path evaluation;       // evaluation.json, of `felbo evaluate --save`
  std::filesystem::path report;           // report.html, of `felbo report`
};
RunFiles run_files(const std::filesystem::path& run);

/// Throws std::invalid_argument if `run` exists and is not a folder, or already holds a run's files and
/// `force` is false. Writes nothing.
void check_new_run(const std::filesystem::path& run, bool force);

/// Removes what processes that were killed while they wrote the run's files left behind (AtomicFile's
/// NAME.tmp-PID-N): those of no process that runs. This process counts as none that runs, because its number
/// may have been another's (in a container, it often is): call it before anything is written. A file that
/// cannot be removed is named in a warning.
void remove_leftovers(const std::filesystem::path& run);

/// Makes the folder and removes what an earlier run left in it, leftovers too. Throws std::invalid_argument
/// if it cannot be made.
void create_run(const std::filesystem::path& run);

/// Adds a line to the metrics; throws std::runtime_error if it cannot be written whole.
void append_metrics(const std::filesystem::path& metrics, const std::string& line);

/// Keeps the lines whose "epoch" is at most `epoch`: those that the checkpoint knows of. Throws
/// std::invalid_argument if a kept line is not JSON.
void truncate_metrics(const std::filesystem::path& metrics, int epoch);

}  // namespace felbo
