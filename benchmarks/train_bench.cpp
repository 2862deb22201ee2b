#include "benchmarks/train_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/bench_json.h"
#include "benchmarks/step_bench.h"
#include "host/cli/device.h"
#include "host/cli/new_model.h"
#include "host/exec/energy.h"
#include "host/run/atomic_file.h"
#include "host/run/run_options.h"
#include "host/train/trainer.h"
#include "kernels/common/check.h"
#if FELBO_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace felbo::bench {
namespace {

struct TrainBenchFlags {
  RunConfig config;
  std::vector<double> targets;
  std::filesystem::path config_file, out;
  bool json = false;
  bool fraction_given = false;
};

/// Flags of `felbo train` that a training without a folder has no use for.
constexpr const char* kOfFolders[] = {"--save-every", "--save-steps", "--keep", "--track-gap", "--events"};

/// Where the training stood at the end of an epoch, counted from its beginning.
struct TrainedTo {
  int epoch = 0;
  double nats = 0.0;     // the held-out figure
  double seconds = 0.0;  // of steps
  double evaluation_seconds = 0.0;
  std::optional<double> joules;  // of the GPU while it took steps
};

struct Timing {
  std::vector<TrainedTo> curve;
  std::int64_t rows = 0;    // data an epoch
  std::string name, split;  // of the model; of the part that was held out
  std::string figure;       // "elbo" or "log_px"
};

EnergyCounter energy_counter(const CpuExec&) { return {}; }
#if FELBO_WITH_CUDA
EnergyCounter energy_counter(const CudaExec& exec) {
  char pci_bus_id[32] = {};
  if (cudaDeviceGetPCIBusId(pci_bus_id, sizeof pci_bus_id, exec.device().index) != cudaSuccess) return {};
  return EnergyCounter(pci_bus_id);
}
#endif

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The epochs of `felbo train` without its folder. T: as TrainingStep's.
template <class Exec, class T>
class TimedTraining {
 public:
  TimedTraining(const Exec& exec, NewModel model)
      : exec_(exec),
        config_(std::move(model.config)),
        data_(std::move(model.data)),
        vae_(std::move(model.vae)),
        state_(state_on(exec, vae_, std::move(model.state))),
        train_(exec, data_.train),
        judged_(exec, *held_out_part(data_).part),
        schedule_(lr_schedule(config_)),
        beta_(beta_schedule(config_)),
        batch_(std::min(config_.batch, train_.rows())),
        step_(exec, vae_, train_, state_, step_options()),
        energy_(energy_counter(exec)),
        // No bar: each time that it is drawn it waits for the steps taken.
        progress_(schedule_.epochs(), steps_per_epoch(train_.rows(), batch_), ProgressKind::kLines) {
    timing_.rows = train_.rows();
    timing_.name =
        name_of(StepShape{vae_.config().dimensions, vae_.config().hidden, vae_.config().latent, batch_});
    timing_.split = held_out_part(data_).name;
    timing_.figure = weighted() ? "log_px" : "elbo";
  }

  /// Trains until the figure has reached `enough`, or the last epoch.
  Timing operator()(std::optional<double> enough) {
    while (state_.epoch < schedule_.epochs()) {
      run_epoch();
      if (enough && at_.nats >= *enough) break;
    }
    return std::move(timing_);
  }

 private:
  bool weighted() const { return has_importance_weights(training_options(config_).objective); }

  TrainingStepOptions step_options() const {
    TrainingStepOptions options = training_options(config_);
    options.max_batch = batch_;
    return options;
  }

  void run_epoch() {
    progress_.begin_epoch(state_.epoch + 1);
    const std::optional<double> before = energy_.joules();
    const EpochTraining epoch = *train_epoch(
        step_, state_, {train_.rows(), batch_, config_.seed, schedule_, beta_}, within_, progress_,
        [](std::int64_t) { return AfterStep::kGoOn; }, [] {});
    const std::optional<double> after = energy_.joules();
    at_.seconds += epoch.seconds;
    at_.joules = before && after && (state_.epoch == 1 || at_.joules)
                     ? std::optional(at_.joules.value_or(0.0) + (*after - *before))
                     : std::nullopt;
    judge(epoch);
  }

  void judge(const EpochTraining& epoch) {
    const auto start = std::chrono::steady_clock::now();
    const Evaluation e = evaluate(exec_, vae_, state_.parameters.view(), judged_,
                                  {held_out_samples(config_), binarize_mode(config_), config_.seed});
    at_.evaluation_seconds += seconds_since(start);
    const ElboTerms terms{e.elbo.mean, e.log_px_given_z.mean, e.kl.mean};
    check_finite("held-out", state_.epoch, terms);
    at_.epoch = state_.epoch;
    at_.nats = weighted() ? e.log_px.mean : e.elbo.mean;
    timing_.curve.push_back(at_);
    progress_.end_epoch({.epoch = state_.epoch,
                         .epochs = schedule_.epochs(),
                         .evaluated_on = timing_.split,
                         .evaluated = terms,
                         .train_elbo = epoch.terms.elbo,
                         .learning_rate = epoch.lr,
                         .samples_per_second = epoch.samples_per_second,
                         .clamped = epoch.clamped});
  }

  const Exec& exec_;
  RunConfig config_;
  DataSet data_;  // a CPU reads it where it stands
  Vae vae_;
  ModelState<Exec> state_;
  ResidentData<Exec> train_, judged_;
  LrSchedule schedule_;
  BetaSchedule beta_;
  std::int64_t batch_;
  TrainingStep<Exec, T> step_;
  RunProgress within_;
  EnergyCounter energy_;
  Progress progress_;
  TrainedTo at_;
  Timing timing_;
};

Timing time_training(const CpuExec& exec, NewModel model, std::optional<double> enough) {
  return TimedTraining<CpuExec, float>(exec, std::move(model))(enough);
}
#if FELBO_WITH_CUDA
Timing time_training(const CudaExec& exec, NewModel model, std::optional<double> enough) {
  if (exec.precision() == Precision::kBf16)
    return TimedTraining<CudaExec, BFloat16>(exec, std::move(model))(enough);
  return TimedTraining<CudaExec, float>(exec, std::move(model))(enough);
}
#endif

/// A row of the results: the way to `target`, or with none the whole training. Where the target was not
/// reached there is no time to it.
nlohmann::ordered_json row_of(const Timing& timing, const RunConfig& config, std::optional<double> target) {
  const auto& curve = timing.curve;
  const auto found = std::ranges::find_if(curve, [&](const TrainedTo& t) { return t.nats >= target; });
  const bool reached = target && found != curve.end();
  const TrainedTo& to = reached ? *found : curve.back();
  const bool timed = reached || !target;
  const auto if_timed = [&](double value) { return or_null(timed ? std::optional(value) : std::nullopt); };
  return {{"name", "train/" + timing.name},
          {"params", fmt::format("B:{}/{}/{}", config.batch, config.precision,
                                 target ? fmt::format("{}:{}", timing.figure, *target)
                                        : fmt::format("epochs:{}", to.epoch))},
          {"seconds", if_timed(to.seconds)},
          {"bytes", nullptr},
          {"flops", nullptr},
          {"gb_per_s", nullptr},
          {"gflop_per_s", nullptr},
          {"roofline", nullptr},
          {"target", or_null(target)},
          {"reached", target ? nlohmann::ordered_json(reached) : nullptr},
          {"nats", to.nats},
          {"epochs", timed ? nlohmann::ordered_json(to.epoch) : nullptr},
          {"samples_per_second", static_cast<double>(to.epoch * timing.rows) / to.seconds},
          {"evaluation_seconds", if_timed(to.evaluation_seconds)},
          {"joules", timed ? or_null(to.joules) : nullptr},
          {"precision", config.precision}};
}

void print_row(const Timing& timing, const nlohmann::ordered_json& row) {
  const std::string figure = timing.figure == "elbo" ? "ELBO" : "bound on log p(x)";
  const double rate = row["samples_per_second"];
  if (row["reached"] == false) {
    fmt::print("{}: {} {} not reached in {} epochs (last {:.2f}; {:.1f}k samples/s)\n", timing.name, figure,
               row["target"].get<double>(), timing.curve.back().epoch, row["nats"].get<double>(),
               rate * 1e-3);
    return;
  }
  const std::string what = row["target"].is_null()
                               ? std::string("the whole training")
                               : fmt::format("{} {} reached", figure, row["target"].get<double>());
  fmt::print(
      "{}: {} after {} epochs, {:.2f} s of training ({:.1f}k samples/s) and {:.2f} s of evaluation{}; "
      "{:.2f} nats\n",
      timing.name, what, row["epochs"].get<int>(), row["seconds"].get<double>(), rate * 1e-3,
      row["evaluation_seconds"].get<double>(),
      row["joules"].is_null() ? "" : fmt::format(", {:.0f} J", row["joules"].get<double>()),
      row["nats"].get<double>());
}

void check_flags(const CLI::App& command, const TrainBenchFlags& flags) {
  for (const CLI::Option* option : command.get_parent()->get_options())
    FELBO_CHECK(option->count() == 0, "{} stands before train: the flags of bench train come behind it",
                option->get_name());
  for (const char* name : kOfFolders)
    FELBO_CHECK(command.get_option(name)->count() == 0, "{} does not go with bench train, which keeps no run",
                name);
  for (const double target : flags.targets)
    FELBO_CHECK(std::isfinite(target), "--target {}: must be a finite number of nats", target);
  check_output("--out", flags.out, ".json");
}

void run_train_bench(const TrainBenchFlags& flags) {
  const DeviceRequest request{flags.config.device, flags.config.threads, precision(flags.config),
                              flags.config.data_on};
  NewModel model = new_model(flags.config, flags.fraction_given);
  const RunConfig config = model.config;
  const std::string data = model.data.spec;
  const std::int64_t parameters = model.vae.table().parameters();
  std::optional<double> enough;
  if (!flags.targets.empty()) enough = std::ranges::max(flags.targets);
  const auto [device, timing] = with_device(request, [&](const auto& exec) {
    return std::pair(describe_device(exec), time_training(exec, std::move(model), enough));
  });
  nlohmann::ordered_json measured = measured_on(device);
  measured.update({{"data", data},
                   {"split", timing.split},
                   {"figure", timing.figure},
                   {"objective", config.objective},
                   {"precision", config.precision},
                   {"parameters", parameters},
                   {"peak_memory_mb", peak_memory_mb()}});
  for (const TrainedTo& t : timing.curve)
    measured["curve"].push_back({{"epoch", t.epoch},
                                 {"seconds", t.seconds},
                                 {"evaluation_seconds", t.evaluation_seconds},
                                 {"nats", t.nats},
                                 {"joules", or_null(t.joules)}});
  std::vector<std::optional<double>> ways(flags.targets.begin(), flags.targets.end());
  ways.push_back(std::nullopt);
  for (const std::optional<double>& target : ways) {
    measured["results"].push_back(row_of(timing, config, target));
    if (!flags.json) print_row(timing, measured["results"].back());
  }
  if (!flags.out.empty()) write_file_atomically(flags.out, measured.dump(2) + "\n");
  if (flags.json) print_json(measured);
}

}  // namespace

CLI::App* add_train_bench(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "train", "Seconds of training until the held-out figure reaches given numbers of nats");
  auto flags = std::make_shared<TrainBenchFlags>();
  command->add_option("--target", flags->targets,
                      "Nats a datum that the held-out ELBO is to reach (the bound on log p(x), where the "
                      "objective has importance weights); several at once, e.g. --target -110 -105. Training "
                      "ends with the last; with none it takes all --epochs");
  command->add_option("--config", flags->config_file,
                      "TOML file of flags, such as RUN/config.toml; the command line wins");
  command->add_option("--out", flags->out, "Also write the object of --json to this file, FILE.json");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  add_run_options(*command, flags->config);
  for (const char* name : kOfFolders) command->get_option(name)->group("");  // out of --help
  CLI::Option* data = command->get_option("--data");
  data->description(data->get_description() + ". builtin:glyphs with --binarize dynamic if not given");
  command->callback([command, flags] {
    check_flags(*command, *flags);
    flags->fraction_given = command->get_option("--valid-fraction")->count() > 0;
    complete_config(*command, flags->config_file, flags->config);
    if (flags->config.data.empty()) {
      flags->config.data = "builtin:glyphs";
      if (command->get_option("--binarize")->count() == 0) flags->config.binarize = "dynamic";
    }
    run_train_bench(*flags);
  });
  return command;
}

}  // namespace felbo::bench
