// What the verbs that use a trained run share: their flags, the run with data to apply it to, and the model
// on a device.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/evaluate/generate.h"

namespace felbo {

/// Every such verb has these; a verb's own are derived from them.
struct ApplyFlags {
  std::filesystem::path run;
  std::filesystem::path out;
  std::string data;
  std::string split;
  CommonFlags common;
};

/// A data set and which of its parts is meant, as part_by_name() takes it.
struct ChosenData {
  DataSet data;
  std::string split;

  NamedPart named_part() const { return part_by_name(data, split); }
  const DataPart& part() const { return *named_part().part; }
};

/// A run with data to apply it to.
struct RunOnData {
  LoadedRun run;
  ChosenData chosen;

  NamedPart named_part() const { return chosen.named_part(); }
  const DataPart& part() const { return chosen.part(); }
};

/// The run, and the part that --data and --split name; `split` stands for no --split. Throws
/// std::invalid_argument where they do not fit.
RunOnData load_run_on_data(const ApplyFlags& flags, const std::string& split = "");

/// Throws std::invalid_argument, with the flag, unless `count` rows of `cols` columns fit into this machine's
/// memory.
void check_fits_memory(const char* flag, std::int64_t count, std::int64_t cols);

/// check_picture_output(); and for .png throws std::invalid_argument where what the run's likelihood observes
/// has no grey level.
void check_picture(const RunConfig& config, const PictureOutput& output);

/// These rows of a part as a model sees them, before any binarisation: (rows, X).
std::vector<float> rows_of(const DataPart& part, const std::vector<std::int64_t>& rows);

/// A run's parameters on an Exec, and what they make of data or of codes.
template <class Exec>
struct Model {
  Model(const Exec& exec, LoadedRun& run, std::uint64_t seed)
      : exec(exec), run(run), seed(seed), state(state_on(exec, run.vae, std::move(run.state))) {}

  Encoded encode(const DataPart& part, std::int64_t count, bool keep_x) const {
    return encode(part, count, keep_x, binarize_mode(run.config));
  }
  Encoded encode(const DataPart& part, std::int64_t count, bool keep_x, Binarize binarize) const {
    return felbo::encode(exec, run.vae, state.parameters.view(), ResidentData<Exec>(exec, part), count,
                         binarize, seed, keep_x);
  }
  std::vector<float> decode(const std::vector<float>& z) const {
    return felbo::decode(exec, run.vae, state.parameters.view(), z);
  }
  std::vector<float> draw_data(const std::vector<float>& z) const {
    return felbo::draw_data(exec, run.vae, state.parameters.view(), z, seed);
  }

  const Exec& exec;
  const LoadedRun& run;
  std::uint64_t seed;
  ModelState<Exec> state;
};

/// Calls f(model) with the run on the device asked for.
template <class F>
auto with_model(const ApplyFlags& flags, LoadedRun& run, const F& f) {
  return with_device(flags.common.device, [&]<class Exec>(const Exec& exec) {
    return f(Model<Exec>(exec, run, flags.common.seed.value_or(run.config.seed)));
  });
}

/// The subcommand `name`, with what all have but --out and the data; its callback is run(flags).
template <class Flags>
CLI::App* add_apply_command(CLI::App& app, const char* name, const char* help,
                            const std::shared_ptr<Flags>& flags, void (*run)(const Flags&)) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("RUN", flags->run, "Folder of a run")->required();
  add_common_options(*command, flags->common);
  command->callback([flags, run] { run(*flags); });
  return command;
}
void add_picture_out_option(CLI::App& command, ApplyFlags& flags);
void add_data_options(CLI::App& command, ApplyFlags& flags);

}  // namespace felbo
