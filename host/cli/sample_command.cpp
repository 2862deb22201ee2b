// sample: codes from the prior, from posteriors of data or from a mixture fitted to them, and what the model
// makes of them.
#include <spdlog/spdlog.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "host/cli/applied_run.h"
#include "host/evaluate/mixture.h"

namespace felbo {
namespace {

struct SampleFlags : ApplyFlags {
  std::int64_t count = 0;
  std::string from = "prior";
  bool observations = false;
  std::optional<std::int64_t> components;
  std::optional<std::string> covariance;
};

constexpr std::int64_t kMostRows = 100'000'000;
constexpr std::int64_t kComponents = 10;

template <class M>
std::vector<float> shown(const SampleFlags& flags, const M& model, const std::vector<float>& z) {
  return flags.observations ? model.draw_data(z) : model.decode(z);
}

void sample_prior(const SampleFlags& flags) {
  FELBO_CHECK(flags.data.empty() && flags.split.empty(),
              "--data and --split go with --from posterior or aggregate: draws from the prior see no data");
  LoadedRun run = load_run(flags.run);
  check_picture(run.config, {flags.out, run.shape});
  check_fits_memory("--count", flags.count, run.vae.config().dimensions);
  const std::vector<float> rows = with_model(flags, run, [&](const auto& model) {
    return shown(flags, model,
                 draw_prior(model.exec, run.vae, model.state.parameters.view(), flags.count, model.seed));
  });
  write_rows({flags.out, run.shape}, rows, {}, run.vae.config().dimensions);
}

void sample_posterior(const SampleFlags& flags) {
  RunOnData r = load_run_on_data(flags);
  const DataPart& part = r.part();
  check_picture(r.run.config, {flags.out, part.shape});
  const std::vector<float> rows = with_model(flags, r.run, [&](const auto& model) {
    return shown(flags, model,
                 draw_posterior(model.exec, r.run.vae, model.encode(part, flags.count, false), model.seed));
  });
  write_rows({flags.out, part.shape}, rows, {}, part.cols);
}

// --- the aggregate posterior ------------------------------------------------------------------------------

MixtureOptions mixture_options(const SampleFlags& flags, std::uint64_t seed) {
  const std::string covariance = flags.covariance.value_or("full");
  FELBO_CHECK(covariance == "full" || covariance == "diagonal",
              "--covariance must be full or diagonal, got '{}'", covariance);
  MixtureOptions options;
  options.components = flags.components.value_or(kComponents);
  options.covariance = covariance == "full" ? MixtureCovariance::kFull : MixtureCovariance::kDiagonal;
  options.seed = seed;
  return options;
}

/// Mean log density of codes under N(0, I), nats.
double log_standard_normal(const std::vector<float>& z, std::int64_t count) {
  double squares = 0.0;
  for (const float v : z) squares += static_cast<double>(v) * static_cast<double>(v);
  return -0.5 * (squares + static_cast<double>(z.size()) * std::log(2.0 * std::numbers::pi)) /
         static_cast<double>(count);
}

/// What was fitted to which codes.
struct Aggregate {
  MixtureFit fit;
  std::string fitted_to;  // train, valid or test
  std::int64_t codes = 0;
  double standard_normal = 0.0;  // mean log density of the codes under N(0, I)

  double density() const { return fit.log_likelihood.back(); }
  std::size_t iterations() const { return fit.log_likelihood.size() - 1; }
};

/// A mixture of one draw z ~ q(z|x) of each datum: an estimate of the mean of all posteriors.
template <class M>
Aggregate fit_aggregate(const SampleFlags& flags, const RunOnData& r, const M& model) {
  const DataPart& part = r.part();
  const std::int64_t Z = r.run.vae.config().latent;
  const MixtureOptions options = mixture_options(flags, model.seed);
  FELBO_CHECK(options.components >= 1 && options.components <= part.rows,
              "--components must be between 1 and the {} {} data, got {}", part.rows, r.named_part().name,
              options.components);
  // Two matrices of doubles while it is fitted.
  check_fits_memory("--components", 2 * options.components, part.rows);
  const std::vector<float> z =
      draw_posterior(model.exec, r.run.vae, model.encode(part, part.rows, false), model.seed);
  const MixtureFit fit = fit_mixture(CpuExec(flags.common.device.threads), {z.data(), part.rows, Z}, options);
  return {fit, r.named_part().name, part.rows, log_standard_normal(z, part.rows)};
}

void warn_of(const Aggregate& a) {
  if (a.fit.dropped > 0)
    spdlog::warn("{} components were dropped: too few codes for a covariance of their own", a.fit.dropped);
  if (!a.fit.converged)
    spdlog::warn("the mixture's likelihood still rises after {} iterations", a.iterations());
}

nlohmann::ordered_json to_json(const Aggregate& a) {
  return {{"components", a.fit.mixture.components()},
          {"dropped", a.fit.dropped},
          {"iterations", a.iterations()},
          {"converged", a.fit.converged},
          {"fitted_to", a.fitted_to},
          {"codes", a.codes},
          {"log_density", json_number(a.density())},
          {"log_standard_normal", json_number(a.standard_normal)}};
}

std::string describe(const Aggregate& a) {
  return fmt::format(
      "{} components fitted to the codes of {} {} data in {} iterations\n"
      "  mean log density of these codes {:.4f} nats, under N(0, I) {:.4f}\n",
      a.fit.mixture.components(), a.codes, a.fitted_to, a.iterations(), a.density(), a.standard_normal);
}

Aggregate sample_aggregate(const SampleFlags& flags) {
  RunOnData r = load_run_on_data(flags, "train");
  check_one_layer(r.run, "sample --from aggregate");
  const DataPart& part = r.part();
  check_picture(r.run.config, {flags.out, part.shape});
  check_fits_memory("--count", flags.count, part.cols);
  Aggregate aggregate;
  const std::vector<float> rows = with_model(flags, r.run, [&](const auto& model) {
    aggregate = fit_aggregate(flags, r, model);
    const CpuExec host(flags.common.device.threads);
    return shown(flags, model, draw_mixture(host, aggregate.fit.mixture, flags.count, model.seed));
  });
  warn_of(aggregate);
  write_rows({flags.out, part.shape}, rows, {}, part.cols);
  if (!flags.common.json) fmt::print("{}", describe(aggregate));
  return aggregate;
}

void check_flags(const SampleFlags& flags) {
  FELBO_CHECK(flags.from == "prior" || flags.from == "posterior" || flags.from == "aggregate",
              "--from must be prior, posterior or aggregate, got '{}'", flags.from);
  FELBO_CHECK(flags.count >= 1 && flags.count <= kMostRows, "--count must be between 1 and {}, got {}",
              kMostRows, flags.count);
  FELBO_CHECK(flags.from == "aggregate" || !(flags.components || flags.covariance),
              "--components and --covariance go with --from aggregate");
}

void run_sample(const SampleFlags& flags) {
  check_flags(flags);
  nlohmann::ordered_json json{{"out", flags.out.string()}, {"count", flags.count}};
  if (flags.from == "prior") {
    sample_prior(flags);
  } else if (flags.from == "posterior") {
    sample_posterior(flags);
  } else {
    json["mixture"] = to_json(sample_aggregate(flags));
  }
  if (flags.common.json) return print_json(json);
  fmt::print("{} rows in {}\n", flags.count, flags.out.string());
}

}  // namespace

void add_sample_command(CLI::App& app) {
  auto flags = std::make_shared<SampleFlags>();
  CLI::App* command = add_apply_command(
      app, "sample", "Draw z and show E[x|z] or draw x: (count, X), or a picture", flags, run_sample);
  add_picture_out_option(*command, *flags);
  command->add_option("--count", flags->count, "How many")->required();
  command
      ->add_option(
          "--from", flags->from,
          "prior: z ~ p(z); posterior: z ~ q(z|x) of the first rows of the data; aggregate: z from a "
          "mixture of Gaussians fitted to the codes of the data (of --split train if not given)")
      ->capture_default_str();
  command->add_flag("--observations", flags->observations, "Draw x ~ p(x|z) in place of the mean E[x|z]");
  command->add_option("--components", flags->components, "Gaussians of --from aggregate; 10 if not given");
  command->add_option("--covariance", flags->covariance,
                      "full or diagonal, of --from aggregate; full if not given");
  add_data_options(*command, *flags);
}

}  // namespace felbo
