// A run is a folder; these are its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace felbo {

struct RunFiles {
  std::filesystem::path config;           // config.toml
  std::filesystem::path metrics;          // metrics.jsonl, a line an epoch
  std::filesystem::path checkpoint;       // checkpoint.safetensors, the last one
  std::filesystem::path best;             // best.safetensors, that of the best held-out ELBO
  std::filesystem::path samples;          // samples.png
  std::filesystem::path reconstructions;  // reconstructions.png
  std::filesystem::path evaluation;       // evaluation.json, of `felbo evaluate --save`
  std::filesystem::path report;           // report.html, of `felbo report`
  std::filesystem::path events;           // events.out.tfevents.felbo, of `felbo train --events`
  std::filesystem::path nonfinite;  // folder: a step that the run did not take (host/forensics/incident.h)
};
RunFiles run_files(const std::filesystem::path& run);

/// Throws std::invalid_argument if `run` exists and is not a folder, or already holds a run's files and
/// `force` is false. Writes nothing.
void check_new_run(const std::filesystem::path& run, bool force);

/// RUN/checkpoint-STEP.safetensors: one that --keep keeps.
std::filesystem::path kept_checkpoint(const std::filesystem::path& run, std::int64_t step);
/// The steps of the kept checkpoints, rising.
std::vector<std::int64_t> kept_steps(const std::filesystem::path& run);

/// Gives the file `from` the second name `to` in the same folder, in place of what `to` was, whole or not at
/// all: a hard link, or a copy where the file system has none. Throws as AtomicFile does.
void link_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Keeps the checkpoint just saved at `step` under a name of its own, and of those only the last `keep`; with
/// `keep` = 1 there are none beside checkpoint.safetensors. Those of later steps, which a run that went on
/// from an earlier one may find, are removed. Throws as AtomicFile does.
void keep_checkpoint(const std::filesystem::path& run, std::int64_t step, int keep);

/// Removes what processes that were killed while they wrote the run's files left behind (AtomicFile's
/// NAME.tmp-PID-N): those of no process that runs. This process counts as none that runs, because its number
/// may have been another's (in a container, it often is): call it before anything is written. A file that
/// cannot be removed is named in a warning.
void remove_leftovers(const std::filesystem::path& run);

/// Makes the folder. Throws std::invalid_argument if it cannot be made, std::runtime_error if the disk is
/// full or fails.
void create_folder(const std::filesystem::path& run);

/// Makes the folder and removes what an earlier run left in it, leftovers too: its checkpoint first, so that
/// what is left of it half-way is no run. Throws as create_folder() does.
void create_run(const std::filesystem::path& run);

/// Adds bytes to a file, which is made where there is none, and flushes it to the disk; throws
/// std::runtime_error if they cannot be written whole.
void append_bytes(const std::filesystem::path& file, std::string_view bytes);
/// Adds a line to the metrics, as append_bytes() does.
void append_metrics(const std::filesystem::path& metrics, const std::string& line);

/// Makes RUN/events.out.tfevents.felbo hold `bytes`, in the file that is there already: what reads along
/// (TensorBoard) has it open. Throws std::runtime_error if it cannot be written whole; a run that goes on
/// writes it anew.
void rewrite_events(const std::filesystem::path& run, std::string_view bytes);

/// Keeps the lines whose "epoch" is at most `epoch`: those that the checkpoint knows of. Warns if one of them
/// is missing. Throws std::invalid_argument if a kept line is not JSON.
void truncate_metrics(const std::filesystem::path& metrics, int epoch);

}  // namespace felbo
