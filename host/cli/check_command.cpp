// `felbo check`: every op against its reference, on the device that the user names.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "host/check/all_checks.h"
#include "host/cli/commands.h"
#include "host/cli/common.h"

namespace felbo {
namespace {

using checks::CheckReport;
using checks::CheckResult;

struct CheckFlags {
  DeviceRequest device;
  std::string filter;
  bool json = false;
};

nlohmann::ordered_json to_json(const CheckResult& result) {
  nlohmann::ordered_json json{{"name", result.name},
                              {"ok", result.ok()},
                              {"cases", result.cases},
                              {"compared", result.compared},
                              {"failed", result.failed},
                              {"exact", result.exact},
                              {"worst", json_number(result.worst)}};
  if (!result.ok()) json["failure"] = result.failure;
  return json;
}

nlohmann::ordered_json to_json(const std::string& device, const CheckReport& report, double seconds) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const CheckResult& result : report.results) results.push_back(to_json(result));
  return {{"device", device},
          {"compared", report.compared},
          {"failed", report.failed},
          {"skipped", report.skipped},
          {"input_seed", checks::kInputSeed},
          {"noise_seed", checks::kNoiseSeed},
          {"seconds", seconds},
          {"results", results}};
}

void print_head(const std::string& device) {
  fmt::print("{}; inputs from seed {}, noise from seed {}\n{}", device, checks::kInputSeed,
             checks::kNoiseSeed, checks::table_head());
}

void print_line(const CheckResult& result) {
  fmt::print("{}", checks::table_line(result));
  if (!result.ok()) fmt::print("  {}\n", result.failure);
  std::fflush(stdout);
}

void run_check(const CheckFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  std::string device;
  const CheckReport report = with_device(flags.device, [&]<class Exec>(const Exec& exec) {
    device = describe_device(exec);
    bool first = true;
    return checks::run_checks(exec, checks::all_checks<Exec>(), flags.filter, [&](const CheckResult& result) {
      if (flags.json) return;
      if (std::exchange(first, false)) print_head(device);
      print_line(result);
    });
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.json) {
    print_json(to_json(device, report, seconds));
  } else {
    fmt::print("{}", checks::table_totals(report));
    flush_output();
  }
  if (!report.ok()) throw std::runtime_error("check: " + report.first_failure());
}

}  // namespace

void add_check_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("check", "Every op against its reference in double, element by element");
  auto flags = std::make_shared<CheckFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option("--filter", flags->filter, "Regular expression: the checks whose name matches");
  command->add_option("--threads", flags->device.threads, "CPU threads, 0 for all cores");
  command->add_option("--device", flags->device.device, "auto, cpu, cuda or cuda:N");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  command->callback([flags] { run_check(*flags); });
}

}  // namespace felbo
