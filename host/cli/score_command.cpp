// score: log p(x) of each datum, and whether it tells the data from others.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "host/cli/applied_run.h"
#include "host/evaluate/auroc.h"
#include "host/evaluate/importance.h"
#include "host/report/npy_writer.h"
#include "host/report/png_writer.h"
#include "host/run/atomic_file.h"

namespace felbo {
namespace {

struct ScoreFlags : ApplyFlags {
  std::int64_t samples = 100;
  std::string against;
  std::string against_split;
  std::filesystem::path against_out;
  std::filesystem::path picture;
};

/// A set that is scored.
struct Scored : ChosenData {
  Evaluation evaluation;

  const std::vector<double>& log_px() const { return evaluation.log_px_of_datum; }
};

/// Whether two names of data sets mean the same one.
bool same_place(const std::string& a, const std::string& b) {
  if (a == b) return true;
  std::error_code error;  // a built-in set has no path
  return std::filesystem::equivalent(a, b, error) && !error;
}

/// Every row of a set that the run was not trained on; of the run's own, what the run held out.
DataSet load_set(const std::string& spec, const RunConfig& config) {
  if (same_place(spec, config.data)) return load_run_data(spec, config);
  DataSet data = load_data(spec);
  scale_data(config, data);
  return data;
}

Scored load_scored(const std::string& spec, const std::string& split, const LoadedRun& run) {
  Scored s{{load_set(spec, run.config), split}, {}};
  s.part();  // that there is one
  check_width(s.data, run.vae);
  warn_of_domain(run.config, s.data);
  return s;
}

void check_no_nan(const Scored& s) {
  const auto nan = std::ranges::find_if(s.log_px(), [](double v) { return std::isnan(v); });
  if (nan != s.log_px().end())
    throw std::runtime_error(
        fmt::format("log p(x) of datum {} of {} is not a number: the model's parameters are broken",
                    nan - s.log_px().begin(), s.data.spec));
}

// --- files ------------------------------------------------------------------------------------------------

void check_scores_out(const char* flag, const std::filesystem::path& out) {
  FELBO_CHECK(out.empty() || out.extension() == ".npy" || out.extension() == ".csv",
              "{} {}: the name must end in .npy or .csv", flag, out.string());
}

std::string csv_of(const Evaluation& e) {
  std::string text = "datum,log_px,elbo,log_px_stderr,k_hat\n";
  for (std::size_t n = 0; n < e.log_px_of_datum.size(); ++n) {
    text += fmt::format("{},{:.9g},{:.9g}", n, e.log_px_of_datum[n], e.elbo_of_datum[n]);
    text += e.weights_of_datum.empty() ? ",,\n"
                                       : fmt::format(",{:.6g},{:.6g}\n", e.weights_of_datum[n].standard_error,
                                                     e.weights_of_datum[n].k_hat);
  }
  return text;
}

void write_scores(const std::filesystem::path& out, const Evaluation& e) {
  if (out.empty()) return;
  if (out.extension() == ".csv") return write_file_atomically(out, csv_of(e));
  write_npy(out, std::span<const double>(e.log_px_of_datum), {e.count});
}

constexpr std::int64_t kPictured = 10;

/// The data that score highest, above those that score lowest.
void add_extremes(const Scored& s, std::vector<float>& tiles) {
  std::vector<std::int64_t> order(s.log_px().size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater(),
                           [&](std::int64_t n) { return s.log_px()[static_cast<std::size_t>(n)]; });
  const auto most = std::min<std::ptrdiff_t>(kPictured, std::ssize(order));
  std::vector<std::int64_t> chosen(order.begin(), order.begin() + most);
  chosen.insert(chosen.end(), order.end() - most, order.end());
  const std::vector<float> rows = rows_of(s.part(), chosen);
  tiles.insert(tiles.end(), rows.begin(), rows.end());
}

void write_picture(const ScoreFlags& flags, const Scored& scored, const std::optional<Scored>& other) {
  if (flags.picture.empty()) return;
  const auto [height, width] = scored.part().shape;
  std::vector<float> tiles;
  add_extremes(scored, tiles);
  if (other && std::min(scored.part().rows, other->part().rows) >= kPictured) add_extremes(*other, tiles);
  const auto rows = static_cast<std::int64_t>(tiles.size()) / scored.part().cols;
  write_png_grid(flags.picture, make_grid({tiles.data(), rows, scored.part().cols}, height, width,
                                          std::min(kPictured, scored.part().rows)));
}

// --- report -----------------------------------------------------------------------------------------------

constexpr const char* kCaveat =
    "log p(x) alone does not say what belongs to the data: simpler data, of lower entropy, score higher "
    "under "
    "many models whatever these were trained on (Nalisnick et al., ICLR 2019)";

nlohmann::ordered_json to_json(const Scored& s) {
  return {{"data", s.data.spec},
          {"split", s.named_part().name},
          {"count", s.evaluation.count},
          {"log_px", json_number(s.evaluation.log_px.mean)},
          {"log_px_stderr", json_number(s.evaluation.log_px.standard_error)},
          {"elbo", json_number(s.evaluation.elbo.mean)}};
}

std::string describe(const Scored& s) {
  const auto [least, most] = std::ranges::minmax(s.log_px());
  return fmt::format("{}: {} {} data\n  log p(x) >= {:.4f} +- {:.4f}, of a datum from {:.4f} to {:.4f}\n",
                     s.data.spec, s.evaluation.count, s.named_part().name, s.evaluation.log_px.mean,
                     s.evaluation.log_px.standard_error, least, most);
}

/// Beyond twice the area's standard error.
bool misleads(const Auroc& a) { return a.area + 2.0 * a.standard_error < 0.5; }

void warn_of(const Auroc& a, const Scored& other) {
  if (!misleads(a)) return;
  spdlog::warn(
      "likelihoods mislead here: {} scores higher than the run's data more often than not (AUROC {:.4f} "
      "below 1/2); {}",
      other.data.spec, a.area, kCaveat);
}

void report(const ScoreFlags& flags, const Scored& scored, const std::optional<Scored>& other,
            const std::optional<Auroc>& area) {
  if (flags.common.json) {
    nlohmann::ordered_json json = to_json(scored);
    json["samples"] = scored.evaluation.samples;
    if (!flags.out.empty()) json["out"] = flags.out.string();
    if (other) {
      json["against"] = to_json(*other);
      json["auroc"] = area->area;
      json["auroc_stderr"] = json_number(area->standard_error);
      json["misleading"] = misleads(*area);
      json["caveat"] = kCaveat;
    }
    return print_json(json);
  }
  fmt::print("bounds on log p(x) by {} samples of z, nats a datum, +- standard error\n{}",
             scored.evaluation.samples, describe(scored));
  if (!other) return;
  fmt::print(
      "{}AUROC {:.4f} +- {:.4f}: the chance that a datum of the first set scores higher than one of the "
      "second\n"
      "  {}\n",
      describe(*other), area->area, area->standard_error, kCaveat);
}

// --- the verb ---------------------------------------------------------------------------------------------

void check_flags(const ScoreFlags& flags) {
  check_scores_out("--out", flags.out);
  check_scores_out("--against-out", flags.against_out);
  FELBO_CHECK(!flags.against.empty() || (flags.against_split.empty() && flags.against_out.empty()),
              "--against-split and --against-out go with --against SPEC");
  FELBO_CHECK(flags.picture.empty() || flags.picture.extension() == ".png",
              "--picture {}: the name must end in .png", flags.picture.string());
  FELBO_CHECK(flags.out.empty() || flags.out != flags.against_out, "--out and --against-out both name '{}'",
              flags.out.string());
  for (const std::filesystem::path& out : {flags.out, flags.against_out, flags.picture}) check_can_write(out);
}

void run_score(const ScoreFlags& flags) {
  check_flags(flags);
  LoadedRun run = load_run(flags.run);
  Scored scored = load_scored(flags.data.empty() ? run.config.data : flags.data, flags.split, run);
  std::optional<Scored> other;
  if (!flags.against.empty()) other = load_scored(flags.against, flags.against_split, run);
  if (!flags.picture.empty()) check_picture(run.config, {flags.picture, scored.part().shape});
  const std::uint64_t seed = flags.common.seed.value_or(run.config.seed);
  with_device(flags.common.device, [&](const auto& exec) {
    const auto state = state_on(exec, run.vae, std::move(run.state));
    for (Scored* s : {&scored, other ? &*other : nullptr}) {
      if (s == nullptr) continue;
      s->evaluation = evaluate_part(exec, run.config, run.vae, state, s->part(), flags.samples, seed);
    }
  });
  check_no_nan(scored);
  if (other) check_no_nan(*other);
  std::optional<Auroc> area;
  if (other) area = auroc(scored.log_px(), other->log_px());
  write_picture(flags, scored, other);  // first, as it may be too large
  write_scores(flags.out, scored.evaluation);
  if (other) write_scores(flags.against_out, other->evaluation);
  if (area) warn_of(*area, *other);
  report(flags, scored, other, area);
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = add_apply_command(app, "score",
                                        "A lower bound on log p(x) of each datum, nats; with --against, "
                                        "whether it tells two sets of data apart",
                                        flags, run_score);
  command->add_option(
      "--out", flags->out,
      "File to write: .npy of shape (N), or .csv with the ELBO, standard error and k-hat beside it");
  command->add_option("--data", flags->data,
                      "Data set; the run's own if not given. All rows of a set that is not the run's own and "
                      "has one part");
  command->add_option("--split", flags->split,
                      "train, valid or test; test, else valid, else train if not given");
  add_data_on_option(*command, flags->common);
  command->add_option("--samples", flags->samples, "Samples of z a datum")->capture_default_str();
  command->add_option("--against", flags->against,
                      "A second data set: AUROC of log p(x), the first set's data counted as positive");
  command->add_option("--against-split", flags->against_split, "Its part, as --split");
  command->add_option("--against-out", flags->against_out, "File for its scores: .npy or .csv");
  command->add_option("--picture", flags->picture,
                      "PNG of the 10 data that score highest above the 10 lowest; then those of --against");
}

}  // namespace felbo
