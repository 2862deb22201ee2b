// RUN/checkpoint.safetensors: parameters, Adam's moments, the counters and the whole configuration, so that a
// run can go on bit for bit, and so that other programs can read the parameters by name.
#pragma once

#include <filesystem>
#include <string>

#include "host/run/run_config.h"
#include "host/train/model_state.h"
#include "host/train/run_progress.h"

namespace felbo {

/// Tensors: each parameter under its name, "adam.m.<name>" and "adam.v.<name>". Metadata: format, dimensions,
/// height and width (of the picture that a row of the data is, 0 if none), step, epoch, seed, config (TOML);
/// best_epoch and best_elbo, if there is one; in the middle of an epoch epoch_steps and its sums; `ledger`
/// (JSON; ledger.h), if not empty. Replaces the old file whole or not at all. Throws as AtomicFile does.
void save_checkpoint(const std::filesystem::path& path, const RunConfig& config, ImageShape shape,
                     const Vae& vae, const ModelState<CpuExec>& state, const RunProgress& progress = {},
                     const std::string& ledger = {});

/// A trained model, in host memory.
struct LoadedRun {
  RunConfig config;
  ImageShape shape;
  Vae vae;
  ModelState<CpuExec> state;
  RunProgress progress;
  std::string ledger;  // empty: an earlier version wrote none
};

/// Reads RUN/checkpoint.safetensors, or the checkpoint `run` if that is a file: of this version's format or
/// of any before it. Throws std::invalid_argument, naming what is wrong, if there is none, or the file is
/// corrupt, of another format or does not fit its own configuration.
LoadedRun load_run(const std::filesystem::path& run);

}  // namespace felbo
