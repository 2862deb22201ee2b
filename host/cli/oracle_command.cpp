// `felbo oracle`: every estimator against closed forms, on the device that the user names.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/oracle/estimators.h"
#include "host/run/run_options.h"

namespace felbo {
namespace {

using oracle::Comparison;
using oracle::OracleReport;

struct OracleFlags {
  DeviceRequest device;
  std::uint64_t seed = 0;
  bool json = false;
};

nlohmann::ordered_json to_json(const Comparison& c) {
  const char* sides[] = {"=", "<=", ">="};
  return {{"name", c.name},
          {"model", c.model},
          {"value", json_number(c.value)},
          {"exact", json_number(c.exact)},
          {"relation", sides[static_cast<int>(c.side)]},
          {"difference", json_number(c.difference())},
          {"standard_error", json_number(c.standard_error)},
          {"allowed", json_number(c.allowed())},
          {"ok", c.ok()}};
}

nlohmann::ordered_json to_json(const std::string& device, const OracleReport& report, std::uint64_t seed,
                               double seconds) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const Comparison& c : report.results) results.push_back(to_json(c));
  return {{"device", device},  {"compared", report.results.size()},          {"failed", report.failed()},
          {"seed", seed},      {"standard_errors", oracle::kStandardErrors}, {"seconds", seconds},
          {"results", results}};
}

void run_oracle(const OracleFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  std::string device;
  const OracleReport report = with_device(flags.device, [&](const auto& exec) {
    device = describe_device(exec);
    if (!flags.json) fmt::print("{}; seed {}\n{}", device, flags.seed, oracle::oracle_table_head());
    return oracle::compare_estimators(exec, {.seed = flags.seed}, [&](const Comparison& c) {
      if (flags.json) return;
      fmt::print("{}", oracle::oracle_table_line(c));
      std::fflush(stdout);
    });
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.json) {
    print_json(to_json(device, report, flags.seed, seconds));
  } else {
    fmt::print("{}", oracle::oracle_table_totals(report));
    flush_output();
  }
  if (!report.ok()) throw std::runtime_error("oracle: " + report.first_failure());
}

}  // namespace

void add_oracle_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "oracle", "Every estimator against the exact values of linear-Gaussian models, in standard errors");
  auto flags = std::make_shared<OracleFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option("--seed", flags->seed, "Seed of models, data and noise")->check(check_seed, "", "seed");
  command->add_option("--threads", flags->device.threads, "CPU threads, 0 for all cores");
  command->add_option("--device", flags->device.device, "auto, cpu, cuda or cuda:N");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  command->callback([flags] { run_oracle(*flags); });
}

}  // namespace felbo
