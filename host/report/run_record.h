// What a run has left on disk, read for a report: its configuration, its epochs, its pictures, its
// evaluation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/run/run_config.h"

namespace felbo::report {

/// The numbers of metrics.jsonl: a column a key, a row an epoch. NaN: the epoch has no such number; infinity:
/// it has one that is not finite (JSON's null).
struct Metrics {
  std::vector<double> epochs;
  std::vector<std::string> keys;  // in the order of their first appearance, without "epoch"
  std::map<std::string, std::vector<double>> columns;

  bool has(const std::string& key) const { return columns.contains(key); }
  /// The column, or one of NaN if there is none of that name.
  std::vector<double> column(const std::string& key) const;
  /// The last row's number; NaN if it has none.
  double last(const std::string& key) const;
};

/// Reads metrics.jsonl. A last line without its end (the run is being written) is left out. Throws
/// std::invalid_argument, naming file and line, for a line that is no JSON object, an epoch that does not
/// follow the one before it, figures of the ELBO that are missing or not finite, and a file without an epoch.
Metrics read_metrics(const std::filesystem::path& path);

struct Picture {
  std::string name;  // of the file
  std::string png;   // its bytes
  int width = 0, height = 0;
};

struct RunRecord {
  std::string path;  // as it was named
  std::string name;  // short; unique among the runs of a report
  RunConfig config;
  Metrics metrics;
  std::vector<Picture> pictures;             // samples, reconstructions, then others by name
  std::map<std::string, std::string> facts;  // of the checkpoint's metadata, without the configuration
  std::optional<std::int64_t> parameters;    // of the model; none without a checkpoint
  nlohmann::ordered_json evaluation;         // of evaluation.json; null without one

  int epochs() const { return static_cast<int>(metrics.epochs.back()); }
};

/// Reads a run's folder. Throws std::invalid_argument if it holds no run, or one of its files is not what it
/// should be; a checkpoint, pictures and an evaluation may be missing.
RunRecord read_run(const std::filesystem::path& run);

/// Gives runs of the same folder name longer ones, from the end of their paths, until all differ.
void make_names_unique(std::vector<RunRecord>& runs);

}  // namespace felbo::report
