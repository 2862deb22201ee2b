#include "host/report/run_sections.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "host/report/comparable.h"
#include "host/report/line_plot.h"
#include "host/report/text.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo::report {
namespace {

constexpr const char* kDash = "\xE2\x80\x93";
constexpr const char* kPlusMinus = "\xC2\xB1";

std::string or_dash(double value, double error) {
  return std::isfinite(value) ? figure(value, error) : kDash;
}
std::string or_dash(double value, int decimals) {
  return std::isfinite(value) ? fixed(value, decimals) : kDash;
}

/// The last epoch that measured `key`, which need not be the run's last.
struct LastFigure {
  double value = std::numeric_limits<double>::quiet_NaN(), error = value;
};
LastFigure last_figure(const RunRecord& run, const std::string& key) {
  const std::vector<double> values = run.metrics.column(key), errors = run.metrics.column(key + "_stderr");
  for (std::size_t i = values.size(); i-- > 0;)
    if (std::isfinite(values[i])) return {values[i], errors[i]};
  return {};
}
std::string last_text(const RunRecord& run, const std::string& key) {
  const LastFigure last = last_figure(run, key);
  return or_dash(last.value, last.error);
}

double sum(const RunRecord& run, const std::string& key) {
  double total = 0.0;
  for (const double value : run.metrics.column(key))
    if (std::isfinite(value)) total += value;
  return total;
}

std::string duration(double seconds) {
  if (seconds < 100.0) return fixed(seconds, 1) + " s";
  const auto minutes = static_cast<std::int64_t>(std::lround(seconds / 60.0));
  return minutes < 120 ? fmt::format("{} min", minutes)
                       : fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

/// "held-out", or what stands in its place where nothing may be held out.
std::string judged_on(const RunConfig& config) {
  return config.valid_fraction > 0.0
             ? "held-out data: the set's own valid or test part, else the share of --valid-fraction"
             : "the set's own valid or test part; without one, the training data themselves";
}

/// A number of evaluation.json; NaN if it is null or missing.
double number_of(const nlohmann::ordered_json& json, const std::string& key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_number())
    return std::numeric_limits<double>::quiet_NaN();
  return json[key].get<double>();
}
std::vector<double> numbers_of(const nlohmann::ordered_json& json, const std::string& key) {
  std::vector<double> values;
  if (!json.is_object() || !json.contains(key) || !json[key].is_array()) return values;
  for (const auto& value : json[key])
    values.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
  return values;
}
std::string with_error(const nlohmann::ordered_json& json, const std::string& key) {
  return or_dash(number_of(json, key), number_of(json, key + "_stderr"));
}
const nlohmann::ordered_json& latent_of(const RunRecord& run) {
  static const nlohmann::ordered_json kNothing;
  return run.evaluation.is_object() && run.evaluation.contains("latent") ? run.evaluation["latent"]
                                                                         : kNothing;
}

bool any_evaluated(const Runs& runs) {
  return std::ranges::any_of(runs, [](const RunRecord& run) { return !run.evaluation.is_null(); });
}

/// Why a run has no evaluation and how it gets one, or that it is of another epoch.
std::string evaluation_notes(const Runs& runs) {
  std::string out;
  for (const RunRecord& run : runs) {
    if (run.evaluation.is_null()) {
      out += paragraph(
          fmt::format("{}: not evaluated yet. `felbo evaluate {} --samples 100 --save`, then this report "
                      "again, adds log p(x), KL by dimension and active units.",
                      run.name, run.path),
          "note");
      continue;
    }
    const double epoch = number_of(run.evaluation, "epoch");
    if (epoch != run.metrics.epochs.back())
      out += paragraph(fmt::format("{}: the evaluation is of epoch {}, the run has gone on to epoch {}.",
                                   run.name, shortest(epoch), run.epochs()),
                       "warn");
  }
  return out;
}

std::vector<std::string> comparison_row(const RunRecord& run) {
  const LastFigure kl = last_figure(run, "kl"), fit = last_figure(run, "log_px_given_z");
  return {run.name,
          fmt::format("{}", run.epochs()),
          last_text(run, "elbo"),
          or_dash(fit.value, 2),
          or_dash(kl.value, 2),
          or_dash(run.metrics.last("train_elbo"), 2),
          last_text(run, "tracked_log_px"),
          last_text(run, "kl_to_posterior"),
          fixed(sum(run, "clamped"), 0),
          duration(sum(run, "seconds"))};
}

/// Removes columns that hold a dash in every row.
void drop_empty_columns(Table& table) {
  for (std::size_t j = table.header.size(); j-- > table.words;) {
    const bool empty = std::ranges::all_of(table.rows, [&](const auto& row) { return row[j] == kDash; });
    if (!empty) continue;
    table.header.erase(table.header.begin() + static_cast<std::ptrdiff_t>(j));
    for (auto& row : table.rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(j));
  }
}

/// The row of a table that has one, but for its name, heading by heading.
std::vector<Fact> only_row(const Table& table) {
  std::vector<Fact> facts;
  for (std::size_t j = 1; j < table.header.size(); ++j)
    facts.push_back({table.header[j], table.rows.front()[j]});
  return facts;
}

std::string seed_table(const Runs& runs) {
  Table table{
      .caption = "Over seeds: mean and standard error over runs that differ in nothing else. Nats a datum.",
      .header = {"Runs", "ELBO", "log p(x|z)", "KL", "Training ELBO"},
      .rows = {},
      .marked = {},
      .words = 1};
  for (const auto& group : seed_groups(runs)) {
    std::string names;
    for (const RunRecord* run : group) names += (names.empty() ? "" : ", ") + run->name;
    std::vector<std::string> row{names};
    for (const char* key : {"elbo", "log_px_given_z", "kl", "train_elbo"}) {
      std::vector<double> values;
      for (const RunRecord* run : group) values.push_back(run->metrics.last(key));
      const OverRuns over = over_runs(values);
      row.push_back(figure(over.mean, over.standard_error));
    }
    table.rows.push_back(row);
  }
  return table.rows.empty() ? "" : draw(table);
}

std::string kl_figure(const RunRecord& run, std::size_t index) {
  std::vector<double> kl = numbers_of(latent_of(run), "kl");
  const std::vector<double> variance = numbers_of(latent_of(run), "variance_of_mean");
  const bool whole = !kl.empty() && kl.size() == variance.size() &&
                     std::ranges::all_of(kl, [](double v) { return std::isfinite(v) && v >= -1e-6; });
  if (!whole) return {};
  const double limit = number_of(latent_of(run), "active_above");
  std::vector<std::size_t> order(kl.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return kl[a] > kl[b]; });
  BarPlot plot{.id = fmt::format("latent{}", index),
               .title = fmt::format("{}: KL by latent dimension", run.name),
               .description = {},
               .x_label = "latent dimensions, the largest KL first",
               .y_label = "nats a datum",
               .heights = {},
               .full = {}};
  double total = 0.0;
  for (const std::size_t d : order) {
    total += kl[d];
    plot.heights.push_back(std::max(0.0, kl[d]));
    plot.full.push_back(variance[d] > limit);
  }
  const auto active = std::ranges::count(plot.full, true);
  const std::string summary = fmt::format(
      "{} of {} units active: the variance of E[z|x] over the data is above {}. The KLs sum to {} nats.",
      active, kl.size(), shortest(limit), fixed(total, 2));
  plot.description =
      fmt::format("{} The largest is {} (dimension {}), the least {}.", summary,
                  shortest(kl[order.front()], 4), order.front(), shortest(kl[order.back()], 4));
  return framed_figure(plot.title, draw(plot),
                       summary + " Full bars are active dimensions, outlines collapsed ones.");
}

std::string picture_title(const std::string& name) {
  if (name == "samples.png") return "Samples: E[x|z] of draws z from the prior";
  if (name == "reconstructions.png") return "Held-out data, each row above its reconstructions";
  return name;
}

std::string image(const Picture& picture, const std::string& alt) {
  return fmt::format("<img alt='{}' width='{}' height='{}' src='data:image/png;base64,{}'>", escape(alt),
                     picture.width, picture.height, base64(picture.png));
}

/// The value that all runs share, or each run's.
template <class F>
std::string shared(const Runs& runs, const F& value_of) {
  const std::string first = value_of(runs.front());
  const bool same = std::ranges::all_of(runs, [&](const RunRecord& run) { return value_of(run) == first; });
  if (same) return first;
  std::string text;
  for (const RunRecord& run : runs)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", run.name, value_of(run));
  return text;
}

std::string likelihood_text(const RunConfig& c) {
  std::string text = c.likelihood;
  if (!c.variance.empty()) text += fmt::format(", variance {}", c.variance);
  if (c.degrees_of_freedom) text += fmt::format(", {} degrees of freedom", shortest(*c.degrees_of_freedom));
  if (c.categories) text += fmt::format(", {} categories", *c.categories);
  return text;
}

std::string beta_text(const RunConfig& c) {
  std::string text = fmt::format("{} in training ({})", shortest(c.beta), c.beta_schedule);
  if (c.free_bits > 0) text += fmt::format(", {} nats of KL free a dimension", shortest(c.free_bits));
  return text + "; 1 in every figure here";
}

std::string clamp_text(const RunRecord& run) {
  const double train = sum(run, "clamped"), held_out = sum(run, "held_out_clamped");
  if (train == 0.0 && held_out == 0.0) return fmt::format("none (bounds {})", run.config.log_var_clamp);
  return fmt::format("{} in training, {} on held-out data, over all epochs (bounds {})", fixed(train, 0),
                     fixed(held_out, 0), run.config.log_var_clamp);
}

std::string model_text(const RunRecord& run) {
  const RunConfig& c = run.config;
  std::string text = fmt::format("hidden {}, latent {}, {}", c.hidden, c.latent, c.activation);
  if (run.facts.contains("dimensions")) text = fmt::format("{} columns, ", run.facts.at("dimensions")) + text;
  if (run.parameters) text += fmt::format("; {} parameters", *run.parameters);
  return text;
}

/// What the checkpoint says beyond what this page knows.
std::vector<Fact> other_facts(const Runs& runs) {
  static const std::set<std::string> kKnown{"dimensions", "height", "width", "step", "epoch"};
  std::set<std::string> keys;
  for (const RunRecord& run : runs)
    for (const auto& [key, value] : run.facts)
      if (!kKnown.contains(key) && value.size() <= 300) keys.insert(key);
  std::vector<Fact> facts;
  for (const std::string& key : keys) {
    facts.push_back({key, shared(runs, [&](const RunRecord& run) {
                       const auto found = run.facts.find(key);
                       return found == run.facts.end() ? std::string(kDash) : found->second;
                     })});
  }
  return facts;
}

/// A flag, in the order of config.toml, and its value in each run.
struct Flag {
  std::string name;
  std::vector<std::string> values;
};

std::vector<Flag> flags_of(const Runs& runs) {
  std::vector<Flag> flags;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::istringstream text(to_toml(runs[i].config));
    for (std::string line; std::getline(text, line);) {
      const std::size_t equals = line.find(" = ");
      if (line.starts_with('#') || equals == std::string::npos) continue;
      const std::string name = line.substr(0, equals);
      auto flag = std::ranges::find(flags, name, &Flag::name);
      if (flag == flags.end()) flag = flags.insert(flags.end(), {name, {}});
      flag->values.resize(i, kDash);
      flag->values.push_back(line.substr(equals + 3));
    }
  }
  for (Flag& flag : flags) flag.values.resize(runs.size(), kDash);
  return flags;
}

}  // namespace

std::string headline(const RunRecord& run) {
  const LastFigure tracked = last_figure(run, "tracked_log_px");
  std::vector<Fact> facts{{"ELBO, nats a datum", last_text(run, "elbo")},
                          {"log p(x|z), nats a datum", or_dash(last_figure(run, "log_px_given_z").value, 2)},
                          {"KL of q(z|x) from p(z), nats a datum", or_dash(last_figure(run, "kl").value, 2)}};
  if (run.metrics.has("log_px"))
    facts.push_back({"importance-weighted bound, nats a datum", last_text(run, "log_px")});
  if (std::isfinite(tracked.value))
    facts.push_back(
        {"log p(x), a lower bound over some held-out data", or_dash(tracked.value, tracked.error)});
  if (!run.evaluation.is_null() && number_of(run.evaluation, "samples") > 1)
    facts.push_back(
        {fmt::format("log p(x) \xE2\x89\xA5, evaluated on {} {} data with {} samples",
                     or_dash(number_of(run.evaluation, "count"), 0), run.evaluation.value("split", ""),
                     shortest(number_of(run.evaluation, "samples"))),
         with_error(run.evaluation, "log_px")});
  facts.push_back({"epochs", fmt::format("{}", run.epochs())});
  facts.push_back({"of training steps", duration(sum(run, "seconds"))});
  return draw(facts, "tiles") +
         paragraph(fmt::format("Of the last epoch, on {}. After {}: one standard error over the data.",
                               judged_on(run.config), kPlusMinus),
                   "note");
}

std::string comparison(const Runs& runs) {
  if (runs.size() < 2) return {};
  Table table{
      .caption =
          "Figures of each run's last epoch on held-out data, in nats a datum; after \xC2\xB1 one standard "
          "error over the data.",
      .header = {"Run", "Epochs", "ELBO", "log p(x|z)", "KL", "Training ELBO", "log p(x) bound, tracked",
                 "KL of q from p(z|x), tracked", "Clamped in training", "Time of steps"},
      .rows = {},
      .marked = {},
      .words = 1};
  double best = -std::numeric_limits<double>::infinity();
  for (const RunRecord& run : runs) best = std::max(best, run.metrics.last("elbo"));
  for (const RunRecord& run : runs) {
    table.rows.push_back(comparison_row(run));
    table.marked.push_back(run.metrics.last("elbo") == best);
    if (table.marked.back()) table.rows.back()[0] += " (highest ELBO)";
  }
  drop_empty_columns(table);
  return draw(table) +
         paragraph(
             "All runs are judged on the same data, binarised ones each by its own seed. So their errors "
             "rise and fall "
             "together, and the difference of two runs is more certain than these standard errors suggest.",
             "note") +
         seed_table(runs);
}

std::string evaluations(const Runs& runs) {
  if (!any_evaluated(runs)) return evaluation_notes(runs);
  Table table{
      .caption =
          "What felbo evaluate --save found, in nats a datum; after \xC2\xB1 one standard error over the "
          "data.",
      .header = {"Run", "Part", "Data", "Samples of z", "ELBO", "log p(x|z)", "KL", "log p(x) \xE2\x89\xA5",
                 "Mutual information", "KL of the aggregate from p(z)", "Exact log p(x)", "Active units"},
      .rows = {},
      .marked = {},
      .words = 2};
  for (const RunRecord& run : runs) {
    const auto& e = run.evaluation;
    if (e.is_null()) continue;
    const auto& latent = latent_of(run);
    const std::size_t units = numbers_of(latent, "variance_of_mean").size();
    table.rows.push_back(
        {run.name, e.value("split", kDash), or_dash(number_of(e, "count"), 0),
         or_dash(number_of(e, "samples"), 0), with_error(e, "elbo"), with_error(e, "log_px_given_z"),
         with_error(e, "kl"), with_error(e, "log_px"), with_error(latent, "mutual_information"),
         with_error(latent, "marginal_kl"), with_error(e, "exact_log_px"),
         units == 0 ? kDash : fmt::format("{} of {}", shortest(number_of(latent, "active")), units)});
  }
  drop_empty_columns(table);
  std::string out =
      runs.size() > 1 ? draw(table) : paragraph(table.caption, "note") + draw(only_row(table), "ledger");
  for (const RunRecord& run : runs) {
    const auto& e = run.evaluation;
    if (e.is_object() && e.contains("log_px_unreliable") && e["log_px_unreliable"].is_string())
      out += paragraph(fmt::format("{}: log p(x) is a lower bound and no estimate: {}.", run.name,
                                   e["log_px_unreliable"].get<std::string>()),
                       "note");
  }
  return out + evaluation_notes(runs);
}

std::string latent_dimensions(const Runs& runs) {
  std::string figures, notes;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string figure = kl_figure(runs[i], i);
    figures += figure;
    if (figure.empty() && !runs[i].evaluation.is_null())
      notes += paragraph(
          fmt::format("{}: the KL of this posterior and prior is no sum over dimensions.", runs[i].name),
          "note");
  }
  if (!figures.empty()) figures = "<div class='grid'>\n" + figures + "</div>\n";
  return figures + notes;
}

std::string pictures(const Runs& runs) {
  std::string out;
  for (const RunRecord& run : runs) {
    for (const Picture& picture : run.pictures) {
      const std::string heading =
          (runs.size() > 1 ? run.name + ": " : std::string()) + picture_title(picture.name);
      out += framed_figure(heading, image(picture, heading + ", run " + run.name));
    }
  }
  return out.empty() ? out : "<div class='grid'>\n" + out + "</div>\n";
}

std::string ledger(const Runs& runs, const std::vector<std::string>& constant) {
  const auto of = [&](const auto& value_of) { return shared(runs, value_of); };
  std::vector<Fact> facts{
      {"Unit", "nats a datum"},
      {"Reduction",
       "log-probabilities and KL are summed over dimensions and averaged over data, never over pixels"},
      {"Constants", "all included: normalisers such as log 2\xCF\x80 and log-factorials"},
      {"Likelihood", of([](const RunRecord& r) { return likelihood_text(r.config); })},
      {"What p(x) measures", likelihood_measure(runs.front().config)},
      {"Data", runs.front().config.data},
      {"Judged on", judged_on(runs.front().config)},
      {"Binarisation", binarisation(runs.front().config)},
      {"Objective", of([](const RunRecord& r) {
         return fmt::format("{}, {} sample{} of z a datum", r.config.objective, r.config.samples,
                            r.config.samples == 1 ? "" : "s");
       })},
      {"Weight of the KL", of([](const RunRecord& r) { return beta_text(r.config); })},
      {"Clamped log-variances", of(clamp_text)},
      {"Model", of(model_text)},
      {"q(z|x) and p(z)", of([](const RunRecord& r) { return r.config.posterior + "; " + r.config.prior; })},
      {"Seed", of([](const RunRecord& r) { return fmt::format("{}", r.config.seed); })},
      {"Precision",
       of([](const RunRecord& r) { return r.config.precision + " in training; figures in fp32"; })},
      {"Device asked for", of([](const RunRecord& r) {
         return r.config.device + (r.config.threads > 0 ? fmt::format(", {} threads", r.config.threads) : "");
       })}};
  if (!constant.empty())
    facts.push_back({"The same at every epoch", fmt::format("{}", fmt::join(constant, "; "))});
  std::vector<Fact> more = other_facts(runs);
  facts.insert(facts.end(), more.begin(), more.end());
  return draw(facts, "ledger");
}

std::string configuration(const Runs& runs) {
  Table table{.caption = runs.size() > 1
                             ? "Every flag of the runs, as in config.toml; those that differ are marked."
                             : "Every flag of the run, as in config.toml.",
              .header = {"Flag"},
              .rows = {},
              .marked = {},
              .words = 1 + runs.size()};
  for (const RunRecord& run : runs) table.header.push_back(runs.size() > 1 ? run.name : "Value");
  for (const Flag& flag : flags_of(runs)) {
    const bool differs =
        std::ranges::any_of(flag.values, [&](const auto& v) { return v != flag.values.front(); });
    std::vector<std::string> row{"--" + flag.name + (differs ? " (differs)" : "")};
    row.insert(row.end(), flag.values.begin(), flag.values.end());
    table.rows.push_back(row);
    table.marked.push_back(differs);
  }
  std::string out = draw(table);
  for (const RunRecord& run : runs)
    out +=
        fmt::format("<p class='note'>Runs it again: <code>felbo train --config {} --out OTHER</code></p>\n",
                    escape((std::filesystem::path(run.path) / "config.toml").string()));
  return out;
}

std::string epochs_in_full(const Runs& runs) {
  std::string out;
  for (const RunRecord& run : runs) {
    Table table{.caption = fmt::format("metrics.jsonl of {}: a row an epoch", run.name),
                .header = {"epoch"},
                .rows = {},
                .marked = {},
                .words = 0};
    table.header.insert(table.header.end(), run.metrics.keys.begin(), run.metrics.keys.end());
    for (std::size_t i = 0; i < run.metrics.epochs.size(); ++i) {
      std::vector<std::string> row{shortest(run.metrics.epochs[i])};
      for (const std::string& key : run.metrics.keys) {
        const double value = run.metrics.columns.at(key)[i];
        row.push_back(std::isnan(value) ? kDash : shortest(value, 7));
      }
      table.rows.push_back(row);
    }
    out += details(fmt::format("{}: {} epochs in full", run.name, run.epochs()), draw(table));
  }
  return out;
}

}  // namespace felbo::report
