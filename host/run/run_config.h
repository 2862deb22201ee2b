// What a training run was asked for: every flag of `felbo train` that decides its result. RUN/config.toml and
// the checkpoint hold it; reading it back runs the same run again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/data/dataset.h"
#include "host/exec/data_place.h"
#include "host/exec/precision.h"
#include "host/model/vae.h"
#include "host/train/beta_schedule.h"
#include "host/train/lr_schedule.h"
#include "host/train/training_step.h"

namespace felbo {

struct RunConfig {
  std::string data;
  double valid_fraction = 0.1;
  std::string binarize = "none";

  std::string hidden = "500";
  std::string latent = "20";
  std::string activation = "relu";
  std::string likelihood = "bernoulli";
  std::string variance;                      // empty: learned where the likelihood has one
  std::optional<double> degrees_of_freedom;  // of student-t; empty: 5 there
  std::optional<int> categories;             // of categorical; empty: as many as the data have levels
  std::string posterior = "diagonal-gaussian";
  std::optional<std::int64_t> flow_steps;  // of planar-flow; empty: 8 there
  std::string prior = "standard-normal";
  std::optional<std::int64_t> components;  // of mixture and vamp; empty: 100 there
  std::string log_var_clamp = "-20,20";

  std::string objective = "elbo";
  std::int64_t samples = 1;
  double beta = 1.0;
  std::string beta_schedule = "constant";
  double free_bits = 0.0;

  std::optional<int> epochs;
  std::int64_t batch = 128;
  double lr = 1e-3;
  std::string lr_schedule = "constant";
  double warmup_epochs = 0.0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double clip_norm = 0.0;  // 0: the gradient is left alone
  std::string on_nonfinite = "stop";
  bool track_norm = false;

  std::uint64_t seed = 0;
  int save_every = 1;
  std::int64_t save_steps = 0;  // steps from one checkpoint to the next within an epoch; 0: none there
  int keep = 1;                 // checkpoints of the run's way that are kept
  int track_gap = 0;            // epochs from one estimate of log p(x) to the next; 0: none
  std::string events = "none";
  int threads = 0;
  std::string device = "auto";
  std::string data_on = "auto";
  std::string precision = "fp32";
};

/// The text as TOML, one flag a line under the flag's name.
std::string to_toml(const RunConfig& config);
/// The inverse. `where` names the text in errors. Throws std::invalid_argument with the line of an unknown
/// key or a value that does not fit.
RunConfig run_config_from_toml(const std::string& text, const std::string& where);

/// The parts of a run that the configuration decides. Each throws std::invalid_argument that names the flag,
/// its value and what it may be.
VaeConfig vae_config(const RunConfig& config, std::int64_t dimensions);
LrSchedule lr_schedule(const RunConfig& config);
BetaSchedule beta_schedule(const RunConfig& config);
TrainingStepOptions training_options(const RunConfig& config);
/// Samples a datum of the held-out figure in training: where it is a bound with importance weights, those of
/// the bound that training maximises; else 1.
std::int64_t held_out_samples(const RunConfig& config);
Binarize binarize_mode(const RunConfig& config);
/// Whether each epoch also goes into an event file, for TensorBoard.
bool writes_events(const RunConfig& config);
/// Of training's matrix products.
Precision precision(const RunConfig& config);
/// "none" is no hidden layer; else positive widths with commas between them.
std::vector<std::int64_t> hidden_widths(const std::string& text);
/// The stochastic layers, h1 first: --latent names their dimensions with commas between them, --hidden the
/// widths of each one's encoder with slashes between them, or once for all.
std::vector<LayerConfig> stochastic_layers(const RunConfig& config);

/// Bytes of memory that this machine has.
double physical_memory();

/// All checks that need neither data nor memory.
void validate(const RunConfig& config, std::int64_t dimensions);
/// Bytes of device memory that training on `rows` data and evaluating need beside the data, about.
std::int64_t memory_beside_data(const RunConfig& config, std::int64_t dimensions, std::int64_t rows);
/// Throws std::invalid_argument unless training on `rows` data (a batch is at most that) fits this machine's
/// memory. What is trained may be evaluated on less.
void check_memory(const RunConfig& config, std::int64_t dimensions, std::int64_t rows);
/// Fills in what a likelihood, posterior or prior takes where nothing is said: --variance,
/// --degrees-of-freedom, --flow-steps and --components.
void set_family_defaults(RunConfig& config);
/// Has bytes counted, not divided by 255, where the likelihood is one of counts; and levels k, bytes or
/// floats, divided by K - 1 where it is categorical: K is --categories, or else the largest level of all
/// parts and 1, and stands in data.levels. Throws std::invalid_argument, with row and column, for what is no
/// level.
void scale_data(const RunConfig& config, DataSet& data);
/// Takes --categories from the data that scale_data() has seen, where it is not given and needed.
void set_categories(RunConfig& config, const DataSet& data);
/// Whether the data can be the likelihood's: throws std::invalid_argument for values outside [0, 1] under a
/// (continuous) Bernoulli, for floats that are not k / 255 under a discretised logistic, and for counts that
/// are negative or not whole, with row and column. Returns a warning where the figures would not be
/// log-likelihoods (grey values under Bernoulli, not binarised), else an empty string.
std::string check_domain(const RunConfig& config, const DataSet& data);

}  // namespace felbo
