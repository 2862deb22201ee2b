// The flags of a training run, bound to a RunConfig: the one list that the command line, TOML files and
// checkpoints share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "host/run/run_config.h"

namespace felbo {

/// What --data-on is, for every verb that reads data.
inline constexpr const char* kDataOnHelp =
    "Where a GPU's data lie: device; host (streamed to it batch by batch); auto (device, where they fit "
    "beside "
    "the model). Results do not depend on it";

/// Adds a flag to `app` for every member of `config`, with help, default and unit.
void add_run_options(CLI::App& app, RunConfig& config);

/// For CLI11's check() of --latent: what is wrong with `text`, or "".
std::string check_latent(const std::string& text);
/// For CLI11's check() of a seed, which alone would take -1 for 2^64 - 1: what is wrong with `text`, or "".
std::string check_seed(const std::string& text);

/// Sets the flags that `text` names and the command line did not give. What the text says of a flag for which
/// the command line's choice leaves no room is dropped: `epochs` and `lr` under an --lr-schedule of stages
/// (with rates of its own), `variance`, `degrees-of-freedom` and `categories` under a --likelihood that has
/// none, `flow-steps` and `components` under a --posterior and --prior that have none. Throws
/// std::invalid_argument with `where` and the line if the text is not TOML, names no flag of a run, or holds
/// a value that does not fit.
void apply_toml(CLI::App& app, const std::string& text, const std::string& where);

}  // namespace felbo
