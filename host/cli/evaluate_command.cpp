#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "host/cli/commands.h"
#include "host/cli/common.h"

namespace felbo {
namespace {

struct EvaluateFlags {
  std::filesystem::path run;
  std::string data;
  std::string split;
  std::int64_t samples = 1;
  CommonFlags common;
};

void run_evaluate(const EvaluateFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  LoadedRun run = load_run(flags.run);
  const DataSet data = load_run_data(flags.data.empty() ? run.config.data : flags.data, run.config);
  const NamedPart part = part_by_name(data, flags.split);
  check_width(data, run.vae);
  warn_of_domain(run.config, data);
  const std::uint64_t seed = flags.common.seed.value_or(run.config.seed);
  const Evaluation e = with_device(flags.common.device, [&](const auto& exec) {
    const auto state = state_on(exec, run.vae, std::move(run.state));
    return evaluate_part(exec, run.config, run.vae, state, *part.part, flags.samples, seed);
  });
  const std::optional<ExactGap> exact = exact_gap(*part.part, e);
  if (!flags.common.json) {
    fmt::print("{}", describe(e, part.name, exact));
    return;
  }
  nlohmann::ordered_json json{
      {"elbo", json_number(e.elbo.mean)},
      {"elbo_stderr", json_number(e.elbo.standard_error)},
      {"log_px_given_z", json_number(e.log_px_given_z.mean)},
      {"log_px_given_z_stderr", json_number(e.log_px_given_z.standard_error)},
      {"kl", json_number(e.kl.mean)},
      {"kl_stderr", json_number(e.kl.standard_error)},
      {"log_px", json_number(e.log_px.mean)},
      {"log_px_stderr", json_number(e.log_px.standard_error)},
      {"samples", e.samples},
      {"count", e.count},
      {"split", part.name},
      {"clamped", e.clamped},
      {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  add_exact(json, exact);
  print_json(json);
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "ELBO, its terms and the importance-weighted bound on log p(x) of a run, in nats a datum");
  auto flags = std::make_shared<EvaluateFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option("RUN", flags->run, "Folder of a run")->required();
  command->add_option("--data", flags->data, "Data set; the run's own if not given");
  command->add_option("--split", flags->split,
                      "train, valid or test; test, else valid, else train if not given");
  command->add_option("--samples", flags->samples, "Samples of z a datum");
  add_common_options(*command, flags->common);
  command->callback([flags] { run_evaluate(*flags); });
}

}  // namespace felbo
