#include "host/report/comparable.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo::report {
namespace {

namespace fs = std::filesystem;

std::string levels(int count) { return fmt::format("probabilities of {} levels", count); }

/// A name that two spellings of one path share.
std::string data_identity(const std::string& spec) {
  std::error_code error;
  const fs::path whole = fs::canonical(spec, error);
  return error ? fs::path(spec).lexically_normal().string() : whole.string();
}

struct Term {
  std::string what, value;
};

std::string fact(const RunRecord& run, const std::string& key) {
  const auto found = run.facts.find(key);
  return found == run.facts.end() ? "" : found->second;
}

/// All that must agree. An empty value is not known, and agrees with any.
std::vector<Term> terms(const RunRecord& run) {
  const std::string name = run.config.data.empty() ? "" : data_identity(run.config.data);
  std::vector<Term> all{
      {"the unit", fact(run, "units")},
      {"what p(x) measures", likelihood_measure(run.config)},
      {"the data", name},
      {"the columns of the data", fact(run, "dimensions")},
      {"the share held out (--valid-fraction)", fmt::format("{}", run.config.valid_fraction)},
      {"the binarisation", binarisation(run.config)}};
  for (const auto& [key, value] : run.facts)
    if (key.starts_with("data")) all.push_back({key, value});
  const nlohmann::ordered_json& e = run.evaluation;
  if (e.is_null()) return all;
  const std::string of = e.value("data", run.config.data);
  all.push_back({"the data of evaluation.json", of.empty() ? "" : data_identity(of)});
  all.push_back({"the part of evaluation.json", e.value("split", "")});
  all.push_back({"the number of data of evaluation.json", e.contains("count") ? e["count"].dump() : ""});
  return all;
}

/// Of a configuration, what decides a result but for the seed.
std::string without_seed(RunConfig config) {
  const RunConfig usual;
  config.seed = usual.seed;
  config.threads = usual.threads;
  config.device = usual.device;
  config.save_every = usual.save_every;
  config.track_gap = usual.track_gap;
  return to_toml(config);
}

}  // namespace

std::string likelihood_measure(const RunConfig& config) {
  const LikelihoodFamily family = likelihood_family_from_name(config.likelihood);
  if (family == LikelihoodFamily::kBernoulli)
    return config.binarize == "none" ? "a Bernoulli's cross-entropy of the values as they are (a probability "
                                       "where they are 0 and 1)"
                                     : "probabilities of binary values";
  if (family == LikelihoodFamily::kMultinomial) return "probabilities of counts, given each row's sum";
  switch (Likelihood{.family = family}.observations()) {
    case Observations::kReal:
    case Observations::kUnitInterval:
      return "a density over real values (bytes / 255)";
    case Observations::kGrey:
      return levels(256);
    case Observations::kCounts:
      return "probabilities of counts";
    case Observations::kLevels:
      return config.categories ? levels(*config.categories) : "probabilities of levels";
  }
  throw std::logic_error("an unknown kind of observations");
}

std::string binarisation(const RunConfig& config) {
  if (config.binarize == "dynamic") return "dynamic: drawn anew at each visit, held-out data once a seed";
  if (config.binarize == "threshold") return "threshold: at 0.5";
  return config.binarize;
}

void check_comparable(const std::vector<RunRecord>& runs) {
  std::map<std::string, std::pair<std::string, const RunRecord*>> first;
  for (const RunRecord& run : runs) {
    for (const auto& [what, value] : terms(run)) {
      if (value.empty()) continue;
      const auto [known, added] = first.try_emplace(what, value, &run);
      FELBO_CHECK(
          added || known->second.first == value,
          "these runs cannot be compared: {} is\n  {}  in {}\n  {}  in {}\nso their figures do not mean the "
          "same; report them apart",
          what, known->second.first, known->second.second->path, value, run.path);
    }
  }
}

std::vector<std::vector<const RunRecord*>> seed_groups(const std::vector<RunRecord>& runs) {
  std::map<std::string, std::vector<const RunRecord*>> by_config;
  for (const RunRecord& run : runs)
    by_config[fmt::format("{}{}", run.epochs(), without_seed(run.config))].push_back(&run);
  std::vector<std::vector<const RunRecord*>> groups;
  for (const RunRecord& run : runs) {  // in the order of the runs
    for (const auto& [config, members] : by_config)
      if (members.size() > 1 && members.front() == &run) groups.push_back(members);
  }
  return groups;
}

OverRuns over_runs(const std::vector<double>& values) {
  FELBO_CHECK(values.size() >= 2, "a standard error over runs needs 2 of them, got {}", values.size());
  const auto n = static_cast<double>(values.size());
  double mean = 0.0, squares = 0.0;
  for (const double value : values) mean += value / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n - 1.0) / n)};
}

}  // namespace felbo::report
