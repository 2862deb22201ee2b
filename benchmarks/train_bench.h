// `felbo bench train`: how long training takes to reach a likelihood.
#pragma once

#include <CLI/CLI.hpp>

namespace felbo::bench {

/// Adds the subcommand `train` to `felbo bench`. It trains as `felbo train` does but keeps no run, and
/// reports the seconds of its steps (evaluation apart) until the held-out figure reached each --target.
CLI::App* add_train_bench(CLI::App& bench);

}  // namespace felbo::bench
