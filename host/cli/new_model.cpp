#include "host/cli/new_model.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "host/run/run_options.h"
#include "host/train/trainer.h"

namespace felbo {
namespace {

std::string read_text(const std::filesystem::path& path) {
  constexpr std::size_t kMost = 1 << 20;
  std::ifstream in(path, std::ios::binary);
  FELBO_CHECK(in.good() && !std::filesystem::is_directory(path), "--config {}: cannot be read",
              path.string());
  std::string text(kMost + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  FELBO_CHECK(!in.bad(), "--config {}: cannot be read", path.string());
  FELBO_CHECK(text.size() <= kMost, "--config {}: longer than {} bytes; expected the flags of a run in TOML",
              path.string(), kMost);
  return text;
}

DataMoments moments(const DataPart& train, const Likelihood& likelihood) {
  DataMoments m{column_means(train), mean_column_variance(train), {}};
  if (likelihood.family == LikelihoodFamily::kCategorical)
    m.level_shares = level_shares(train, likelihood.categories);
  return m;
}

}  // namespace

NewModel new_model(RunConfig config, bool fraction_given) {
  DataSet data = load_run_data(config.data, config, fraction_given);
  set_categories(config, data);
  validate(config, data.train.cols);
  check_memory(config, data.train.cols, data.train.rows);
  warn_of_domain(config, data);
  check_steps(config, data.train.rows);
  config.epochs = lr_schedule(config).epochs();
  set_family_defaults(config);
  Vae vae(vae_config(config, data.train.cols));
  ModelState<CpuExec> state(CpuExec(1), vae);
  const DataMoments of_train = moments(data.train, vae.config().likelihood);
  std::ranges::copy(initial_parameters(vae, of_train, config.seed), state.parameters.data());
  return {std::move(config), std::move(data), std::move(vae), std::move(state)};
}

void check_steps(const RunConfig& config, std::int64_t rows) {
  const std::int64_t steps = steps_per_epoch(rows, config.batch);
  const int epochs = lr_schedule(config).epochs();
  FELBO_CHECK(steps * epochs < std::int64_t{1} << 32,
              "{} epochs of {} steps: the noise counter has room for 2^32 steps; lower --epochs or raise "
              "--batch",
              epochs, steps);
}

void complete_config(CLI::App& command, const std::filesystem::path& file, const RunConfig& config) {
  if (!file.empty()) apply_toml(command, read_text(file), file.string());
  FELBO_CHECK(command.get_option("--lr")->count() == 0 || lr_schedule(config).uses_base_rate(),
              "--lr {}: the schedule {} has rates of its own", config.lr, config.lr_schedule);
}

}  // namespace felbo
