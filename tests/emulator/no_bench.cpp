// The emulated program has no benchmarks: its times would say nothing.
#include "host/cli/commands.h"

namespace felbo {

void add_bench_command(CLI::App&) {}

}  // namespace felbo
