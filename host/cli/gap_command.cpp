// `felbo gap`: how far the ELBO of a run lies below log p(x), and why.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "host/cli/annealed_report.h"
#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/data/spread_rows.h"
#include "host/evaluate/gap.h"
#include "host/oracle/exact_gap.h"

namespace felbo {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kUsualCount = 100;
/// Of a normal deviate, 95 % lie within this.
constexpr double kInterval = 1.959964;

struct GapFlags {
  std::filesystem::path run;
  std::string data;
  std::string split;
  std::optional<std::int64_t> count;
  std::int64_t samples = 1000;
  std::int64_t temperatures = 100;
  std::int64_t chains = 16;
  std::int64_t leapfrog = 10;
  std::int64_t fit_steps = 500;
  std::int64_t simulated = kUsualCount;
  CommonFlags common;
};

/// A figure in its two errors and, where there is one, its exact value.
struct Part {
  const char* key;    // in JSON
  const char* label;  // for a person
  const char* note;
  Estimate value;
  double sampling;
  std::optional<double> exact;
};

struct GapReport {
  GapEvaluation gap;
  std::optional<oracle::ExactGapParts> exact;
  std::string split, run;
  double seconds = 0.0;

  std::vector<Part> figures() const;
  std::vector<Part> parts() const;
  /// What the annealed log p(x) may be off by: an interval around 0, or around what it is off by.
  double estimator_error() const { return exact ? exact->log_px.mean - gap.mean_log_px.mean : 0.0; }
  std::pair<double, double> estimator_interval() const;
};

std::optional<double> mean_of(const std::optional<oracle::ExactGapParts>& exact,
                              Estimate oracle::ExactGapParts::*part) {
  if (!exact) return std::nullopt;
  return ((*exact).*part).mean;
}

std::vector<Part> GapReport::figures() const {
  using Exact = oracle::ExactGapParts;
  std::optional<double> best;
  if (exact) best = exact->log_px.mean - exact->approximation.mean;
  return {{"log_px", "log p(x)", "annealed from the best q", gap.mean_log_px, gap.log_px_sampling,
           mean_of(exact, &Exact::log_px)},
          {"elbo_best", "ELBO, best q", "q(z|x) fitted to each datum by itself", gap.mean_elbo_best,
           gap.best_sampling, best},
          {"elbo", "ELBO", "q(z|x) as the encoder gives it", gap.mean_elbo, gap.elbo_sampling,
           mean_of(exact, &Exact::elbo)}};
}

std::vector<Part> GapReport::parts() const {
  using Exact = oracle::ExactGapParts;
  return {{"gap", "log p(x) - ELBO", "what the ELBO leaves out", gap.gap, gap.gap_sampling,
           mean_of(exact, &Exact::gap)},
          {"approximation_gap", "  approximation gap", "p(z|x) is no diagonal Gaussian: a richer q gains it",
           gap.approximation, gap.approximation_sampling, mean_of(exact, &Exact::approximation)},
          {"amortisation_gap", "  amortisation gap", "the encoder misses the best q: a better one gains it",
           gap.amortisation, gap.amortisation_sampling, mean_of(exact, &Exact::amortisation)}};
}

std::pair<double, double> GapReport::estimator_interval() const {
  const double spread = kInterval * gap.log_px_sampling, error = estimator_error();
  if (exact) return {error - spread, error + spread};
  double above = 0.0;
  if (gap.sandwich) {
    const Estimate& s = gap.sandwich->sandwich;
    above = std::max(0.0, s.mean + kInterval * (std::isnan(s.standard_error) ? 0.0 : s.standard_error));
  }
  return {-spread, spread + above};
}

Json interval_json(double lo, double hi) { return Json::array({json_number(lo), json_number(hi)}); }

void add_part(Json& json, const Part& part) {
  const std::string key = part.key;
  const double half = kInterval * part.value.standard_error;
  json[key] = json_number(part.value.mean);
  json[key + "_stderr"] = json_number(part.value.standard_error);
  json[key + "_interval"] = interval_json(part.value.mean - half, part.value.mean + half);
  json[key + "_sampling_stderr"] = json_number(part.sampling);
}

Json to_json(const GapReport& report) {
  Json json{{"count", report.gap.count}, {"split", report.split}};
  for (const Part& part : report.figures()) add_part(json, part);
  json["bound_best"] = json_number(report.gap.mean_bound_best.mean);
  for (const Part& part : report.parts()) add_part(json, part);
  const auto [lo, hi] = report.estimator_interval();
  json["estimator_error"] = json_number(report.estimator_error());
  json["estimator_error_interval"] = interval_json(lo, hi);
  json["acceptance"] = json_number(report.gap.acceptance);
  if (report.gap.sandwich) {
    const AnnealedEvaluation& s = *report.gap.sandwich;
    json["bdmc"] = {{"count", s.count},
                    {"lower", json_number(s.log_px.mean)},
                    {"upper", json_number(s.upper.mean)},
                    {"gap", json_number(s.sandwich.mean)},
                    {"gap_stderr", json_number(s.sandwich.standard_error)}};
  }
  if (report.exact) {
    Json exact;
    for (const std::vector<Part>& parts : {report.figures(), report.parts()})
      for (const Part& part : parts) exact[part.key] = json_number(*part.exact);
    json["exact"] = exact;
  }
  json["seconds"] = report.seconds;
  return json;
}

std::string line_of(const GapReport& report, const Part& part) {
  const double half = kInterval * part.value.standard_error;
  std::string text =
      fmt::format("  {:<20}{:11.4f}  [{:10.4f}, {:10.4f}]  {:8.4f}", part.label, part.value.mean,
                  part.value.mean - half, part.value.mean + half, part.sampling);
  if (report.exact) text += fmt::format("  {:11.4f}", *part.exact);
  return text + fmt::format("  {}\n", part.note);
}

std::string describe(const GapReport& report) {
  const GapEvaluation& gap = report.gap;
  std::string text = fmt::format(
      "{} {} data; nats a datum, summed over dimensions. Means over the data; in brackets where 95 % of such "
      "means\nover other data would lie; sampling: standard error of this mean by the noise of samples and "
      "chains.\n\n  {:<20}{:>11}  {:>24}  {:>8}{}\n",
      gap.count, report.split, "", "mean", "95 % interval", "sampling",
      report.exact ? fmt::format("  {:>11}", "exact") : "");
  for (const Part& part : report.figures()) text += line_of(report, part);
  text += "\n";
  for (const Part& part : report.parts()) text += line_of(report, part);
  const auto [lo, hi] = report.estimator_interval();
  text += fmt::format("  {:<20}{:11.4f}  [{:10.4f}, {:10.4f}]  {:8.4f}", "  estimator error",
                      report.estimator_error(), lo, hi, gap.log_px_sampling);
  if (report.exact) text += fmt::format("  {:>11}", "");
  text += report.exact   ? "  exact log p(x) - the annealed one\n"
          : gap.sandwich ? fmt::format("  by {} simulated data, held from both sides within {:.4f}\n",
                                       gap.sandwich->count, gap.sandwich->sandwich.mean)
                         : "  sampling alone (--simulated N says what annealing may miss)\n";
  text += fmt::format("  (log p(x) by importance weights from the best q, for comparison: {:.4f})\n",
                      gap.mean_bound_best.mean);
  return text;
}

/// Throws std::invalid_argument for a run whose q or p(z) the parts are not defined for.
void check_model(const RunConfig& config) {
  FELBO_CHECK(config.prior == "standard-normal", "felbo gap knows the prior standard-normal, this run has {}",
              config.prior);
  FELBO_CHECK(config.posterior == "diagonal-gaussian",
              "felbo gap fits the posterior diagonal-gaussian, this run has {}", config.posterior);
}

GapOptions gap_options(const GapFlags& flags, const RunConfig& config, std::uint64_t seed) {
  FELBO_CHECK(flags.chains >= 2, "--chains {}: the sampling error needs 2 at least", flags.chains);
  FELBO_CHECK(flags.samples >= 2 && flags.samples <= kMaxNoiseSamples,
              "--samples {}: expected 2 to {} of z a datum", flags.samples, kMaxNoiseSamples);
  FELBO_CHECK(flags.fit_steps >= 0 && flags.fit_steps <= 1'000'000, "--fit-steps {}: expected 0 to 1000000",
              flags.fit_steps);
  FELBO_CHECK(flags.simulated >= 0 && flags.simulated <= 1'000'000, "--simulated {}: expected 0 to 1000000",
              flags.simulated);
  const AnnealedFlags annealed{
      .temperatures = flags.temperatures, .chains = flags.chains, .leapfrog = flags.leapfrog};
  return {.annealed = annealed_options(annealed, config, seed),
          .local = {.steps = static_cast<int>(flags.fit_steps)},
          .samples = flags.samples,
          .simulated = flags.simulated,
          .binarize = binarize_mode(config),
          .seed = seed};
}

/// The rows to measure: --count of them, or at most a hundred.
DataPart chosen(const DataPart& part, std::optional<std::int64_t> count) {
  FELBO_CHECK(!count || (*count >= 1 && *count <= part.rows), "--count {}: there are {} data",
              count.value_or(0), part.rows);
  return spread_rows(part, count.value_or(std::min(kUsualCount, part.rows)));
}

void check_finite(const GapEvaluation& gap) {
  for (const std::vector<double>* values : {&gap.log_px, &gap.elbo, &gap.elbo_best}) {
    const auto broken = std::ranges::find_if(*values, [](double v) { return !std::isfinite(v); });
    if (broken != values->end())
      throw std::runtime_error(
          fmt::format("log p(x) or the ELBO of datum {} is {}: a NaN or infinity in the data or the model",
                      broken - values->begin(), *broken));
  }
}

void run_gap(const GapFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  LoadedRun run = load_run(flags.run);
  check_model(run.config);
  check_one_layer(run, "felbo gap");
  const DataSet data = load_run_data(flags.data.empty() ? run.config.data : flags.data, run.config);
  const NamedPart part = part_by_name(data, flags.split);
  check_width(data, run.vae);
  warn_of_domain(run.config, data);
  const DataPart rows = chosen(*part.part, flags.count);
  const GapOptions options = gap_options(flags, run.config, flags.common.seed.value_or(run.config.seed));
  FELBO_CHECK(options.simulated == 0 || can_draw(run.vae.config().likelihood),
              "a multinomial's rows have a sum that the model does not give, so none can be simulated: give "
              "--simulated 0");
  GapReport report{.gap = {}, .exact = {}, .split = part.name, .run = flags.run.string()};
  // Binarised data are not what the closed form would be given, and a Gaussian would not be given them.
  if (options.binarize == Binarize::kNone)
    report.exact = oracle::exact_gap_parts(run.vae, run.state.parameters.host(), rows);
  report.gap = with_device(flags.common.device, [&]<class Exec>(const Exec& exec) {
    const auto state = state_on(exec, run.vae, std::move(run.state));
    const ResidentData<Exec> resident(exec, rows);
    std::string now;
    ShareDone tell;
    return measure_gap(exec, run.vae, View<const float, 1>(state.parameters.view()), resident, options,
                       [&](const char* doing, double share) {
                         if (now != doing) tell = tell_of(now = doing);
                         tell(share);
                       });
  });
  check_finite(report.gap);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.common.json) return print_json(to_json(report));
  fmt::print("{}", describe(report));
}

}  // namespace

void add_gap_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "gap", "Why the ELBO lies below log p(x): approximation gap, amortisation gap and estimator error");
  auto flags = std::make_shared<GapFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option("RUN", flags->run, "Folder of a run")->required();
  command->add_option("--data", flags->data, "Data set; the run's own if not given");
  command->add_option("--split", flags->split,
                      "train, valid or test; test, else valid, else train if not given");
  command->add_option("--count", flags->count,
                      "Data, spread evenly over the part; 100, or all of fewer, if not given");
  command->add_option("--samples", flags->samples, "Samples of z a datum, of both ELBOs");
  command->add_option("--ais", flags->temperatures, "Temperatures from the best q to the posterior");
  command->add_option("--chains", flags->chains, "Chains a datum");
  command->add_option("--leapfrog", flags->leapfrog, "Leapfrog steps of a Hamiltonian trajectory");
  command->add_option("--fit-steps", flags->fit_steps, "Steps of the fit of q to each datum");
  command->add_option(
      "--simulated", flags->simulated,
      "Data simulated from the model, whose log p(x) is held from below and above; 0 for none");
  add_common_options(*command, flags->common);
  add_data_on_option(*command, flags->common);
  command->callback([flags] { run_gap(*flags); });
}

}  // namespace felbo
