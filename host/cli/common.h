// What several verbs share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/device.h"
#include "host/data/dataset.h"
#include "host/evaluate/evaluate.h"
#include "host/run/checkpoint.h"
#include "host/run/run_config.h"

namespace felbo {

/// The flags that every verb on a trained run has.
struct CommonFlags {
  std::optional<std::uint64_t> seed;
  DeviceRequest device;
  bool json = false;
};
void add_common_options(CLI::App& command, CommonFlags& flags);
/// --data-on, for verbs that read a data set.
void add_data_on_option(CLI::App& command, CommonFlags& flags);

/// Writes out what standard output still holds. A result that could not be printed is a failure, not a
/// success with nothing to read: throws std::runtime_error.
void flush_output();

/// Prints the object on one line of standard output (with `indent` >= 0 on several) and flushes it, as
/// flush_output() does. A path need not be UTF-8, JSON must be: other bytes become U+FFFD.
void print_json(const nlohmann::ordered_json& json, int indent = -1);

/// A part of a data set and its name: train, valid or test.
struct NamedPart {
  std::string name;
  const DataPart* part;
};
/// What an epoch is judged on: valid, else test, else (with nothing held out) train.
NamedPart held_out_part(const DataSet& data);
/// `split` = train, valid or test; "" takes test, else valid, else train. Throws std::invalid_argument if the
/// set has no such part.
NamedPart part_by_name(const DataSet& data, const std::string& split);

/// Loads the data that a run's figures are computed on, holding out what the run held out. Throws
/// std::invalid_argument for a fraction that the user asked for (`fraction_given`) where the set brings a
/// part of its own to judge by.
DataSet load_run_data(const std::string& spec, const RunConfig& config, bool fraction_given = false);

/// Throws std::invalid_argument unless the data have the columns that the model was made for.
void check_width(const DataSet& data, const Vae& vae);

/// Before long work: throws std::invalid_argument if a file cannot be written because its folder does not
/// exist or it is a folder itself. An empty name is fine.
void check_can_write(const std::filesystem::path& out);

/// Throws std::invalid_argument for a run of several stochastic layers; `what` names what is for one alone.
void check_one_layer(const LoadedRun& run, const std::string& what);

/// check_domain(), its warning logged.
void warn_of_domain(const RunConfig& config, const DataSet& data);

/// Evaluates a part as the run's binarisation says.
template <class Exec>
Evaluation evaluate_part(const Exec& exec, const RunConfig& config, const Vae& vae,
                         const ModelState<Exec>& state, const DataPart& part, std::int64_t samples,
                         std::uint64_t seed) {
  const ResidentData<Exec> data(exec, part);
  return evaluate(exec, vae, state.parameters.view(), data, {samples, binarize_mode(config), seed});
}

/// log p(x) under the distribution that the data came from, and how far below it the ELBO is, where that is
/// known.
struct ExactGap {
  Estimate exact_log_px;
  Estimate gap;  // exact log p(x) - ELBO, its standard error from the paired differences
};
std::optional<ExactGap> exact_gap(const DataPart& part, const Evaluation& evaluation);

/// Adds `exact_log_px`, `gap` and their standard errors to `json`, where known.
void add_exact(nlohmann::ordered_json& json, const std::optional<ExactGap>& exact);

/// The evaluation for a person, a line a figure.
std::string describe(const Evaluation& evaluation, const std::string& part,
                     const std::optional<ExactGap>& exact);

/// JSON has no NaN: null stands for it.
nlohmann::ordered_json json_number(double value);

/// Rows (N, cols) as a PNG grid or as .npy of `npy_shape`, by the ending of `out`. For .png the model's data
/// must be pictures. `pairs`, if not empty, are shown above the rows. Throws std::invalid_argument for
/// another ending.
struct PictureOutput {
  std::filesystem::path out;
  ImageShape shape;
};
void check_picture_output(const PictureOutput& output);
void write_rows(const PictureOutput& output, const std::vector<float>& rows,
                const std::vector<float>& originals, std::int64_t cols);

}  // namespace felbo
