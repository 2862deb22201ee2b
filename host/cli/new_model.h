// What training begins with, whether a run's folder comes of it (`train`) or figures alone (`bench train`).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>

#include "host/cli/common.h"
#include "host/train/model_state.h"

namespace felbo {

/// A model at its initial values, in host memory, and the data that it is to be trained on.
struct NewModel {
  RunConfig config;  // with all that was left to the data or to a default filled in
  DataSet data;
  Vae vae;
  ModelState<CpuExec> state;
};

/// Throws std::invalid_argument for all that can be known to be wrong with the configuration and the data
/// before the first step, what does not fit this machine's memory included. `fraction_given`: as
/// load_run_data() takes it.
NewModel new_model(RunConfig config, bool fraction_given);

/// Throws std::invalid_argument if the steps of the whole run are more than the noise counter can name.
void check_steps(const RunConfig& config, std::int64_t rows);

/// Sets the flags of a run (add_run_options() on `config`) that the command line did not give from the TOML
/// file, if one is named. Throws std::invalid_argument if it cannot be read or holds anything else, and for
/// an --lr that the schedule would not use.
void complete_config(CLI::App& command, const std::filesystem::path& file, const RunConfig& config);

}  // namespace felbo
