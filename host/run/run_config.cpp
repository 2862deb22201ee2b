#include "host/run/run_config.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "kernels/common/log_var_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kMostWidth = 1'000'000;
constexpr std::size_t kMostLayers = 64;
constexpr std::int64_t kMostDimensions = std::int64_t{1} << 32;

void check_range(const char* flag, double value, double lo, double hi) {
  FELBO_CHECK(value >= lo && value <= hi, "{} must be between {} and {}, got {}", flag, lo, hi, value);
}

template <class T>
T number(std::string_view text, const char* flag, std::string_view whole) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FELBO_CHECK(error == std::errc() && end == text.data() + text.size() && !text.empty(),
              "{}: '{}' in '{}' is not a number", flag, text, whole);
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator = ',') {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

LogVarClamp clamp_bounds(const std::string& text) {
  const auto parts = split(text);
  FELBO_CHECK(parts.size() == 2, "--log-var-clamp takes two bounds LO,HI, got '{}'", text);
  const LogVarClamp clamp{number<float>(parts[0], "--log-var-clamp", text),
                          number<float>(parts[1], "--log-var-clamp", text)};
  FELBO_CHECK(clamp.lo < clamp.hi && clamp.lo >= -kMaxLogVar && clamp.hi <= kMaxLogVar,
              "--log-var-clamp needs -{0} <= LO < HI <= {0} (exp of them must be finite in float), got '{1}'",
              kMaxLogVar, text);
  return clamp;
}

LikelihoodFamily family_of(const RunConfig& config) { return likelihood_family_from_name(config.likelihood); }

Likelihood likelihood_of(const RunConfig& config, const LogVarClamp& clamp) {
  const LikelihoodFamily family = family_of(config);
  FELBO_CHECK(
      config.variance.empty() || Likelihood{.family = family}.has_variance(),
      "--variance {} goes with a likelihood that has a variance, such as --likelihood gaussian, not {}",
      config.variance, config.likelihood);
  FELBO_CHECK(!config.degrees_of_freedom || family == LikelihoodFamily::kStudentT,
              "--degrees-of-freedom {} goes with --likelihood student-t, not {}",
              config.degrees_of_freedom.value_or(0), config.likelihood);
  FELBO_CHECK(!config.categories || family == LikelihoodFamily::kCategorical,
              "--categories {} goes with --likelihood categorical, not {}", config.categories.value_or(0),
              config.likelihood);
  check_range("--categories", config.categories.value_or(1), 1, kMostCategories);
  RunConfig whole = config;
  set_family_defaults(whole);
  return likelihood_from_names(config.likelihood, whole.variance.empty() ? "learned" : whole.variance, clamp,
                               static_cast<float>(whole.degrees_of_freedom.value_or(5)),
                               whole.categories.value_or(256));
}

Posterior posterior_of(const RunConfig& config) {
  Posterior posterior{.family = posterior_family_from_name(config.posterior)};
  FELBO_CHECK(!config.flow_steps || posterior.family == PosteriorFamily::kPlanarFlow,
              "--flow-steps {} goes with --posterior planar-flow, not {}", config.flow_steps.value_or(0),
              config.posterior);
  const std::int64_t steps = config.flow_steps.value_or(posterior.flow_steps);
  check_range("--flow-steps", static_cast<double>(steps), 1, 1000);
  posterior.flow_steps = static_cast<int>(steps);
  return posterior;
}

Prior prior_of(const RunConfig& config) {
  Prior prior{.family = prior_family_from_name(config.prior)};
  FELBO_CHECK(!config.components || prior.is_mixture(),
              "--components {} goes with --prior mixture or vamp, not {}", config.components.value_or(0),
              config.prior);
  prior.components = config.components.value_or(prior.components);
  check_range("--components", static_cast<double>(prior.components), 1, 65535);
  return prior;
}

/// Binarised data are neither levels nor counts.
void check_binarize(const RunConfig& config) {
  const Observations kind = Likelihood{.family = family_of(config)}.observations();
  const bool counts = kind == Observations::kCounts, levels = kind == Observations::kLevels;
  FELBO_CHECK(config.binarize == "none" || (kind != Observations::kGrey && !counts && !levels),
              "--binarize {} makes 0 and 1 of the data, --likelihood {} is one of {}: use --binarize none",
              config.binarize, config.likelihood,
              counts ? "counts" : (levels ? "levels" : "256 levels of grey"));
}

/// The parts of a set, with their names.
template <class Set, class F>
void for_parts(Set& data, const F& f) {
  f("train", data.train);
  if (data.valid) f("valid", *data.valid);
  if (data.test) f("test", *data.test);
}

/// Calls f(row, column, value) with each value as it is stored; of sparse rows with each element.
template <class F>
void for_values(const DataPart& part, const F& f) {
  for (std::int64_t i = 0; i < part.rows; ++i) {
    if (part.is_sparse()) {
      for (std::int64_t e = part.sparse->begin[i]; e < part.sparse->begin[i + 1]; ++e)
        f(i, std::int64_t{part.sparse->column[e]}, part.sparse->value[e]);
      continue;
    }
    for (std::int64_t j = 0; j < part.cols; ++j)
      f(i, j, part.is_bytes() ? static_cast<float>(part.byte_view()(i, j)) : part.float_view()(i, j));
  }
}

/// Throws unless `fits` every value of the part; `expected` ends the message.
template <class F>
void check_each(const DataSet& data, const char* name, const DataPart& part, const std::string& expected,
                const F& fits) {
  for_values(part, [&](std::int64_t i, std::int64_t j, float value) {
    FELBO_CHECK(fits(value), "{}: {} part, row {}, column {} (from 0): {}, but {}", data.spec, name, i, j,
                value, expected);
  });
}
template <class F>
void check_floats(const DataSet& data, const char* name, const DataPart& part, const std::string& expected,
                  const F& fits) {
  if (!part.is_bytes()) check_each(data, name, part, expected, fits);
}

/// The number of levels that the data have, or --categories; throws unless every value is one of them.
int levels_of(const RunConfig& config, const DataSet& data) {
  check_range("--categories", config.categories.value_or(1), 1, kMostCategories);
  float largest = config.categories ? static_cast<float>(*config.categories - 1) : 0.0f;
  const float limit = config.categories ? largest : static_cast<float>(kMostCategories - 1);
  for_parts(data, [&](const char* name, const DataPart& part) {
    FELBO_CHECK(!part.is_sparse(),
                "{}: the {} part is sparse rows, but --likelihood categorical needs a dense array of levels",
                data.spec, name);
    const std::string expected = fmt::format("--likelihood categorical needs levels 0, 1, 2, ... up to {}{}",
                                             limit, config.categories ? " (--categories)" : "");
    check_each(data, name, part, expected,
               [&](float v) { return v >= 0.0f && v <= limit && v == std::floor(v); });
    for_values(part, [&](std::int64_t, std::int64_t, float v) { largest = std::max(largest, v); });
  });
  return static_cast<int>(largest) + 1;
}

/// Counts above this are whole numbers whatever they were.
constexpr float kMostCount = 16777216.0f;

void check_values(const RunConfig& config, const DataSet& data, Observations kind) {
  for_parts(data, [&](const char* name, const DataPart& part) {
    const std::string likelihood = "--likelihood " + config.likelihood;
    if (kind == Observations::kUnitInterval) {
      const DataSummary summary = summarize(part);
      FELBO_CHECK(summary.min >= 0.0f && summary.max <= 1.0f,
                  "{}: values from {} to {}, but {} needs them in [0, 1]; scale the data or use --likelihood "
                  "gaussian",
                  data.spec, summary.min, summary.max, likelihood);
    } else if (kind == Observations::kGrey) {
      check_floats(data, name, part, likelihood + " needs bytes, or floats k / 255 with k = 0 ... 255",
                   [](float v) {
                     return v >= 0.0f && v <= 1.0f && std::abs(255.0f * v - std::round(255.0f * v)) < 1e-3f;
                   });
    } else if (kind == Observations::kCounts) {
      check_floats(data, name, part, likelihood + " needs counts: 0, 1, 2, ... up to 2^24",
                   [](float v) { return v >= 0.0f && v <= kMostCount && v == std::floor(v); });
    }
  });
}

/// What several stochastic layers go with.
void check_layers(const RunConfig& config, const VaeConfig& model) {
  if (model.above.empty()) return;
  FELBO_CHECK(model.posterior.family == PosteriorFamily::kDiagonalGaussian &&
                  model.prior.family == PriorFamily::kStandardNormal,
              "--latent {}: several stochastic layers go with --posterior diagonal-gaussian and --prior "
              "standard-normal, not {} and {}: each layer is a diagonal Gaussian given the next, and the "
              "layers above are the prior that is learned",
              config.latent, config.posterior, config.prior);
  FELBO_CHECK(config.precision != "bf16",
              "--latent {}: --precision bf16 goes with one stochastic layer; use tf32", config.latent);
}

/// Bytes of the parameters with Adam's moments and gradient, and of what a step keeps a row.
double bytes_needed(const VaeConfig& c, double rows) {
  double parameters = 0, row = 0;
  const auto add = [&](std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t out) {
    std::vector<std::int64_t> widths = hidden;
    widths.push_back(out);
    for (const std::int64_t width : widths) {
      parameters += static_cast<double>(in + 1) * static_cast<double>(width);
      row += 2.0 * static_cast<double>(width);
      in = width;
    }
  };
  add(c.dimensions, c.hidden, c.posterior.outputs(c.latent));
  if (c.prior.is_mixture()) {
    const double components = static_cast<double>(c.prior.components);
    parameters += components * (c.prior.family == PriorFamily::kVamp ? static_cast<double>(c.dimensions)
                                                                     : 2.0 * static_cast<double>(c.latent));
    row += components;
  }
  add(c.latent, {c.hidden.rbegin(), c.hidden.rend()}, c.likelihood.outputs() * c.dimensions);
  std::int64_t below = c.latent;
  for (const LayerConfig& layer : c.above) {
    add(below, layer.hidden, 2 * layer.latent);
    add(layer.latent, {layer.hidden.rbegin(), layer.hidden.rend()}, 2 * below);
    row += 2.0 * static_cast<double>(layer.latent + below);  // h, and gradients
    below = layer.latent;
  }
  const double pseudo = c.prior.family == PriorFamily::kVamp ? static_cast<double>(c.prior.components) : 0.0;
  return 16.0 * parameters + 4.0 * (rows + pseudo) * (row + static_cast<double>(c.dimensions + 4 * c.latent));
}

/// auto, cpu, cuda or cuda:N.
bool is_device(std::string_view text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  if (!text.starts_with("cuda:")) return false;
  text.remove_prefix(5);
  unsigned index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  return error == std::errc() && end == text.data() + text.size();
}

/// Whether the name of the data comes back from config.toml, which is UTF-8 text.
bool survives_toml(const RunConfig& config) {
  try {
    return run_config_from_toml(to_toml(config), "config.toml").data == config.data;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

}  // namespace

std::vector<std::int64_t> hidden_widths(const std::string& text) {
  std::vector<std::int64_t> widths;
  if (text == "none") return widths;
  for (const std::string_view part : split(text)) {
    const auto width = number<std::int64_t>(part, "--hidden", text);
    FELBO_CHECK(width >= 1 && width <= kMostWidth,
                "--hidden: a layer must be 1 to {} wide, got {} (none: no hidden layer)", kMostWidth, width);
    widths.push_back(width);
  }
  FELBO_CHECK(widths.size() <= kMostLayers, "--hidden: at most {} layers, got {}", kMostLayers,
              widths.size());
  return widths;
}

Binarize binarize_mode(const RunConfig& config) {
  if (config.binarize == "none") return Binarize::kNone;
  if (config.binarize == "dynamic") return Binarize::kDynamic;
  if (config.binarize == "threshold") return Binarize::kThreshold;
  throw std::invalid_argument(
      fmt::format("--binarize must be none, dynamic or threshold, got '{}'", config.binarize));
}

std::vector<LayerConfig> stochastic_layers(const RunConfig& config) {
  const auto latents = split(config.latent);
  const auto hidden = split(config.hidden, '/');
  FELBO_CHECK(latents.size() <= 1 + std::size_t{kMostLayersAbove},
              "--latent {}: at most {} stochastic layers", config.latent, 1 + kMostLayersAbove);
  FELBO_CHECK(hidden.size() == 1 || hidden.size() == latents.size(),
              "--hidden {} names the layers of {} stochastic layers, --latent {} has {}", config.hidden,
              hidden.size(), config.latent, latents.size());
  std::vector<LayerConfig> layers;
  for (std::size_t l = 0; l < latents.size(); ++l) {
    const auto latent = number<std::int64_t>(latents[l], "--latent", config.latent);
    check_range("--latent", static_cast<double>(latent), 1, kMostWidth);
    layers.push_back({latent, hidden_widths(std::string(hidden.size() == 1 ? hidden[0] : hidden[l]))});
  }
  return layers;
}

Precision precision(const RunConfig& config) { return precision_from_name(config.precision); }

VaeConfig vae_config(const RunConfig& config, std::int64_t dimensions) {
  const std::vector<LayerConfig> layers = stochastic_layers(config);
  VaeConfig c;
  c.dimensions = dimensions;
  c.latent = layers[0].latent;
  c.hidden = layers[0].hidden;
  c.above.assign(layers.begin() + 1, layers.end());
  c.activation = activation_from_name(config.activation);
  c.clamp = clamp_bounds(config.log_var_clamp);
  c.likelihood = likelihood_of(config, c.clamp);
  c.posterior = posterior_of(config);
  c.prior = prior_of(config);
  FELBO_CHECK(
      c.prior.family != PriorFamily::kVamp || c.posterior.family == PosteriorFamily::kDiagonalGaussian,
      "--prior vamp goes with --posterior diagonal-gaussian, not {}: its components are posteriors, "
      "and those of a mixture are diagonal Gaussians",
      config.posterior);
  FELBO_CHECK(
      config.precision != "bf16" ||
          (c.prior.is_standard() && c.posterior.family == PosteriorFamily::kDiagonalGaussian),
      "--precision bf16 goes with --posterior diagonal-gaussian and --prior standard-normal or uniform, "
      "not {} and {}; use tf32",
      config.posterior, config.prior);
  check_layers(config, c);
  return c;
}

LrSchedule lr_schedule(const RunConfig& config) {
  return LrSchedule::parse(config.lr_schedule, config.lr, config.epochs, config.warmup_epochs);
}

BetaSchedule beta_schedule(const RunConfig& config) {
  return BetaSchedule::parse(config.beta_schedule, config.beta);
}

/// What goes with which objective, and why what does not is refused.
void check_objective(const RunConfig& config) {
  const TrainingObjective objective = training_objective_from_name(config.objective);
  check_range("--free-bits", config.free_bits, 0, 1e6);
  VaeConfig model;  // as far as objectives go
  model.posterior = posterior_of(config);
  model.prior = prior_of(config);
  model.above.resize(stochastic_layers(config).size() - 1);
  check_objective(objective, config.free_bits, model);
  FELBO_CHECK(beta_schedule(config).is_one() || !has_importance_weights(objective),
              "--objective {} goes with --beta 1 throughout: with the KL weighed otherwise log mean w is no "
              "bound on log p(x); use --objective elbo or elbo-mc",
              config.objective);
}

OnNonFinite on_non_finite(const RunConfig& config) {
  if (config.on_nonfinite == "stop") return OnNonFinite::kStop;
  if (config.on_nonfinite == "skip") return OnNonFinite::kSkip;
  throw std::invalid_argument(
      fmt::format("--on-nonfinite must be stop or skip, got '{}'", config.on_nonfinite));
}

TrainingStepOptions training_options(const RunConfig& config) {
  check_objective(config);
  check_range("--batch", static_cast<double>(config.batch), 1, 1 << 24);
  check_range("--samples", static_cast<double>(config.samples), 1, 1 << 20);
  // The step computes in float: what rounds to 1 or to 0 there is out of range.
  FELBO_CHECK(config.adam_beta1 >= 0 && static_cast<float>(config.adam_beta1) < 1,
              "--adam-beta1 must be at least 0 and below 1, got {}", config.adam_beta1);
  FELBO_CHECK(config.adam_beta2 >= 0 && static_cast<float>(config.adam_beta2) < 1,
              "--adam-beta2 must be at least 0 and below 1, got {}", config.adam_beta2);
  FELBO_CHECK(static_cast<float>(config.adam_epsilon) > 0 && config.adam_epsilon <= 1,
              "--adam-epsilon must be above 0 and at most 1, got {}", config.adam_epsilon);
  FELBO_CHECK(config.clip_norm == 0 || (config.clip_norm >= 1e-6 && config.clip_norm <= 1e15),
              "--clip-norm must be 0 (none) or from 1e-6 to 1e15, got {}", config.clip_norm);
  return {.max_batch = config.batch,
          .samples = static_cast<int>(config.samples),
          .objective = training_objective_from_name(config.objective),
          .free_bits = static_cast<float>(config.free_bits),
          .binarize = binarize_mode(config),
          .seed = config.seed,
          .adam_beta1 = static_cast<float>(config.adam_beta1),
          .adam_beta2 = static_cast<float>(config.adam_beta2),
          .adam_epsilon = static_cast<float>(config.adam_epsilon),
          .clip_norm = config.clip_norm,
          .on_non_finite = on_non_finite(config),
          .track_norm = config.track_norm};
}

std::int64_t held_out_samples(const RunConfig& config) {
  return has_importance_weights(training_options(config).objective) ? config.samples : 1;
}

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

bool writes_events(const RunConfig& config) {
  FELBO_CHECK(config.events == "none" || config.events == "tensorboard",
              "--events must be none or tensorboard, got '{}'", config.events);
  return config.events == "tensorboard";
}

void validate(const RunConfig& config, std::int64_t dimensions) {
  FELBO_CHECK(dimensions >= 1 && dimensions <= kMostDimensions, "data must have 1 to {} dimensions, got {}",
              kMostDimensions, dimensions);
  vae_config(config, dimensions);
  training_options(config);
  lr_schedule(config);
  precision(config);
  check_binarize(config);
  FELBO_CHECK(is_device(config.device), "--device must be auto, cpu or cuda[:N], got '{}'", config.device);
  data_place_from_name(config.data_on);
  FELBO_CHECK(survives_toml(config),
              "--data {}: config.toml cannot hold this name; give the data a name in plain UTF-8 text, for "
              "instance by a symbolic link",
              config.data);
  FELBO_CHECK(config.save_every >= 1, "--save-every must be at least 1, got {}", config.save_every);
  FELBO_CHECK(config.save_steps >= 0, "--save-steps must be 0 or more steps, got {}", config.save_steps);
  FELBO_CHECK(config.keep >= 1, "--keep must be at least 1, got {}", config.keep);
  FELBO_CHECK(config.track_gap >= 0, "--track-gap must be 0 or more epochs, got {}", config.track_gap);
  writes_events(config);
}

std::int64_t memory_beside_data(const RunConfig& config, std::int64_t dimensions, std::int64_t rows) {
  const double batch =
      static_cast<double>(std::min(config.batch, rows)) * static_cast<double>(config.samples);
  // An evaluation takes this many rows at once.
  return static_cast<std::int64_t>(
      bytes_needed(vae_config(config, dimensions), batch + std::min(1024.0, static_cast<double>(rows))));
}

void check_memory(const RunConfig& config, std::int64_t dimensions, std::int64_t rows) {
  const double batch =
      static_cast<double>(std::min(config.batch, rows)) * static_cast<double>(config.samples);
  const double needed = bytes_needed(vae_config(config, dimensions), batch);
  FELBO_CHECK(needed < physical_memory(),
              "the model and its batch need about {:.1f} GiB, this machine has {:.1f} GiB: lower --hidden, "
              "--latent, --batch, --samples, --components or --categories",
              needed / (1 << 30), physical_memory() / (1 << 30));
}

void set_family_defaults(RunConfig& config) {
  const LikelihoodFamily family = family_of(config);
  if (config.variance.empty() && Likelihood{.family = family}.has_variance()) config.variance = "learned";
  if (!config.degrees_of_freedom && family == LikelihoodFamily::kStudentT) config.degrees_of_freedom = 5.0;
  if (!config.flow_steps && config.posterior == "planar-flow") config.flow_steps = Posterior().flow_steps;
  if (!config.components && (config.prior == "mixture" || config.prior == "vamp")) {
    config.components = Prior().components;
  }
}

void scale_data(const RunConfig& config, DataSet& data) {
  const Observations kind = Likelihood{.family = family_of(config)}.observations();
  float divisor = 1.0f;
  if (kind == Observations::kLevels) {
    data.levels = levels_of(config, data);
    divisor = static_cast<float>(std::max(data.levels - 1, 1));
  } else if (kind != Observations::kCounts) {
    return;
  }
  for_parts(data, [=](const char*, DataPart& part) {
    part.divisor = divisor;
    for (float& level : part.floats) level /= divisor;
  });
}

void set_categories(RunConfig& config, const DataSet& data) {
  if (family_of(config) == LikelihoodFamily::kCategorical && !config.categories)
    config.categories = data.levels;
}

std::string check_domain(const RunConfig& config, const DataSet& data) {
  if (config.likelihood != "bernoulli") {
    check_values(config, data, Likelihood{.family = family_of(config)}.observations());
    return {};
  }
  bool grey = false;
  for (const DataPart* part :
       {&data.train, data.valid ? &*data.valid : nullptr, data.test ? &*data.test : nullptr}) {
    if (part == nullptr) continue;
    const DataSummary summary = summarize(*part);
    FELBO_CHECK(
        summary.min >= 0.0f && summary.max <= 1.0f,
        "{}: values from {} to {}, but a Bernoulli likelihood needs them in [0, 1]; scale the data or use "
        "--likelihood gaussian",
        data.spec, summary.min, summary.max);
    grey = grey || !summary.all_binary;
  }
  if (!grey || binarize_mode(config) != Binarize::kNone) return {};
  return "the pixels are grey, not 0 or 1: under a Bernoulli likelihood the figures are a cross-entropy, not "
         "a log-likelihood, and "
         "not comparable with published ones. Use --binarize dynamic (or threshold), or --likelihood "
         "gaussian.";
}

}  // namespace felbo
