// sample, reconstruct, encode: what a trained model shows.
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
#include "host/report/npy_writer.h"

namespace felbo {
namespace {

struct PictureFlags {
  std::filesystem::path run;
  std::filesystem::path out;
  std::string data;
  std::string split;
  std::string from = "prior";
  std::int64_t count = 0;
  CommonFlags common;
};

constexpr std::int64_t kMostRows = 100'000'000;

/// The rows of a picture or an array are made in memory, and written from there.
void check_fits_memory(std::int64_t count, std::int64_t cols) {
  const double needed = 8.0 * static_cast<double>(count) * static_cast<double>(cols);
  FELBO_CHECK(needed < physical_memory(),
              "--count {}: {} columns a row need about {:.1f} GiB, this machine has {:.1f} GiB", count, cols,
              needed / (1 << 30), physical_memory() / (1 << 30));
}

void done(const PictureFlags& flags, std::int64_t count) {
  if (flags.common.json) {
    print_json({{"out", flags.out.string()}, {"count", count}});
  } else {
    fmt::print("{} rows in {}\n", count, flags.out.string());
  }
}

/// A run with a part of a data set to apply it to.
struct RunOnData {
  LoadedRun run;
  DataSet data;
  const DataPart* part = nullptr;
};

RunOnData load(const PictureFlags& flags) {
  RunOnData r{load_run(flags.run), {}, nullptr};
  r.data = load_run_data(flags.data.empty() ? r.run.config.data : flags.data, r.run.config);
  r.part = part_by_name(r.data, flags.split).part;
  check_width(r.data, r.run.vae);
  warn_of_domain(r.run.config, r.data);
  return r;
}

/// A run's parameters on an Exec, and what they make of data or of draws.
template <class Exec>
struct Model {
  Model(const Exec& exec, LoadedRun& run, std::uint64_t seed)
      : exec(exec), run(run), seed(seed), state(state_on(exec, run.vae, std::move(run.state))) {}

  Encoded encode(const DataPart& part, std::int64_t count, bool keep_x) const {
    return felbo::encode(exec, run.vae, state.parameters.view(), ResidentData<Exec>(exec, part), count,
                         binarize_mode(run.config), seed, keep_x);
  }
  std::vector<float> decode(const std::vector<float>& z) const {
    return felbo::decode(exec, run.vae, state.parameters.view(), z);
  }

  const Exec& exec;
  const LoadedRun& run;
  std::uint64_t seed;
  ModelState<Exec> state;
};

/// Calls f(model) with the run on the device asked for.
template <class F>
auto with_model(const PictureFlags& flags, LoadedRun& run, const F& f) {
  return with_device(flags.common.device, [&]<class Exec>(const Exec& exec) {
    return f(Model<Exec>(exec, run, flags.common.seed.value_or(run.config.seed)));
  });
}

void sample_posterior(const PictureFlags& flags) {
  RunOnData r = load(flags);
  check_picture_output({flags.out, r.part->shape});
  const std::vector<float> rows = with_model(flags, r.run, [&](const auto& model) {
    return model.decode(
        draw_posterior(model.exec, r.run.vae, model.encode(*r.part, flags.count, false), model.seed));
  });
  write_rows({flags.out, r.part->shape}, rows, {}, r.part->cols);
}

void sample_prior(const PictureFlags& flags) {
  FELBO_CHECK(flags.data.empty() && flags.split.empty(),
              "--data and --split go with --from posterior: draws from the prior see no data");
  LoadedRun run = load_run(flags.run);
  check_picture_output({flags.out, run.shape});
  check_fits_memory(flags.count, run.vae.config().dimensions);
  const std::vector<float> rows = with_model(flags, run, [&](const auto& model) {
    return model.decode(
        draw_prior(model.exec, run.vae, model.state.parameters.view(), flags.count, model.seed));
  });
  write_rows({flags.out, run.shape}, rows, {}, run.vae.config().dimensions);
}

void run_sample(const PictureFlags& flags) {
  FELBO_CHECK(flags.from == "prior" || flags.from == "posterior",
              "--from must be prior or posterior, got '{}'", flags.from);
  FELBO_CHECK(flags.count >= 1 && flags.count <= kMostRows, "--count must be between 1 and {}, got {}",
              kMostRows, flags.count);
  flags.from == "posterior" ? sample_posterior(flags) : sample_prior(flags);
  done(flags, flags.count);
}

void run_reconstruct(const PictureFlags& flags) {
  RunOnData r = load(flags);
  check_picture_output({flags.out, r.part->shape});
  const auto [originals, rows] = with_model(flags, r.run, [&](const auto& model) {
    Encoded encoded = model.encode(*r.part, flags.count, true);
    return std::pair(std::move(encoded.x), model.decode(encoded.code()));
  });
  write_rows({flags.out, r.part->shape}, rows, originals, r.part->cols);
  done(flags, flags.count);
}

void run_encode(const PictureFlags& flags) {
  FELBO_CHECK(flags.out.extension() == ".npy", "--out {}: the name must end in .npy", flags.out.string());
  RunOnData r = load(flags);
  const Encoded encoded =
      with_model(flags, r.run, [&](const auto& model) { return model.encode(*r.part, r.part->rows, false); });
  std::vector<float> both = encoded.mu;
  both.insert(both.end(), encoded.log_var.begin(), encoded.log_var.end());
  write_npy(flags.out, both, {2, encoded.count, r.run.vae.config().latent});
  done(flags, encoded.count);
}

CLI::App* add_picture_command(CLI::App& app, const char* name, const char* help,
                              const std::shared_ptr<PictureFlags>& flags, void (*run)(const PictureFlags&)) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("RUN", flags->run, "Folder of a run")->required();
  command->add_option("--out", flags->out, "File to write: .png or .npy")->required();
  add_common_options(*command, flags->common);
  command->callback([flags, run] { run(*flags); });
  return command;
}

void add_data_options(CLI::App& command, PictureFlags& flags) {
  command.add_option("--data", flags.data, "Data set; the run's own if not given");
  command.add_option("--split", flags.split,
                     "train, valid or test; test, else valid, else train if not given");
}

}  // namespace

void add_sample_command(CLI::App& app) {
  auto flags = std::make_shared<PictureFlags>();
  CLI::App* command = add_picture_command(app, "sample", "Draw z and show E[x|z]: (count, X), or a picture",
                                          flags, run_sample);
  command->add_option("--count", flags->count, "How many")->required();
  command
      ->add_option("--from", flags->from,
                   "prior: z ~ p(z); posterior: z ~ q(z|x) of the first rows of the data")
      ->capture_default_str();
  add_data_options(*command, *flags);
}

void add_reconstruct_command(CLI::App& app) {
  auto flags = std::make_shared<PictureFlags>();
  CLI::App* command = add_picture_command(
      app, "reconstruct", "Data above E[x|z] at the posterior mean of z: a picture, or (2, count, X)", flags,
      run_reconstruct);
  command->add_option("--count", flags->count, "How many: the first rows of the data")->required();
  add_data_options(*command, *flags);
}

void add_encode_command(CLI::App& app) {
  auto flags = std::make_shared<PictureFlags>();
  CLI::App* command = add_picture_command(
      app, "encode", "mu and log_var of q(z|x) for every datum: .npy of shape (2, N, Z)", flags, run_encode);
  add_data_options(*command, *flags);
}

}  // namespace felbo
