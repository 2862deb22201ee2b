// --ais and --bdmc: what annealing says of log p(x), for the verbs that have it.
#pragma once

#include <optional>
#include <string>

#include "host/cli/common.h"
#include "host/evaluate/annealed.h"
#include "host/evaluate/simulate.h"

namespace felbo {

struct AnnealedFlags {
  std::optional<std::int64_t> temperatures;  // --ais
  std::int64_t chains = 16;
  std::int64_t leapfrog = 10;
  bool both_ways = false;  // --bdmc
};
/// --ais, --chains, --leapfrog and --bdmc; the last three are refused without the first.
void add_annealed_options(CLI::App& command, AnnealedFlags& flags);

/// The most data that --bdmc simulates.
inline constexpr std::int64_t kMostSimulated = 100;

/// Throws std::invalid_argument for a model whose p(z) annealing does not know, and for flags out of range.
AnnealedOptions annealed_options(const AnnealedFlags& flags, const RunConfig& config, std::uint64_t seed);

/// Says on standard error every ten seconds how far `what` is, and how long it will take.
ShareDone tell_of(const std::string& what);

struct AnnealedFigures {
  AnnealedOptions options;
  AnnealedEvaluation of_data;
  std::optional<AnnealedEvaluation> simulated;  // of data drawn from the model itself
};

template <class Exec>
AnnealedFigures anneal_part(const Exec& exec, const Vae& vae, const ModelState<Exec>& state,
                            const DataPart& part, const AnnealedOptions& options, bool both_ways) {
  const View<const float, 1> parameters = state.parameters.view();
  const ResidentData<Exec> data(exec, part);
  AnnealedFigures figures{
      options, anneal(exec, vae, parameters, data, options, {}, {}, tell_of("annealing")), {}};
  if (!both_ways) return figures;
  const SimulatedData simulated =
      simulate(exec, vae, parameters, std::min(kMostSimulated, part.rows), options.seed);
  const ResidentData<Exec> own(exec, simulated.data);
  AnnealedOptions own_options = options;
  own_options.binarize = Binarize::kNone;
  figures.simulated =
      anneal(exec, vae, parameters, own, own_options, {}, simulated.z, tell_of("annealing both ways"));
  return figures;
}

/// `ais_log_px`, `ais_log_px_stderr`, `ais` and `bdmc`.
void add_annealed(nlohmann::ordered_json& json, const AnnealedFigures& figures);
/// The same for a person.
std::string describe(const AnnealedFigures& figures);
/// A warning that names the first datum whose estimate is NaN or infinite.
void warn_of(const AnnealedFigures& figures);

}  // namespace felbo
