#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/annealed_report.h"
#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/data/spread_rows.h"
#include "host/evaluate/aggregate.h"
#include "host/evaluate/importance.h"
#include "host/report/npy_writer.h"
#include "host/run/atomic_file.h"
#include "host/run/ledger.h"
#include "host/run/run_folder.h"

namespace felbo {
namespace {

struct EvaluateFlags {
  std::filesystem::path run;
  std::string data;
  std::string split;
  std::optional<std::int64_t> count;
  std::int64_t samples = 1;
  AnnealedFlags annealed;
  bool allow_unreliable = false;
  bool save = false;
  std::filesystem::path out;
  CommonFlags common;
};

/// Beyond this share of unreliable data the importance-weighted mean is called a lower bound and no more.
constexpr double kUnreliableShare = 0.1;

/// Why the mean of log p(x) may not be called an estimate of it; empty if it may.
std::string refusal(const Evaluation& e, const std::optional<WeightSummary>& weights) {
  if (e.samples < kFewestSamplesForKHat)
    return fmt::format("{} sample{} of z a datum; k-hat needs {} or more", e.samples,
                       e.samples == 1 ? "" : "s", kFewestSamplesForKHat);
  const auto unreliable = static_cast<double>(weights->unreliable), count = static_cast<double>(e.count);
  if (unreliable <= kUnreliableShare * count) return "";
  return fmt::format("{} of {} data have a k-hat above {}, more than {:.0f} %", weights->unreliable, e.count,
                     kReliableKHat, 100.0 * kUnreliableShare);
}

nlohmann::ordered_json json_numbers(const std::vector<double>& values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const double value : values) list.push_back(json_number(value));
  return list;
}

/// Null of a flow, whose mean is not known.
nlohmann::ordered_json to_json(const LatentDiagnostics& latent) {
  if (latent.variance_of_mean.empty()) return nullptr;
  return {{"kl", latent.kl.empty() ? nlohmann::ordered_json(nullptr) : json_numbers(latent.kl)},
          {"variance_of_mean", json_numbers(latent.variance_of_mean)},
          {"active_above", kActiveVariance},
          {"active", latent.active()},
          {"collapsed", latent.collapsed()}};
}

nlohmann::ordered_json to_json(const WeightSummary& weights) {
  return {{"sampling_stderr", json_number(weights.sampling_error)},
          {"effective_samples_median", json_number(weights.effective_median)},
          {"effective_samples_least", json_number(weights.effective_least)},
          {"k_hat_median", json_number(weights.k_hat_median)},
          {"k_hat_limit", kReliableKHat},
          {"unreliable", weights.unreliable},
          {"worst_data", weights.worst}};
}

/// `log_px_estimate`: the mean as a claim about log p(x) itself, or null and why not.
void add_claim(nlohmann::ordered_json& json, const Evaluation& e, const std::string& why_not, bool anyway) {
  const bool claimed = why_not.empty() || anyway;
  json["log_px_estimate"] = claimed ? json_number(e.log_px.mean) : nlohmann::ordered_json(nullptr);
  if (!why_not.empty()) json["log_px_unreliable"] = why_not;
}

std::string joined(const std::vector<std::int64_t>& values) {
  std::string text;
  for (const std::int64_t value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return text;
}

std::string describe(const WeightSummary& weights, const Evaluation& e, const std::string& why_not,
                     bool anyway) {
  std::string text =
      fmt::format("  weights         {} of {} data unreliable (k-hat above {}); median k-hat {:.2f}\n",
                  weights.unreliable, e.count, kReliableKHat, weights.k_hat_median);
  text += fmt::format(
      "                  effective samples: median {:.1f} of {}, least {:.1f}; samples add +- "
      "{:.4f} to the mean\n",
      weights.effective_median, e.samples, weights.effective_least, weights.sampling_error);
  if (why_not.empty() || anyway)
    return text + fmt::format("  {:<16}{:12.4f} +- {:.4f}  {}\n", "log p(x) ~", e.log_px.mean,
                              e.log_px.standard_error,
                              why_not.empty() ? "an estimate: the weights can be relied on"
                                              : "not to be relied on (--allow-unreliable)");
  return text + "  no estimate of log p(x) itself: more --samples, or --allow-unreliable\n";
}

/// KL by dimension, the largest first.
std::string describe(const LatentDiagnostics& latent) {
  if (latent.variance_of_mean.empty()) return {};
  std::vector<double> kl = latent.kl;
  std::ranges::sort(kl, std::greater());
  std::string text =
      fmt::format("  latent          {} of {} units active (variance of E[z|x] over the data above {})\n",
                  latent.active(), latent.variance_of_mean.size(), kActiveVariance);
  if (kl.empty()) return text;
  text += "  KL by dimension";
  for (std::size_t d = 0; d < std::min<std::size_t>(kl.size(), 20); ++d)
    text += fmt::format(" {:.2f}", kl[d]);
  return text + (kl.size() > 20 ? " ...\n" : "\n");
}

/// Of at most this many data: it costs their number squared.
constexpr std::int64_t kAggregateData = 10'000;

template <class Exec>
std::optional<AggregateKl> aggregate_of(const Exec& exec, const RunConfig& config, const Vae& vae,
                                        const ModelState<Exec>& state, const DataPart& part,
                                        std::uint64_t seed) {
  if (vae.config().posterior.couples_dimensions() || !vae.above().empty()) return std::nullopt;
  const View<const float, 1> parameters = state.parameters.view();
  const std::int64_t count = std::min(part.rows, kAggregateData);
  const Encoded encoded = encode(exec, vae, parameters, ResidentData<Exec>(exec, part), count,
                                 binarize_mode(config), seed, false);
  return aggregate_kl(exec, vae, parameters, encoded, seed);
}

std::string describe(const AggregateKl& a) {
  return fmt::format(
      "  KL, taken apart {:.4f} +- {:.4f} mutual information of datum and code (at most log {} = {:.4f})\n"
      "                  {:.4f} +- {:.4f} from the aggregate posterior to the prior\n",
      a.mutual_information.mean, a.mutual_information.standard_error, a.count,
      std::log(static_cast<double>(a.count)), a.marginal_kl.mean, a.marginal_kl.standard_error);
}

void add_aggregate(nlohmann::ordered_json& json, const AggregateKl& a) {
  json["mutual_information"] = json_number(a.mutual_information.mean);
  json["mutual_information_stderr"] = json_number(a.mutual_information.standard_error);
  json["marginal_kl"] = json_number(a.marginal_kl.mean);
  json["marginal_kl_stderr"] = json_number(a.marginal_kl.standard_error);
  json["aggregate_count"] = a.count;
}

void warn_of(const Evaluation& e, const std::optional<WeightSummary>& weights, const std::string& why_not) {
  const auto broken = std::ranges::find_if(e.log_px_of_datum, [](double v) { return !std::isfinite(v); });
  if (broken != e.log_px_of_datum.end())
    spdlog::warn("log p(x) of datum {} is {}: a NaN or infinity in the data or the model",
                 broken - e.log_px_of_datum.begin(), *broken);
  if (weights && !why_not.empty() && e.samples >= kFewestSamplesForKHat)
    spdlog::warn("log_px is a lower bound, and no estimate of log p(x): {}; the worst: {}", why_not,
                 joined(weights->worst));
  const std::vector<std::int64_t> collapsed = e.latent.collapsed();
  if (!collapsed.empty())
    spdlog::warn(
        "posterior collapse: {} of {} latent dimensions carry nothing (variance of E[z|x] over the data at "
        "most {}): {}",
        collapsed.size(), e.latent.variance_of_mean.size(), kActiveVariance, joined(collapsed));
}

/// A row a datum: ELBO, log p(x) bound, its standard error, effective samples, k-hat; (N, 5).
void write_data(const std::filesystem::path& out, const Evaluation& e) {
  const WeightDiagnostics none{std::nan(""), std::nan(""), std::nan("")};
  std::vector<float> rows;
  for (std::size_t n = 0; n < e.elbo_of_datum.size(); ++n) {
    const WeightDiagnostics& d = e.weights_of_datum.empty() ? none : e.weights_of_datum[n];
    for (const double v :
         {e.elbo_of_datum[n], e.log_px_of_datum[n], d.standard_error, d.effective_samples, d.k_hat})
      rows.push_back(static_cast<float>(v));
  }
  write_npy(out, rows, {e.count, 5});
}

/// The rows that --count asks for; nothing: all of them.
std::optional<DataPart> chosen_rows(const DataPart& part, std::optional<std::int64_t> count) {
  if (!count) return std::nullopt;
  FELBO_CHECK(*count >= 1 && *count <= part.rows, "--count {}: there are {} data", *count, part.rows);
  return spread_rows(part, *count);
}

void check_out(const std::filesystem::path& out) {
  FELBO_CHECK(out.empty() || out.extension() == ".npy", "--out {}: the name must end in .npy", out.string());
  check_can_write(out);
}

/// What was evaluated, and when in the run's life.
struct Occasion {
  std::string data;
  std::uint64_t seed;
  std::int64_t epoch, step;
};

/// RUN/evaluation.json, for `felbo report`: the object of --json and what it is of.
void save(const std::filesystem::path& run, nlohmann::ordered_json json, const Occasion& of) {
  json.update({{"data", of.data}, {"seed", of.seed}, {"epoch", of.epoch}, {"step", of.step}});
  write_file_atomically(run_files(run).evaluation, json.dump(2) + "\n");
}

void run_evaluate(const EvaluateFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  check_out(flags.out);
  FELBO_CHECK(flags.samples >= 1 && flags.samples <= kMaxNoiseSamples,
              "samples must be between 1 and {}, got {}", kMaxNoiseSamples, flags.samples);
  LoadedRun run = load_run(flags.run);
  if (flags.annealed.temperatures) check_one_layer(run, "--ais");
  FELBO_CHECK(
      !flags.annealed.both_ways || can_draw(run.vae.config().likelihood),
      "--bdmc: a multinomial's rows have a sum that the model does not give, so none can be simulated");
  const DataSet data = load_run_data(flags.data.empty() ? run.config.data : flags.data, run.config);
  NamedPart part = part_by_name(data, flags.split);
  const std::optional<DataPart> few = chosen_rows(*part.part, flags.count);
  if (few) part.part = &*few;
  check_width(data, run.vae);
  const std::vector<std::string> differences = data_differences(run.ledger, run.config, data);
  for (const std::string& line : differences)
    spdlog::warn("{}: not the data of the run: {}", data.spec, line);
  warn_of_domain(run.config, data);
  const std::uint64_t seed = flags.common.seed.value_or(run.config.seed);
  std::optional<AnnealedOptions> annealing;
  if (flags.annealed.temperatures) annealing = annealed_options(flags.annealed, run.config, seed);
  const Occasion occasion{data.spec, seed, run.state.epoch, run.state.step};
  std::optional<AnnealedFigures> annealed;
  std::optional<AggregateKl> aggregate;
  const Evaluation e = with_device(flags.common.device, [&](const auto& exec) {
    const auto state = state_on(exec, run.vae, std::move(run.state));
    if (annealing)
      annealed = anneal_part(exec, run.vae, state, *part.part, *annealing, flags.annealed.both_ways);
    aggregate = aggregate_of(exec, run.config, run.vae, state, *part.part, seed);
    return evaluate_part(exec, run.config, run.vae, state, *part.part, flags.samples, seed);
  });
  const std::optional<ExactGap> exact = exact_gap(*part.part, e);
  std::optional<WeightSummary> weights;
  if (e.samples > 1) weights = summarize(e.weights_of_datum);
  const std::string why_not = refusal(e, weights);
  warn_of(e, weights, why_not);
  if (annealed) warn_of(*annealed);
  if (!flags.out.empty()) write_data(flags.out, e);
  if (!flags.common.json) {
    fmt::print("{}", describe(e, part.name, exact));
    if (weights && e.samples >= kFewestSamplesForKHat)
      fmt::print("{}", describe(*weights, e, why_not, flags.allow_unreliable));
    if (annealed) fmt::print("{}", describe(*annealed));
    fmt::print("{}", describe(e.latent));
    if (aggregate) fmt::print("{}", describe(*aggregate));
    if (!flags.save) return;
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
      {"same_data",
       run.ledger.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(differences.empty())},
      {"clamped", e.clamped},
      {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  add_exact(json, exact);
  add_claim(json, e, why_not, flags.allow_unreliable);
  if (weights) json["weights"] = to_json(*weights);
  if (annealed) add_annealed(json, *annealed);
  json["latent"] = to_json(e.latent);
  if (aggregate) add_aggregate(json["latent"], *aggregate);
  if (flags.save) save(flags.run, json, occasion);
  if (flags.common.json) print_json(json);
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
  command->add_option("--count", flags->count, "Evaluate this many data, spread evenly; all if not given");
  command->add_option("--samples", flags->samples, "Samples of z a datum");
  add_annealed_options(*command, flags->annealed);
  command->add_flag(
      "--allow-unreliable", flags->allow_unreliable,
      "Call the importance-weighted mean an estimate of log p(x) even where its weights forbid it");
  command->add_flag("--save", flags->save, "Also keep the figures in RUN/evaluation.json, for felbo report");
  command->add_option(
      "--out", flags->out,
      "Also write (N, 5) float32 .npy: ELBO, log p(x) bound, its standard error, effective samples, "
      "k-hat of each datum");
  add_common_options(*command, flags->common);
  add_data_on_option(*command, flags->common);
  command->callback([flags] { run_evaluate(*flags); });
}

}  // namespace felbo
