#include "host/cli/annealed_report.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "host/report/progress.h"

namespace felbo {

void add_annealed_options(CLI::App& command, AnnealedFlags& flags) {
  CLI::Option* ais = command.add_option(
      "--ais", flags.temperatures,
      "Also log p(x) by annealed importance sampling from p(z) through this many temperatures (1000, say)");
  ais->type_name("T")->always_capture_default(false);
  command.add_option("--chains", flags.chains, "Chains a datum (with --ais)")->needs(ais);
  command.add_option("--leapfrog", flags.leapfrog, "Leapfrog steps of a Hamiltonian trajectory (with --ais)")
      ->needs(ais);
  command
      .add_flag(
          "--bdmc", flags.both_ways,
          "Also anneal data simulated from the model forwards and backwards, which holds their log p(x) "
          "from below and above (with --ais)")
      ->needs(ais);
}

AnnealedOptions annealed_options(const AnnealedFlags& flags, const RunConfig& config, std::uint64_t seed) {
  FELBO_CHECK(config.prior != "uniform",
              "--ais: annealing knows every prior but uniform, which this run has");
  const std::int64_t T = *flags.temperatures;
  FELBO_CHECK(T >= 1 && T <= kMostTemperatures, "--ais {}: expected 1 to {} temperatures", T,
              kMostTemperatures);
  FELBO_CHECK(flags.chains >= 1 && flags.chains <= kMostChains, "--chains {}: expected 1 to {} a datum",
              flags.chains, kMostChains);
  FELBO_CHECK(flags.leapfrog >= 1 && flags.leapfrog <= kMostLeapfrog, "--leapfrog {}: expected 1 to {} steps",
              flags.leapfrog, kMostLeapfrog);
  return {.temperatures = T,
          .chains = flags.chains,
          .leapfrog = static_cast<int>(flags.leapfrog),
          .binarize = binarize_mode(config),
          .seed = seed};
}

ShareDone tell_of(const std::string& what) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto last = std::make_shared<Clock::time_point>(start);
  return [=](double share) {
    const auto now = Clock::now();
    if (now - *last < std::chrono::seconds(10)) return;
    *last = now;
    const double passed = std::chrono::duration<double>(now - start).count();
    spdlog::info("{}: {:.0f} % done, {} left", what, 100.0 * share,
                 format_duration(passed * (1.0 - share) / share));
  };
}

void add_annealed(nlohmann::ordered_json& json, const AnnealedFigures& figures) {
  const AnnealedEvaluation& e = figures.of_data;
  const WeightSummary weights = summarize(e.weights_of_datum);
  json["ais_log_px"] = json_number(e.log_px.mean);
  json["ais_log_px_stderr"] = json_number(e.log_px.standard_error);
  json["ais"] = {{"temperatures", figures.options.temperatures},
                 {"chains", figures.options.chains},
                 {"leapfrog", figures.options.leapfrog},
                 {"sampling_stderr", json_number(weights.sampling_error)},
                 {"effective_chains_median", json_number(weights.effective_median)},
                 {"effective_chains_least", json_number(weights.effective_least)},
                 {"acceptance", json_number(e.acceptance)}};
  if (!figures.simulated) return;
  const AnnealedEvaluation& s = *figures.simulated;
  json["bdmc"] = {{"count", s.count},
                  {"lower", json_number(s.log_px.mean)},
                  {"lower_stderr", json_number(s.log_px.standard_error)},
                  {"upper", json_number(s.upper.mean)},
                  {"upper_stderr", json_number(s.upper.standard_error)},
                  {"gap", json_number(s.sandwich.mean)},
                  {"gap_stderr", json_number(s.sandwich.standard_error)}};
}

std::string describe(const AnnealedFigures& figures) {
  const AnnealedEvaluation& e = figures.of_data;
  const WeightSummary weights = summarize(e.weights_of_datum);
  const auto line = [](const char* name, const Estimate& value, const std::string& note) {
    return fmt::format("  {:<16}{:12.4f} +- {:.4f}  {}\n", name, value.mean, value.standard_error, note);
  };
  std::string text = line("AIS log p(x) >=", e.log_px,
                          fmt::format("annealed through {} temperatures, {} chains a datum",
                                      figures.options.temperatures, figures.options.chains));
  text += fmt::format(
      "                  effective chains: median {:.1f}, least {:.1f}; {:.0f} % of trajectories accepted; "
      "chains add +- {:.4f} to the mean\n",
      weights.effective_median, weights.effective_least, 100.0 * e.acceptance, weights.sampling_error);
  if (!figures.simulated) return text;
  const AnnealedEvaluation& s = *figures.simulated;
  text += fmt::format("  {} data simulated from the model, whose z is known, annealed both ways (BDMC):\n",
                      s.count);
  text += line("  log p(x) >=", s.log_px, "forwards, in expectation");
  text += line("  log p(x) <=", s.upper, "backwards, in expectation");
  return text + line("  between", s.sandwich, "all that annealing can miss on such data");
}

void warn_of(const AnnealedFigures& figures) {
  const std::vector<double>& values = figures.of_data.log_px_of_datum;
  const auto broken = std::ranges::find_if(values, [](double v) { return !std::isfinite(v); });
  if (broken != values.end())
    spdlog::warn("the annealed log p(x) of datum {} is {}: a NaN or infinity in the data or the model",
                 broken - values.begin(), *broken);
}

}  // namespace felbo
