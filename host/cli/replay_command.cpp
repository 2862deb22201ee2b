// `felbo replay`: the step that a training did not take, once more.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <string>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/forensics/incident.h"
#include "host/forensics/replay_step.h"
#include "host/run/ledger.h"

namespace felbo {
namespace {

struct ReplayFlags {
  std::filesystem::path run;
  DeviceRequest device;
  bool json = false;
};

/// A step with the run that it belongs to.
struct KeptStep {
  nlohmann::ordered_json report;
  LoadedRun run;
  DataSet data;
  NextStep next;

  StepAtHand at_hand() const {
    return {run.vae, data.train, run.state, training_options(run.config), next.rows, next.rates};
  }
};

KeptStep load_step(const std::filesystem::path& path) {
  nlohmann::ordered_json report = read_incident(path);
  LoadedRun run = load_run(incident_files(path).checkpoint);
  DataSet data = load_run_data(run.config.data, run.config);
  check_width(data, run.vae);
  const std::vector<std::string> differences = data_differences(run.ledger, run.config, data);
  FELBO_CHECK(differences.empty(), "{}: the data are not those of the run: {}", data.spec,
              fmt::join(differences, "; "));
  NextStep next = next_step(run.config, data.train.rows, run.state.step, run.state.epoch, run.progress.steps);
  return {std::move(report), std::move(run), std::move(data), std::move(next)};
}

/// What is told of the step in float.
struct FloatFigures {
  std::string device, precision;
  double elbo = 0.0, norm = 0.0;

  FloatFigures(std::string device, std::string precision, const FloatStep& step, std::size_t rows)
      : device(std::move(device)), precision(std::move(precision)) {
    const auto count = static_cast<double>(rows);
    elbo = (step.finite() ? step.totals.elbo : step.totals.bad.elbo) / count;
    norm = step.finite() ? step.totals.norm_sum : step.totals.bad.norm;
  }
};

nlohmann::ordered_json to_json(const KeptStep& step, const Examination& examination,
                               const FloatFigures& figures, const Verdict& verdict) {
  nlohmann::ordered_json json{{"run_step", step.run.state.step},
                              {"epoch", step.run.state.epoch + 1},
                              {"step_of_epoch", step.next.of_epoch + 1},
                              {"seed", step.run.config.seed},
                              {"count", step.next.rows.size()},
                              {"recorded", step.report["what"]},
                              {"device", figures.device},
                              {"precision", figures.precision},
                              {"float_elbo", json_number(figures.elbo)},
                              {"float_grad_norm", json_number(figures.norm)},
                              {"double_elbo", json_number(verdict.elbo)},
                              {"double_grad_norm", json_number(verdict.norm)},
                              {"verdict", name_of(verdict.blame)},
                              {"why", verdict.why}};
  json["op"] = examination.first ? nlohmann::ordered_json(examination.first->op) : nlohmann::ordered_json();
  json["tensor"] =
      examination.first ? nlohmann::ordered_json(examination.first->tensor) : nlohmann::ordered_json();
  return json;
}

std::string verdict_line(const Verdict& verdict) {
  switch (verdict.blame) {
    case Blame::kData:
      return "the data";
    case Blame::kState:
      return "the state before the step";
    case Blame::kModel:
      return "the model: its numbers leave float's range, whoever computes them";
    case Blame::kKernel:
      return "a kernel: run `felbo check` on this device, and report it with RUN/nonfinite";
    case Blame::kNothing:
      return "nothing here: the device that trained, or its memory, may be at fault";
  }
  return "";
}

void print_report(const KeptStep& step, const Examination& examination, const FloatFigures& figures,
                  const Verdict& verdict) {
  const auto number = [](double value) {
    return std::isnan(value) ? std::string("nan") : fmt::format("{:.6g}", value);
  };
  fmt::print("step {} of {} in epoch {}, {} rows of {}; recorded: {}\n", step.next.of_epoch + 1,
             step.next.steps, step.run.state.epoch + 1, step.next.rows.size(), step.data.spec,
             step.report["what"].get<std::string>());
  fmt::print("  op by op on the CPU   {}\n", describe(examination, step.next.rows));
  fmt::print("  {} on {}   ELBO {} nats a datum, norm of the gradient {}\n", figures.precision,
             figures.device, number(figures.elbo), number(figures.norm));
  fmt::print("  double, by references   ELBO {} nats a datum, norm of the gradient {}\n",
             number(verdict.elbo), number(verdict.norm));
  fmt::print("{}\nIt is {}.\n", verdict.why, verdict_line(verdict));
  flush_output();
}

template <class T, class Exec>
void replay_with(const Exec& exec, const KeptStep& step, const ReplayFlags& flags) {
  const StepAtHand at = step.at_hand();
  const Examination examination = examine_step(at, flags.device.threads);
  const FloatStep device = take_float_step<T>(exec, at);
  const Verdict verdict = judge_step<T>(at, examination, device);
  const FloatFigures figures(describe_device(exec), std::is_same_v<T, float> ? "fp32" : "bf16", device,
                             at.rows.size());
  if (flags.json) return print_json(to_json(step, examination, figures, verdict));
  print_report(step, examination, figures, verdict);
}

void replay_on(const CpuExec& exec, const KeptStep& step, const ReplayFlags& flags) {
  replay_with<float>(exec, step, flags);
}
#if FELBO_WITH_CUDA
void replay_on(const CudaExec& exec, const KeptStep& step, const ReplayFlags& flags) {
  if (precision(step.run.config) == Precision::kBf16) return replay_with<BFloat16>(exec, step, flags);
  replay_with<float>(exec, step, flags);
}
#endif

void run_replay(const ReplayFlags& flags) {
  const KeptStep step = load_step(flags.run);
  with_device(flags.device, [&](const auto& exec) { replay_on(exec, step, flags); });
}

}  // namespace

void add_replay_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "replay",
      "Take the step that a training stopped at once more, in float and in double, and say what is wrong");
  auto flags = std::make_shared<ReplayFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option("RUN", flags->run, "Folder of a run whose training found NaN or infinity")->required();
  command->add_option("--threads", flags->device.threads, "CPU threads, 0 for all cores");
  command->add_option("--device", flags->device.device, "auto, cpu, cuda or cuda:N");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  command->callback([flags] { run_replay(*flags); });
}

}  // namespace felbo
