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
#include "host/oracle/ppca.h"
#include "host/run/run_options.h"

namespace felbo {
namespace {

using oracle::Comparison;
using oracle::OracleReport;

struct OracleFlags {
  DeviceRequest device;
  std::string data;
  std::int64_t latent = 0;
  std::uint64_t seed = 0;
  bool quick = false;
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

nlohmann::ordered_json to_json(const std::string& device, const OracleReport& report,
                               const OracleFlags& flags, double seconds) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const Comparison& c : report.results) results.push_back(to_json(c));
  return {{"device", device},          {"compared", report.results.size()},
          {"failed", report.failed()}, {"seed", flags.seed},
          {"quick", flags.quick},      {"standard_errors", oracle::kStandardErrors},
          {"seconds", seconds},        {"results", results}};
}

/// --data: the largest log p(x) of the training rows that a linear decoder with one variance can give.
void run_ppca(const OracleFlags& flags) {
  FELBO_CHECK(flags.latent >= 1, "--data needs --latent Z, 1 or more");
  FELBO_CHECK(!flags.quick, "--quick does not go with --data: its maximum is computed, not estimated");
  const DataSet data = load_data(flags.data);
  const oracle::Ppca ppca = oracle::fit_ppca(oracle::data_covariance(data.train), flags.latent);
  if (flags.json) {
    print_json({{"data", flags.data},
                {"count", data.train.rows},
                {"dimensions", data.train.cols},
                {"latent", flags.latent},
                {"log_px", json_number(ppca.log_px)},
                {"variance", json_number(ppca.variance)}});
    return;
  }
  fmt::print("{}: {} training rows of {} dimensions, {} latent\n", flags.data, data.train.rows,
             data.train.cols, flags.latent);
  fmt::print("  maximum of the mean log p(x) {:.4f} nats, at variance {:.7f}\n", ppca.log_px, ppca.variance);
  fmt::print(
      "  (probabilistic PCA, covariance divided by N: no linear VAE with one learned variance has a higher "
      "training ELBO)\n");
}

void run_oracle(const OracleFlags& flags) {
  if (!flags.data.empty()) return run_ppca(flags);
  FELBO_CHECK(flags.latent == 0, "--latent {} is for --data SPEC", flags.latent);
  const auto start = std::chrono::steady_clock::now();
  std::string device;
  const OracleReport report = with_device(flags.device, [&](const auto& exec) {
    device = describe_device(exec);
    if (!flags.json) fmt::print("{}; seed {}\n{}", device, flags.seed, oracle::oracle_table_head());
    const oracle::OracleOptions options =
        flags.quick ? oracle::quick_options(flags.seed) : oracle::OracleOptions{.seed = flags.seed};
    return oracle::compare_estimators(exec, options, [&](const Comparison& c) {
      if (flags.json) return;
      fmt::print("{}", oracle::oracle_table_line(c));
      std::fflush(stdout);
    });
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.json) {
    print_json(to_json(device, report, flags, seconds));
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
  command->add_option(
      "--data", flags->data,
      "Instead: the exact maximum of log p(x) of this set's training rows under a linear decoder "
      "(probabilistic PCA)");
  command->add_option("--latent", flags->latent, "Its latent dimensions (with --data)");
  command->add_option("--seed", flags->seed, "Seed of models, data and noise")->check(check_seed, "", "seed");
  command->add_flag("--quick", flags->quick,
                    "Few draws and wide margins: whether the device runs every estimator, in a second");
  command->add_option("--threads", flags->device.threads, "CPU threads, 0 for all cores");
  command->add_option("--device", flags->device.device, "auto, cpu, cuda or cuda:N");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  command->callback([flags] { run_oracle(*flags); });
}

}  // namespace felbo
