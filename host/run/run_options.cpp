#include "host/run/run_options.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr const char* kData = "Data";
constexpr const char* kModel = "Model";
constexpr const char* kObjective = "Objective";
constexpr const char* kOptimiser = "Optimiser";
constexpr const char* kRun = "Run";

/// Decimal text that a flag reads back to the same bits. The shortest text nearly always does, but CLI11
/// reads through long double, which rounds twice and may end at a neighbour.
std::string real_text(double value) {
  const std::string shortest = fmt::format("{}", value);
  const auto read_back = static_cast<double>(std::strtold(shortest.c_str(), nullptr));
  return read_back == value ? shortest : fmt::format("{:.17g}", value);
}

/// Whether the flag is one of true and false.
bool is_truth(const CLI::Option& option) { return option.get_type_name() == "BOOLEAN"; }

std::string scalar_text(const toml::node& node, const std::string& key, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return real_text(number->get());
  throw std::invalid_argument(
      fmt::format("{}, line {}: '{}' must be a number, a text in quotes or a list of numbers", where,
                  node.source().begin.line, key));
}

std::string value_text(const toml::node& node, const CLI::Option& option, const std::string& where) {
  const std::string key = option.get_lnames().front();
  if (const auto* truth = node.as_boolean(); truth != nullptr && is_truth(option))
    return truth->get() ? "true" : "false";
  const auto* array = node.as_array();
  if (array == nullptr) return scalar_text(node, key, where);
  std::vector<std::string> parts;
  for (const toml::node& element : *array) parts.push_back(scalar_text(element, key, where));
  return fmt::format("{}", fmt::join(parts, ","));
}

/// A bare number stays a number in TOML if it is read back as the same text, and so does a truth; all else is
/// a quoted text.
std::string toml_value(const CLI::Option& option, const std::string& text) {
  if (is_truth(option)) return text;
  try {
    const toml::table parsed = toml::parse("v = " + text);
    if (parsed["v"].is_number() && scalar_text(*parsed["v"].node(), "v", "") == text) return text;
  } catch (const toml::parse_error&) {
  }
  std::ostringstream quoted;
  quoted << toml::value<std::string>(text);
  return quoted.str();
}

/// A flag for a real number whose default prints in full: CLI11 rounds to six digits, and a run that is read
/// back from its configuration would then not be the same run.
CLI::Option* add_real(CLI::App& app, const char* name, double& value, const char* help) {
  CLI::Option* option = app.add_option(name, value, help);
  option->default_function([&value] { return real_text(value); });
  return option->capture_default_str();
}

/// A flag that is true or false, and whose default prints so.
CLI::Option* add_truth(CLI::App& app, const char* name, bool& value, const char* help) {
  CLI::Option* option = app.add_option(name, value, help);
  option->default_function([&value] { return std::string(value ? "true" : "false"); });
  return option->capture_default_str();
}

std::string optional_text(std::int64_t value) { return fmt::format("{}", value); }
std::string optional_text(int value) { return fmt::format("{}", value); }
std::string optional_text(double value) { return real_text(value); }

/// A flag that may be left out; its default prints as nothing until it has a value.
template <class T>
CLI::Option* add_optional(CLI::App& app, const char* name, std::optional<T>& value, const char* help) {
  CLI::Option* option = app.add_option(name, value, help);
  option->default_function([&value] { return value ? optional_text(*value) : std::string(); });
  return option->capture_default_str();
}

/// What the command line gives for a flag, or "".
std::string given_text(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option(name);
  return option->count() > 0 ? option->results().back() : "";
}

/// Whether --variance goes with the likelihood; false for one that is not known, which is refused elsewhere.
bool takes_variance(const std::string& likelihood) {
  try {
    return Likelihood{.family = likelihood_family_from_name(likelihood)}.has_variance();
  } catch (const std::invalid_argument&) {
    return false;
  }
}

/// The keys of a file that would contradict what the command line gives: there, they do not count.
std::set<std::string> overruled_keys(const CLI::App& app) {
  std::set<std::string> keys;
  const std::string schedule = given_text(app, "--lr-schedule"), likelihood = given_text(app, "--likelihood");
  const bool stages = schedule.starts_with("stages:");
  if (stages) keys.insert("epochs");
  if (stages && schedule.find('@') != std::string::npos) keys.insert("lr");
  if (!likelihood.empty() && !takes_variance(likelihood)) keys.insert("variance");
  if (!likelihood.empty() && likelihood != "student-t") keys.insert("degrees-of-freedom");
  const std::string posterior = given_text(app, "--posterior"), prior = given_text(app, "--prior");
  if (!posterior.empty() && posterior != "planar-flow") keys.insert("flow-steps");
  if (!prior.empty() && prior != "mixture" && prior != "vamp") keys.insert("components");
  if (!likelihood.empty() && likelihood != "categorical") keys.insert("categories");
  return keys;
}

}  // namespace

void add_run_options(CLI::App& app, RunConfig& c) {
  app.option_defaults()->always_capture_default();
  app.add_option(
         "--data", c.data,
         "Data set: a folder of IDX files, an IDX file (plain or .gz), a .npy file, a .npz file of sparse "
         "rows (scipy.sparse.save_npz, csr), builtin:glyphs or builtin:linear-gaussian")
      ->group(kData);
  add_real(app, "--valid-fraction", c.valid_fraction,
           "Share of the rows held out where the set has no part of its own for that; 0 evaluates on "
           "the training rows")
      ->group(kData);
  app.add_option("--binarize", c.binarize,
                 "Grey pixels to 0 or 1: none; dynamic (at each visit, with the intensity as probability); "
                 "threshold (at 0.5)")
      ->group(kData);
  app.add_option("--hidden", c.hidden,
                 "Widths of the encoder's hidden layers, e.g. 500,500; the decoder has them in reverse; "
                 "none for a linear model. With several stochastic layers those of each, e.g. "
                 "200,200/100,100, or the same for all")
      ->group(kModel);
  app.add_option("--latent", c.latent,
                 "Dimensions of z; of several stochastic layers from h1, next to the data, on, e.g. 100,50")
      ->check(check_latent, "", "latent")
      ->group(kModel);
  app.add_option("--activation", c.activation, "relu, tanh, gelu, softplus, sigmoid or identity")
      ->group(kModel);
  app.add_option(
         "--likelihood", c.likelihood,
         "p(x|z): " + likelihood_names() +
             "; discretized-logistic is for bytes of grey, categorical for levels 0, 1, 2, ...; poisson, the "
             "negative binomials and multinomial (over each row) are for counts. Bytes of levels and counts "
             "are taken as they are")
      ->group(kModel);
  app.add_option(
         "--variance", c.variance,
         "Variance of the likelihoods that have one: unit, fixed:V, learned (one; taken if not given), "
         "per-dimension, or per-element (given by the decoder). The squared scale of laplace, student-t and "
         "discretized-logistic; the dispersion alpha (Var = mu + alpha mu^2) of negative binomials")
      ->group(kModel);
  add_optional(app, "--degrees-of-freedom", c.degrees_of_freedom, "nu of student-t (5 if not given)")
      ->group(kModel);
  app.add_option("--posterior", c.posterior,
                 "q(z|x): diagonal-gaussian, isotropic-gaussian, full-covariance-gaussian or planar-flow")
      ->group(kModel);
  add_optional(app, "--flow-steps", c.flow_steps, "Steps of planar-flow (8 if not given)")->group(kModel);
  app.add_option(
         "--prior", c.prior,
         "p(z): standard-normal; diagonal-gaussian (learned); uniform (on the unit cube); mixture (of "
         "learned Gaussians); vamp (of the posteriors of learned pseudo-inputs)")
      ->group(kModel);
  add_optional(app, "--components", c.components, "Components of mixture and vamp (100 if not given)")
      ->group(kModel);
  add_optional(app, "--categories", c.categories,
               "K of categorical: the data are levels 0 ... K - 1 (as many as the data have if not given)")
      ->group(kModel);
  app.add_option("--log-var-clamp", c.log_var_clamp, "Bounds LO,HI of every log-variance")->group(kModel);
  app.add_option(
         "--objective", c.objective,
         "What training maximises: elbo (the KL in closed form); elbo-mc (the ELBO by samples alone); stl "
         "(the same, its gradient through z alone); iwae (the importance-weighted bound of --samples "
         "samples); dreg (the same, its gradient doubly reparameterised)")
      ->group(kObjective);
  app.add_option("--samples", c.samples, "Samples of z a datum and step")->group(kObjective);
  add_real(app, "--beta", c.beta, "Weight of the KL in the training loss")->group(kObjective);
  app.add_option(
         "--beta-schedule", c.beta_schedule,
         "constant; linear:EPOCHS (from 0 to beta over them); cyclic:EPOCHS@SHARE (every EPOCHS from 0 to "
         "beta over the first SHARE of them, 0.5 if not given)")
      ->group(kObjective);
  add_real(
      app, "--free-bits", c.free_bits,
      "Nats of KL that each dimension of z has free: the loss holds the larger of this and its mean KL over "
      "the batch")
      ->group(kObjective);
  add_optional(app, "--epochs", c.epochs, "Passes over the data (20 if the schedule does not say)")
      ->group(kOptimiser);
  app.add_option("--batch", c.batch, "Data a step")->group(kOptimiser);
  add_real(app, "--lr", c.lr, "Learning rate of Adam")->group(kOptimiser);
  app.add_option("--lr-schedule", c.lr_schedule,
                 "constant; cosine (to 0 at the end); stages:N (the first N of the IWAE paper's 8: "
                 "3^(i-1) epochs at lr 10^(-(i-1)/7)); stages:EPOCHS@LR,EPOCHS@LR,...")
      ->group(kOptimiser);
  add_real(app, "--warmup-epochs", c.warmup_epochs, "Epochs over which the rate rises linearly to its value")
      ->group(kOptimiser);
  add_real(app, "--adam-beta1", c.adam_beta1, "Decay of Adam's first moment")->group(kOptimiser);
  add_real(app, "--adam-beta2", c.adam_beta2, "Decay of Adam's second moment")->group(kOptimiser);
  add_real(app, "--adam-epsilon", c.adam_epsilon, "Adam's epsilon")->group(kOptimiser);
  add_real(app, "--clip-norm", c.clip_norm,
           "A gradient whose L2 norm is above this is scaled down to it; 0: none is")
      ->group(kOptimiser);
  app.add_option(
         "--on-nonfinite", c.on_nonfinite,
         "At a step whose loss or gradient is NaN or infinite: stop (and leave RUN/nonfinite for `felbo "
         "replay RUN`); skip (go on without that step, and count it)")
      ->group(kOptimiser);
  add_truth(app, "--track-norm", c.track_norm,
            "true: the L2 norm of each step's gradient goes into metrics.jsonl, for one more reading of the "
            "gradient (--clip-norm and --on-nonfinite skip read it anyway)")
      ->group(kOptimiser);
  app.add_option("--seed", c.seed, "Names every random number of the run")
      ->check(check_seed, "", "seed")
      ->group(kRun);
  app.add_option("--save-every", c.save_every,
                 "Epochs from one checkpoint to the next; the last epoch always saves")
      ->group(kRun);
  app.add_option("--save-steps", c.save_steps,
                 "Steps from one checkpoint to the next within an epoch; 0: only at ends of epochs")
      ->group(kRun);
  app.add_option(
         "--keep", c.keep,
         "Keep the last N checkpoints that --save-every asks for, as checkpoint-STEP.safetensors; 1: "
         "only the last, checkpoint.safetensors. The best by held-out ELBO is best.safetensors always")
      ->group(kRun);
  app.add_option("--track-gap", c.track_gap,
                 "Every this many epochs (0: never) also estimate log p(x) and KL(q(z|x) || p(z|x)) of a few "
                 "held-out data, by importance weights, as columns of metrics.jsonl")
      ->group(kRun);
  app.add_option("--events", c.events,
                 "none; tensorboard: each epoch's numbers of metrics.jsonl also go into an event file, "
                 "events.out.tfevents.felbo, for `tensorboard --logdir RUN`, as they come")
      ->group(kRun);
  app.add_option("--threads", c.threads, "CPU threads, 0 for all cores; results do not depend on it")
      ->group(kRun);
  app.add_option("--device", c.device, "auto, cpu, cuda or cuda:N")->group(kRun);
  app.add_option("--data-on", c.data_on, kDataOnHelp)->group(kRun);
  app.add_option(
         "--precision", c.precision,
         "Matrix products of training: fp32; on a GPU also tf32 (operands rounded to 10 bits) and bf16 "
         "(activations in bfloat16, parameters in float). Held-out figures and pictures are in fp32 always")
      ->group(kRun);
}

std::string check_latent(const std::string& text) {
  std::istringstream parts(text + ",");
  for (std::string part; std::getline(parts, part, ',');) {
    std::int64_t latent = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), latent);
    if (part.empty() || error != std::errc() || end != part.data() + part.size())
      return fmt::format("'{}' is not a whole number, nor several with commas between them", text);
  }
  return "";
}

std::string check_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error == std::errc() && end == text.data() + text.size()) return "";
  return fmt::format("'{}' is not a whole number from 0 to 2^64 - 1", text);
}

void apply_toml(CLI::App& app, const std::string& text, const std::string& where) {
  // Only the flags of a run may stand in a file; --out, --force and their like belong to a command.
  CLI::App run_flags;
  RunConfig unused;
  run_flags.set_help_flag();
  add_run_options(run_flags, unused);
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw std::invalid_argument(
        fmt::format("{}, line {}: not TOML: {}", where, error.source().begin.line, error.description()));
  }
  const std::set<std::string> overruled = overruled_keys(app);
  for (const auto& [key_node, node] : table) {
    const std::string key(key_node.str());
    const auto line = node.source().begin.line;
    FELBO_CHECK(run_flags.get_option_no_throw("--" + key) != nullptr,
                "{}, line {}: unknown key '{}'; the keys are the flags of `felbo train` without their "
                "dashes, such as "
                "latent = 20 (see `felbo train --help`)",
                where, line, key);
    CLI::Option* option = app.get_option("--" + key);
    if (option->count() > 0 || overruled.contains(key)) continue;  // the command line wins
    try {
      option->add_result(value_text(node, *option, where));
      option->run_callback();
    } catch (const CLI::Error& error) {
      throw std::invalid_argument(fmt::format("{}, line {}: {}", where, line, error.what()));
    }
  }
}

std::string to_toml(const RunConfig& config) {
  RunConfig copy = config;
  CLI::App app;
  app.set_help_flag();
  add_run_options(app, copy);
  const bool uses_lr = lr_schedule(config).uses_base_rate();
  std::string text = "# A felbo run. `felbo train --config FILE --out RUN` runs it again.\n";
  std::string group;
  for (const CLI::Option* option : app.get_options()) {
    const std::string value = option->get_default_str();
    if (value.empty() || (option->get_name() == "--lr" && !uses_lr)) continue;
    if (option->get_group() != group) {
      group = option->get_group();
      text += fmt::format("\n# {}\n", group);
    }
    text += fmt::format("{} = {}\n", option->get_lnames().front(), toml_value(*option, value));
  }
  return text;
}

RunConfig run_config_from_toml(const std::string& text, const std::string& where) {
  RunConfig config;
  CLI::App app;
  add_run_options(app, config);
  apply_toml(app, text, where);
  return config;
}

}  // namespace felbo
