#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/cli/new_model.h"
#include "host/data/spread_rows.h"
#if FELBO_WITH_CUDA
#include "host/exec/cuda_libraries.h"
#endif
#include "host/evaluate/generate.h"
#include "host/forensics/incident.h"
#include "host/report/event_file.h"
#include "host/report/png_writer.h"
#include "host/run/atomic_file.h"
#include "host/run/ledger.h"
#include "host/run/run_folder.h"
#include "host/run/run_lock.h"
#include "host/run/run_options.h"
#include "host/run/stop_request.h"
#include "host/train/trainer.h"

namespace felbo {
namespace {

using Clock = std::chrono::steady_clock;

struct TrainFlags {
  RunConfig config;
  std::filesystem::path out;
  std::filesystem::path resume;
  std::filesystem::path config_file;
  bool force = false;
  bool json = false;
  bool fraction_given = false;  // --valid-fraction on the command line; config.toml always holds one
};

/// A run ready to train, in host memory; nothing is written yet.
struct PreparedRun {
  RunConfig config;
  DataSet data;
  Vae vae;
  ModelState<CpuExec> state;
  std::filesystem::path run;
  RunProgress progress;
  RunLock lock;        // of a folder that exists already
  std::string ledger;  // that the run began with; empty of a new one
};

/// What the ledger says of where a run computes.
RunMachine machine_of(const CpuExec& exec) { return {describe_device(exec)}; }
#if FELBO_WITH_CUDA
RunMachine machine_of(const CudaExec& exec) { return {describe_device(exec), cuda_libraries()}; }
#endif

/// A run under way: what the epochs need and what they change.
template <class Exec>
struct Training {
  Training(const Exec& exec, PreparedRun prepared)
      : exec(exec),
        config(std::move(prepared.config)),
        data(std::move(prepared.data)),
        vae(std::move(prepared.vae)),
        state(state_on(exec, vae, std::move(prepared.state))),
        run(std::move(prepared.run)),
        progress(prepared.progress),
        lock(std::move(prepared.lock)),
        ledger(make_ledger(config, data, machine_of(exec))) {
    for (const std::string& line : machine_differences(prepared.ledger, machine_of(exec)))
      spdlog::warn("{}: bits may differ from those of the run that began: {}", run.string(), line);
  }

  const Exec& exec;
  RunConfig config;
  DataSet data;
  Vae vae;
  ModelState<Exec> state;
  std::filesystem::path run;
  RunProgress progress;
  RunLock lock;
  std::string ledger;
};

PreparedRun start_new(const TrainFlags& flags) {
  check_new_run(flags.out, flags.force);
  RunLock lock = std::filesystem::exists(flags.out) ? RunLock(flags.out) : RunLock();
  NewModel model = new_model(flags.config, flags.fraction_given);
  return {std::move(model.config),
          std::move(model.data),
          std::move(model.vae),
          std::move(model.state),
          flags.out,
          {},
          std::move(lock)};
}

/// What may change when a run goes on: how long, where and how fast, but nothing that a step depends on; and
/// how the run takes it. --epochs has rules of its own.
using Take = void (*)(RunConfig& run, const RunConfig& given);
const std::map<std::string, Take> kMayChange{
    {"--epochs", [](RunConfig&, const RunConfig&) {}},
    {"--threads", [](RunConfig& run, const RunConfig& given) { run.threads = given.threads; }},
    {"--device", [](RunConfig& run, const RunConfig& given) { run.device = given.device; }},
    {"--data-on", [](RunConfig& run, const RunConfig& given) { run.data_on = given.data_on; }},
    {"--save-every", [](RunConfig& run, const RunConfig& given) { run.save_every = given.save_every; }},
    {"--save-steps", [](RunConfig& run, const RunConfig& given) { run.save_steps = given.save_steps; }},
    {"--keep", [](RunConfig& run, const RunConfig& given) { run.keep = given.keep; }},
    {"--track-gap", [](RunConfig& run, const RunConfig& given) { run.track_gap = given.track_gap; }},
    {"--events", [](RunConfig& run, const RunConfig& given) { run.events = given.events; }},
    {"--on-nonfinite",
     [](RunConfig& run, const RunConfig& given) { run.on_nonfinite = given.on_nonfinite; }}};

void check_resume_flags(const CLI::App& command, const TrainFlags& flags) {
  FELBO_CHECK(flags.out.empty() && flags.config_file.empty() && !flags.force,
              "--resume {} goes on in the same folder with the same configuration; --out, --config and "
              "--force do not go with it",
              flags.resume.string());
  CLI::App all;
  RunConfig unused;
  all.set_help_flag();
  add_run_options(all, unused);
  for (const CLI::Option* option : all.get_options()) {
    const std::string name = option->get_name();
    if (kMayChange.contains(name)) continue;
    FELBO_CHECK(command.get_option(name)->count() == 0,
                "--resume {}: {} cannot change, the run goes on as it began; start a new run for that "
                "({} may change)",
                flags.resume.string(), name, fmt::join(std::views::keys(kMayChange), ", "));
  }
}

/// A file that was replaced since would go on as another run.
void check_same_data(const RunConfig& config, const DataSet& data, const LoadedRun& run) {
  check_width(data, run.vae);
  const std::vector<std::string> differences = data_differences(run.ledger, config, data);
  FELBO_CHECK(differences.empty(), "{}: the data are not those that the run began with: {}", data.spec,
              fmt::join(differences, "; "));
  warn_of_domain(config, data);
  const std::int64_t of_epoch = steps_per_epoch(data.train.rows, config.batch);
  const RunProgress& p = run.progress;
  const std::int64_t steps = run.state.epoch * of_epoch + p.steps;
  FELBO_CHECK(steps == run.state.step && p.steps <= of_epoch &&
                  p.totals.count + p.totals.skipped_data == std::min(p.steps * config.batch, data.train.rows),
              "{}: {} epochs over {} training rows{} are {} steps, the checkpoint has taken {}: the data are "
              "not those that the run began with",
              data.spec, run.state.epoch, data.train.rows,
              p.steps > 0 ? fmt::format(" and {} steps over {} of them", p.steps, p.totals.count) : "", steps,
              run.state.step);
}

PreparedRun go_on(const CLI::App& command, const TrainFlags& flags) {
  FELBO_CHECK(!std::filesystem::is_regular_file(flags.resume), "--resume {}: is a file, not a run's folder",
              flags.resume.string());
  RunLock lock = std::filesystem::is_directory(flags.resume) ? RunLock(flags.resume) : RunLock();
  LoadedRun loaded = load_run(flags.resume);
  RunConfig config = loaded.config;
  for (const auto& [name, take] : kMayChange) {
    if (command.get_option(name)->count() > 0) take(config, flags.config);
  }
  if (flags.config.epochs && flags.config.epochs != config.epochs) {
    FELBO_CHECK(config.lr_schedule == "constant",
                "--epochs {}: the run's schedule {} was laid out for {} epochs and cannot be extended",
                *flags.config.epochs, config.lr_schedule, *config.epochs);
    FELBO_CHECK(*flags.config.epochs >= loaded.state.epoch, "--epochs {}: the run has already finished {}",
                *flags.config.epochs, loaded.state.epoch);
    config.epochs = flags.config.epochs;
  }
  DataSet data = load_run_data(config.data, config);
  validate(config, data.train.cols);
  check_memory(config, data.train.cols, data.train.rows);
  check_same_data(config, data, loaded);
  check_steps(config, data.train.rows);
  return {config,       std::move(data), std::move(loaded.vae), std::move(loaded.state),
          flags.resume, loaded.progress, std::move(lock),       std::move(loaded.ledger)};
}

template <class Exec>
void save(const Training<Exec>& t) {
  save_checkpoint(run_files(t.run).checkpoint, t.config, t.data.train.shape, t.vae,
                  host_state(t.exec, t.vae, t.state), t.progress, t.ledger);
}

/// Whether the end of the epoch that the state stands at is one that saves.
template <class Exec>
bool is_save_point(const Training<Exec>& t) {
  const bool ends = t.state.epoch > 0 && t.progress.steps == 0;
  return ends &&
         (t.state.epoch % t.config.save_every == 0 || t.state.epoch == lr_schedule(t.config).epochs());
}

/// The other names of the checkpoint that stands: the best, and the last few. Doing it again changes nothing,
/// so that a run that goes on does what a killed one may have left undone.
template <class Exec>
void name_checkpoint(const Training<Exec>& t) {
  if (!is_save_point(t)) return;
  if (t.progress.best_epoch == t.state.epoch) link_file(run_files(t.run).checkpoint, run_files(t.run).best);
  keep_checkpoint(t.run, t.state.step, t.config.keep);
}

/// Seconds since 1970.
double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The event file of the epochs that the metrics hold, in place of what an earlier process wrote: of epochs,
/// perhaps, that its checkpoint did not know of.
template <class Exec>
void begin_events(const Training<Exec>& t) {
  const RunFiles files = run_files(t.run);
  if (!writes_events(t.config)) {
    std::filesystem::remove(files.events);
    return;
  }
  std::ostringstream metrics;
  if (std::filesystem::exists(files.metrics)) metrics << std::ifstream(files.metrics).rdbuf();
  rewrite_events(t.run, report::event_file_of(metrics.str(), wall_time()));
}

/// A new run's folder with its first checkpoint. A run that cannot begin leaves nothing behind.
template <class Exec>
void begin_folder(const TrainFlags& flags, Training<Exec>& t) {
  const bool is_new = !std::filesystem::exists(t.run);
  try {
    create_folder(t.run);
    if (!t.lock) t.lock = RunLock(t.run);
    check_new_run(t.run, flags.force);  // what another process may have written since
    create_run(t.run);
    save(t);
  } catch (const std::exception&) {
    std::error_code ignored;
    if (is_new) std::filesystem::remove(t.run, ignored);  // where nothing is in it
    throw;
  }
}

/// The run's folder, as it must stand before the first step. A run that has begun can go on.
template <class Exec>
void open_folder(const TrainFlags& flags, Training<Exec>& t) {
  if (flags.resume.empty()) {
    begin_folder(flags, t);
  } else {
    remove_leftovers(t.run);
    truncate_metrics(run_files(t.run).metrics, t.state.epoch);
    name_checkpoint(t);
  }
  begin_events(t);
  write_file_atomically(run_files(t.run).config, to_toml(t.config));
}

// What --track-gap costs: samples of z for each of a few held-out data.
constexpr std::int64_t kTrackedData = 250, kTrackedSamples = 100;

/// log p(x) by importance weights, and how far the ELBO is below it, which is KL(q(z|x) || p(z|x)): both are
/// lower bounds in expectation.
struct TrackedGap {
  Estimate log_px, elbo, kl_to_posterior;
  std::int64_t samples = 0, count = 0;

  explicit TrackedGap(const Evaluation& e)
      : log_px(e.log_px), elbo(e.elbo), samples(e.samples), count(e.count) {
    std::vector<double> differences = e.log_px_of_datum;
    for (std::size_t n = 0; n < differences.size(); ++n) differences[n] -= e.elbo_of_datum[n];
    kl_to_posterior = estimate(differences);
  }
  std::string line() const {
    return fmt::format(
        "  gap: log p(x) >= {:.2f}, KL(q(z|x) || p(z|x)) >= {:.2f} +- {:.2f} ({} held-out data, {} samples)",
        log_px.mean, kl_to_posterior.mean, kl_to_posterior.standard_error, count, samples);
  }
};

template <class State>
std::string metrics_line(const State& state, const EpochTraining& train, const Evaluation& held_out,
                         const std::optional<TrackedGap>& tracked, bool norms) {
  nlohmann::ordered_json line{{"epoch", state.epoch},
                              {"step", state.step},
                              {"elbo", held_out.elbo.mean},
                              {"elbo_stderr", json_number(held_out.elbo.standard_error)},
                              {"log_px_given_z", held_out.log_px_given_z.mean},
                              {"kl", held_out.kl.mean},
                              {"train_elbo", train.terms.elbo},
                              {"train_log_px_given_z", train.terms.log_px_given_z},
                              {"train_kl", train.terms.kl},
                              {"lr", train.lr},
                              {"beta", train.beta},
                              {"clamped", train.clamped},
                              {"held_out_clamped", held_out.clamped},
                              {"clipped_steps", train.clipped_steps},
                              {"skipped_steps", train.skipped_steps},
                              {"samples_per_second", train.samples_per_second},
                              {"seconds", train.seconds}};
  if (norms) {
    line["grad_norm_mean"] = json_number(train.norm_mean);
    line["grad_norm_max"] = train.norm_max;
  }
  if (held_out.samples > 1) {  // an objective with importance weights: its bound, with as many samples
    line["log_px"] = held_out.log_px.mean;
    line["log_px_stderr"] = json_number(held_out.log_px.standard_error);
    line["samples"] = held_out.samples;
    line["train_log_px"] = train.bound;
  }
  if (tracked) {
    line["tracked_log_px"] = json_number(tracked->log_px.mean);
    line["tracked_log_px_stderr"] = json_number(tracked->log_px.standard_error);
    line["tracked_elbo"] = json_number(tracked->elbo.mean);
    line["kl_to_posterior"] = json_number(tracked->kl_to_posterior.mean);
    line["kl_to_posterior_stderr"] = json_number(tracked->kl_to_posterior.standard_error);
    line["tracked_samples"] = tracked->samples;
    line["tracked_count"] = tracked->count;
  }
  return line.dump();
}

constexpr std::int64_t kSamples = 100;
constexpr std::int64_t kReconstructions = 50;  // each below its original: as many tiles as samples

/// Whether the run gets pictures; warns, before the training and not after it, of those that it cannot get.
bool wants_pictures(const ImageShape& shape) {
  if (shape.height == 0) return false;
  if (can_draw(shape.height, shape.width, kSamples)) return true;
  spdlog::warn(
      "no pictures will be drawn: {} of {} x {} pixels are too large for one (at most {} along a side, {} in "
      "all); `felbo sample --out FILE.npy` gives the values",
      kSamples, shape.height, shape.width, kMostTileSide, kMostPixels);
  return false;
}

/// Samples and reconstructions of the held-out part, `judged`, beside the checkpoint.
template <class Exec>
void write_pictures(const Training<Exec>& t, const ResidentData<Exec>& judged) {
  const DataPart& part = *held_out_part(t.data).part;
  const View<const float, 1> parameters = t.state.parameters.view();
  const std::int64_t X = part.cols;
  const std::vector<float> z = draw_prior(t.exec, t.vae, parameters, kSamples, t.config.seed);
  write_rows({run_files(t.run).samples, part.shape}, decode(t.exec, t.vae, parameters, z), {}, X);
  const std::int64_t count = std::min(kReconstructions, part.rows);
  const Encoded encoded =
      encode(t.exec, t.vae, parameters, judged, count, binarize_mode(t.config), t.config.seed, true);
  write_rows({run_files(t.run).reconstructions, part.shape},
             decode(t.exec, t.vae, parameters, encoded.code()), encoded.x, X);
}

/// The run is trained and saved: pictures that cannot be written are no failure of it.
template <class Exec>
void try_pictures(const Training<Exec>& t, const ResidentData<Exec>& judged) {
  try {
    write_pictures(t, judged);
  } catch (const std::exception& error) {
    spdlog::warn("the run is complete, but not its pictures: {}", error.what());
  }
}

struct TrainResult {
  Evaluation held_out;
  std::int64_t samples = 0;  // data visited by this process
  double step_seconds = 0.0;
};

/// A state and its place in the run, in host memory.
struct Standing {
  ModelState<CpuExec> state;
  RunProgress progress;
};
template <class Exec>
Standing standing_of(const Exec& exec, const Vae& vae, const ModelState<Exec>& state,
                     const RunProgress& progress) {
  return {host_copy(exec, vae, state), progress};
}

ElboTerms terms_of(const Evaluation& e) { return {e.elbo.mean, e.log_px_given_z.mean, e.kl.mean}; }

/// The epochs that a run has left: trains, judges on the held-out part and keeps the books. T: as
/// TrainingStep's.
template <class Exec, class T>
class EpochLoop {
 public:
  explicit EpochLoop(Training<Exec>& training)
      : t_(training),
        held_out_(held_out_part(t_.data)),
        schedule_(lr_schedule(t_.config)),
        beta_(beta_schedule(t_.config)),
        train_(t_.exec, t_.data.train, memory_beside_data()),
        judged_(t_.exec, *held_out_.part, memory_beside_data()),
        batch_(std::min(t_.config.batch, train_.rows())),
        step_(t_.exec, t_.vae, train_, t_.state, step_options()),
        progress_(schedule_.epochs(), steps_per_epoch(train_.rows(), batch_), ProgressKind::kAuto,
                  t_.state.epoch + 1) {}

  TrainResult operator()() {
    if (t_.state.epoch >= schedule_.epochs()) judge();
    while (t_.state.epoch < schedule_.epochs()) {
      if (StopRequest::requested() != 0) {
        save(t_);
        stop();
      }
      run_epoch();
    }
    progress_.finish();
    return std::move(result_);
  }

  std::int64_t rows() const { return train_.rows(); }
  bool streams() const { return train_.is_streamed(); }
  bool parameters_are_finite() const { return step_.non_finite_parameters() == 0; }

  /// Goes on from the last checkpoint, step by step, with the same bits as before, to where a step makes a
  /// parameter NaN or infinite; where the run stood before that step. Nothing: no step up to the present one
  /// does.
  std::optional<Standing> before_spoiled_parameters() const {
    LoadedRun from = load_run(t_.run);
    ModelState<Exec> state = state_on(t_.exec, t_.vae, std::move(from.state));
    RunProgress at = from.progress;
    TrainingStep<Exec, T> step(t_.exec, t_.vae, train_, state, step_options());
    const EpochPlan plan = this->plan();
    const std::int64_t steps = steps_per_epoch(plan.rows, plan.batch);
    if (step.non_finite_parameters() > 0) return std::nullopt;
    while (state.step <= t_.state.step && state.epoch < schedule_.epochs()) {
      if (at.steps < steps) detail::begin_rest_of_epoch(step, state, plan, at.steps);
      step.restore_totals(at.totals);
      for (; at.steps < steps; ++at.steps) {
        at.totals = step.totals();
        Standing before = standing_of(t_.exec, t_.vae, state, at);
        step();
        if (step.non_finite_parameters() > 0) return before;
      }
      ++state.epoch;
      at = {};
    }
    return std::nullopt;
  }

  /// The part that the run is judged on.
  const ResidentData<Exec>& judged() const { return judged_; }

 private:
  /// What the model will take beside the data.
  std::int64_t memory_beside_data() const {
    return felbo::memory_beside_data(t_.config, t_.data.train.cols, t_.data.train.rows);
  }

  EpochPlan plan() const { return {train_.rows(), batch_, t_.config.seed, schedule_, beta_}; }

  TrainingStepOptions step_options() const {
    TrainingStepOptions options = training_options(t_.config);
    options.max_batch = batch_;
    return options;
  }

  void judge() {
    result_.held_out = evaluate(t_.exec, t_.vae, t_.state.parameters.view(), judged_,
                                {held_out_samples(t_.config), binarize_mode(t_.config), t_.config.seed});
  }

  AfterStep after_step(std::int64_t steps) const {
    if (StopRequest::requested() != 0) return AfterStep::kStop;
    const std::int64_t every = t_.config.save_steps;
    const bool saves = every > 0 && steps % every == 0 && steps < steps_per_epoch(train_.rows(), batch_);
    return saves ? AfterStep::kSave : AfterStep::kGoOn;
  }

  /// The run is saved and was asked to end.
  [[noreturn]] void stop() const {
    const int signal = StopRequest::requested();
    throw Stopped(signal,
                  fmt::format("{}: stopped after {} epochs and {} of {} steps, and saved; go on with `felbo "
                              "train --resume {}`",
                              signal_name(signal), t_.state.epoch, t_.progress.steps,
                              steps_per_epoch(train_.rows(), batch_), t_.run.string()));
  }

  void run_epoch() {
    progress_.begin_epoch(t_.state.epoch + 1, t_.progress.steps);
    const std::optional<EpochTraining> epoch = train_epoch(
        step_, t_.state, plan(), t_.progress, progress_,
        [&](std::int64_t steps) { return after_step(steps); }, [&] { save(t_); });
    if (!epoch) stop();
    judge();
    check_finite("held-out", t_.state.epoch, terms_of(result_.held_out));
    result_.samples += train_.rows();
    result_.step_seconds += epoch->seconds;
    const std::optional<TrackedGap> tracked = track();
    const std::string line =
        metrics_line(t_.state, *epoch, result_.held_out, tracked, step_options().takes_norm());
    append_metrics(run_files(t_.run).metrics, line);
    if (writes_events(t_.config)) append_bytes(run_files(t_.run).events, report::event_of(line, wall_time()));
    if (is_save_point(t_)) save_epoch();
    show(*epoch);
    if (epoch->skipped_steps > 0)
      progress_.print_line(
          fmt::format("  skipped: {} step{} whose loss or gradient was not finite (--on-nonfinite)",
                      epoch->skipped_steps, epoch->skipped_steps > 1 ? "s" : ""));
    if (tracked) progress_.print_line(tracked->line());
  }

  void save_epoch() {
    const double elbo = result_.held_out.elbo.mean;
    if (t_.progress.best_epoch == 0 || elbo > t_.progress.best_elbo) {
      t_.progress.best_epoch = t_.state.epoch;
      t_.progress.best_elbo = elbo;
    }
    save(t_);
    name_checkpoint(t_);
  }

  /// What --track-gap asks for after this epoch.
  std::optional<TrackedGap> track() {
    if (t_.config.track_gap == 0 || t_.state.epoch % t_.config.track_gap != 0) return std::nullopt;
    if (!tracked_rows_) {
      tracked_rows_ = spread_rows(*held_out_.part, std::min(kTrackedData, held_out_.part->rows));
      tracked_.emplace(t_.exec, *tracked_rows_);
    }
    return TrackedGap(evaluate(t_.exec, t_.vae, t_.state.parameters.view(), *tracked_,
                               {kTrackedSamples, binarize_mode(t_.config), t_.config.seed}));
  }

  void show(const EpochTraining& epoch) {
    const bool own_rows = held_out_.name == "train";
    progress_.end_epoch(
        {.epoch = t_.state.epoch,
         .epochs = schedule_.epochs(),
         .evaluated_on = own_rows ? "train (nothing held out)" : held_out_.name + " (held-out)",
         .evaluated = terms_of(result_.held_out),
         .train_elbo = epoch.terms.elbo,
         .learning_rate = epoch.lr,
         .samples_per_second = epoch.samples_per_second,
         .clamped = epoch.clamped});
  }

  Training<Exec>& t_;
  NamedPart held_out_;
  LrSchedule schedule_;
  BetaSchedule beta_;
  ResidentData<Exec> train_, judged_;
  std::optional<DataPart> tracked_rows_;  // a few of the held-out part, and a copy where the Exec reads them
  std::optional<ResidentData<Exec>> tracked_;
  std::int64_t batch_;
  TrainingStep<Exec, T> step_;
  Progress progress_;
  TrainResult result_;
};

/// Leaves the step that follows `before` in RUN/nonfinite. Returns what came up first in it, in words.
template <class Exec>
std::string keep_step(const Training<Exec>& t, const Standing& before, std::int64_t rows,
                      const std::string& where, const BadStep& bad) {
  const NextStep next =
      next_step(t.config, rows, before.state.step, before.state.epoch, before.progress.steps);
  const Incident incident{
      where, describe_device(t.exec), bad, next,
      examine_step({t.vae, t.data.train, before.state, training_options(t.config), next.rows, next.rates},
                   t.config.threads)};
  write_incident(t.run, incident_json(t.config, before.state.epoch + 1, incident), incident.examination.x,
                 static_cast<std::int64_t>(next.rows.size()), [&](const std::filesystem::path& path) {
                   save_checkpoint(path, t.config, t.data.train.shape, t.vae, before.state, before.progress,
                                   t.ledger);
                 });
  return fmt::format(
      "{}: {}. {} holds the step: `felbo replay {}` says whether the model, the data or a kernel did it",
      where, describe(incident.examination, next.rows), run_files(t.run).nonfinite.string(), t.run.string());
}

/// The same for a step that made parameters NaN or infinite, if it can be found.
template <class Exec, class T>
std::string keep_spoiling_step(const Training<Exec>& t, const EpochLoop<Exec, T>& loop,
                               const std::string& otherwise) {
  const std::optional<Standing> before = loop.before_spoiled_parameters();
  if (!before) return otherwise;
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const NextStep next =
      next_step(t.config, loop.rows(), before->state.step, before->state.epoch, before->progress.steps);
  return keep_step(t, *before, loop.rows(),
                   fmt::format("step {} of {} in epoch {} made parameters or moments NaN or infinite",
                               next.of_epoch + 1, next.steps, before->state.epoch + 1),
                   {before->state.step, kNone, kNone});
}

/// What happened, in words: of the step that failed, kept in RUN/nonfinite. The run has failed anyway: a step
/// that cannot be kept is warned of.
template <class Exec, class T>
std::string try_to_keep_step(const Training<Exec>& t, const EpochLoop<Exec, T>& loop,
                             const std::string& where, const std::optional<BadStep>& bad) {
  try {
    if (!bad || !loop.parameters_are_finite()) return keep_spoiling_step(t, loop, where);
    return keep_step(t, standing_of(t.exec, t.vae, t.state, t.progress), loop.rows(), where, *bad);
  } catch (const std::exception& failure) {
    spdlog::warn("the step that was not finite could not be kept: {}", failure.what());
    return where;
  }
}

/// What a run that diverged leaves.
std::string what_stands(const std::filesystem::path& run) {
  const std::filesystem::path checkpoint = run_files(run).checkpoint;
  return std::filesystem::exists(checkpoint)
             ? fmt::format("The last good checkpoint stands: {}", checkpoint.string())
             : std::string("No checkpoint was written yet");
}

/// The remaining epochs; a run that diverges says how, and what is left of it.
template <class Exec, class T>
TrainResult run_epochs(EpochLoop<Exec, T>& loop, const Training<Exec>& t) {
  const auto failed = [&](const std::string& what) {
    return std::runtime_error(fmt::format("{}. {}. {}", what, kDivergedAdvice, what_stands(t.run)));
  };
  try {
    return loop();
  } catch (const NonFiniteStep& error) {
    throw failed(try_to_keep_step(t, loop, error.where(), error.bad()));
  } catch (const SpoiledParameters& error) {
    throw failed(try_to_keep_step(t, loop, error.where(), std::nullopt));
  } catch (const Diverged& error) {
    throw std::runtime_error(fmt::format("{}. {}", error.what(), what_stands(t.run)));
  }
}

template <class Exec>
void log_beginning(const Training<Exec>& t, const NamedPart& held_out) {
  if (held_out.name == "train")
    spdlog::warn("nothing is held out (--valid-fraction 0): the ELBO is that of the training rows");
  spdlog::info("{}: {} train rows and {} {} rows of {} columns; {} parameters; {}; {}", t.config.data,
               t.data.train.rows, held_out.part->rows, held_out.name, t.data.train.cols,
               t.vae.table().parameters(), describe_device(t.exec), t.config.precision);
}

template <class Exec>
nlohmann::ordered_json result_json(const Training<Exec>& t, const TrainResult& result,
                                   const std::string& split, double seconds) {
  const Evaluation& e = result.held_out;
  const double rate = static_cast<double>(result.samples) / result.step_seconds;
  return {{"elbo", json_number(e.elbo.mean)},
          {"elbo_stderr", json_number(e.elbo.standard_error)},
          {"log_px_given_z", json_number(e.log_px_given_z.mean)},
          {"kl", json_number(e.kl.mean)},
          {"split", split},
          {"objective", t.config.objective},
          {"epochs", t.state.epoch},
          {"samples_per_second", result.samples > 0 ? json_number(rate) : nullptr},
          {"seconds", seconds},
          {"device", describe_device(t.exec)},
          {"precision", t.config.precision},
          {"parameters", t.vae.table().parameters()},
          {"run", t.run.string()}};
}

/// Trains on `exec` with products of T, and reports.
template <class T, class Exec>
void train_with(const Exec& exec, PreparedRun prepared, const TrainFlags& flags, Clock::time_point start) {
  const StopRequest listen;
  Training<Exec> training(exec, std::move(prepared));
  EpochLoop<Exec, T> loop(training);  // takes its memory
  open_folder(flags, training);
  const NamedPart held_out = held_out_part(training.data);
  log_beginning(training, held_out);
  if (loop.streams())
    spdlog::info("the training rows stay in host memory and are streamed to the device ({})",
                 training.config.data_on == "auto" ? "they do not fit beside the model" : "--data-on host");
  const bool pictures = wants_pictures(held_out.part->shape);
  const TrainResult result = run_epochs(loop, training);
  if (pictures) try_pictures(training, loop.judged());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::optional<ExactGap> exact = exact_gap(*held_out.part, result.held_out);
  if (!flags.json) {
    fmt::print("{}run in {}\n", describe(result.held_out, held_out.name, exact), training.run.string());
    return;
  }
  nlohmann::ordered_json json = result_json(training, result, held_out.name, seconds);
  if (result.held_out.samples > 1) {
    json["log_px"] = json_number(result.held_out.log_px.mean);
    json["log_px_stderr"] = json_number(result.held_out.log_px.standard_error);
    json["samples"] = result.held_out.samples;
  }
  add_exact(json, exact);
  print_json(json);
}

void train_on(const CpuExec& exec, PreparedRun prepared, const TrainFlags& flags, Clock::time_point start) {
  train_with<float>(exec, std::move(prepared), flags, start);
}
#if FELBO_WITH_CUDA
void train_on(const CudaExec& exec, PreparedRun prepared, const TrainFlags& flags, Clock::time_point start) {
  if (exec.precision() == Precision::kBf16)
    return train_with<BFloat16>(exec, std::move(prepared), flags, start);
  train_with<float>(exec, std::move(prepared), flags, start);
}
#endif

void run_train(const CLI::App& command, const TrainFlags& flags) {
  const auto start = Clock::now();
  if (!flags.resume.empty()) check_resume_flags(command, flags);
  PreparedRun prepared = flags.resume.empty() ? start_new(flags) : go_on(command, flags);
  const DeviceRequest request{prepared.config.device, prepared.config.threads, precision(prepared.config),
                              prepared.config.data_on};
  with_device(request, [&](const auto& exec) { train_on(exec, std::move(prepared), flags, start); });
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train", "Train a VAE; figures are in nats a datum, summed over dimensions");
  auto flags = std::make_shared<TrainFlags>();
  command->add_option("--out", flags->out,
                      "Folder of the run: config.toml, metrics.jsonl, checkpoint.safetensors, pictures");
  command->add_option("--resume", flags->resume,
                      "Go on with the run in this folder, bit for bit as if it had not stopped");
  command->add_option("--config", flags->config_file,
                      "TOML file of flags, such as RUN/config.toml; the command line wins");
  command->add_flag("--force", flags->force, "Replace the run that --out holds");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  add_run_options(*command, flags->config);
  command->callback([command, flags] {
    flags->fraction_given = command->get_option("--valid-fraction")->count() > 0;
    complete_config(*command, flags->resume.empty() ? flags->config_file : "", flags->config);
    run_train(*command, *flags);
  });
}

}  // namespace felbo
