// The verbs of the program. Each adds its subcommand, whose callback does the work and throws on failure.
#pragma once

#include <CLI/CLI.hpp>

namespace felbo {

void add_train_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_gap_command(CLI::App& app);
void add_sample_command(CLI::App& app);
void add_reconstruct_command(CLI::App& app);
void add_encode_command(CLI::App& app);
void add_interpolate_command(CLI::App& app);
void add_traverse_command(CLI::App& app);
void add_denoise_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_replay_command(CLI::App& app);
void add_check_command(CLI::App& app);
void add_oracle_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_info_command(CLI::App& app);

}  // namespace felbo
