#include "host/run/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "host/run/run_folder.h"
#include "host/run/safetensors.h"

namespace felbo {
namespace {

constexpr const char* kFormat = "felbo-checkpoint-2";
/// What load_run() reads. 1: without a place in the epoch, a best epoch and a ledger; checked by CRCs.
constexpr const char* kFormats[] = {"felbo-checkpoint-1", kFormat};

/// A file that does not hold the model that its configuration asks for is refused before that model's memory
/// is taken.
void check_tensors(const SafetensorsFile& file, const Vae& vae, const std::filesystem::path& path) {
  std::set<std::string> known;
  for (const char* prefix : {"", "adam.m.", "adam.v."}) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      file.tensor(prefix + entry.name, entry.shape);
      known.insert(prefix + entry.name);
    }
  }
  for (const std::string& name : file.names()) {
    FELBO_CHECK(known.contains(name), "{}: the model of its configuration has no tensor '{}', shape [{}]",
                path.string(), name, fmt::join(file.shape(name), ", "));
  }
}

/// The three buffers under the prefixes of their tensors.
template <class F>
void for_each_buffer(const ModelState<CpuExec>& state, const F& f) {
  f("", state.parameters);
  f("adam.m.", state.m);
  f("adam.v.", state.v);
}

template <class T>
T counter(const SafetensorsFile& file, const std::string& key, const std::filesystem::path& path) {
  const std::string& text = file.metadata(key);
  constexpr std::int64_t kMost = std::int64_t{1} << 53;  // sums and products with others stay in range
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FELBO_CHECK(
      error == std::errc() && end == text.data() + text.size() && value >= 0 && std::int64_t{value} <= kMost,
      "{}: the metadata entry {} is '{}', not a count", path.string(), key, text);
  return value;
}

double real(const SafetensorsFile& file, const std::string& key, const std::filesystem::path& path) {
  const std::string& text = file.metadata(key);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FELBO_CHECK(error == std::errc() && end == text.data() + text.size(),
              "{}: the metadata entry {} is '{}', not a number", path.string(), key, text);
  return value;
}

using Metadata = std::map<std::string, std::string>;

/// Real numbers as the shortest text that reads back to the same bits.
void add_progress(Metadata& metadata, const RunProgress& p) {
  const auto add = [&](const char* key, auto value) { metadata[key] = fmt::format("{}", value); };
  if (p.best_epoch > 0) {
    add("best_epoch", p.best_epoch);
    add("best_elbo", p.best_elbo);
  }
  if (p.steps == 0) return;
  add("epoch_steps", p.steps);
  add("epoch_elbo", p.totals.elbo);
  add("epoch_log_px_given_z", p.totals.log_px_given_z);
  add("epoch_kl", p.totals.kl);
  add("epoch_bound", p.totals.bound);
  add("epoch_count", p.totals.count);
  add("epoch_clamped", p.totals.clamped);
  add("epoch_norm_sum", p.totals.norm_sum);
  add("epoch_norm_max", p.totals.norm_max);
  add("epoch_steps_taken", p.totals.steps);
  add("epoch_clipped_steps", p.totals.clipped_steps);
  add("epoch_skipped_steps", p.totals.skipped_steps);
  add("epoch_skipped_data", p.totals.skipped_data);
  add("epoch_seconds", p.seconds);
}

RunProgress read_progress(const SafetensorsFile& file, const std::filesystem::path& path) {
  const auto whole = [&](const char* key) { return counter<std::int64_t>(file, key, path); };
  RunProgress p;
  if (file.metadata().contains("best_epoch")) {
    p.best_epoch = counter<int>(file, "best_epoch", path);
    p.best_elbo = real(file, "best_elbo", path);
  }
  if (!file.metadata().contains("epoch_steps")) return p;
  p.steps = whole("epoch_steps");
  p.totals = {.log_px_given_z = real(file, "epoch_log_px_given_z", path),
              .kl = real(file, "epoch_kl", path),
              .elbo = real(file, "epoch_elbo", path),
              .bound = real(file, "epoch_bound", path),
              .count = whole("epoch_count"),
              .clamped = whole("epoch_clamped")};
  if (file.metadata().contains("epoch_norm_sum")) {  // else the file is older than these
    p.totals.norm_sum = real(file, "epoch_norm_sum", path);
    p.totals.norm_max = real(file, "epoch_norm_max", path);
    p.totals.steps = whole("epoch_steps_taken");
    p.totals.clipped_steps = whole("epoch_clipped_steps");
    p.totals.skipped_steps = whole("epoch_skipped_steps");
    p.totals.skipped_data = whole("epoch_skipped_data");
  }
  p.seconds = real(file, "epoch_seconds", path);
  return p;
}

/// The file of a run, or the file that was named itself.
std::filesystem::path file_of(const std::filesystem::path& run) {
  if (std::filesystem::is_regular_file(run)) return run;
  std::filesystem::path path = run_files(run).checkpoint;
  FELBO_CHECK(
      std::filesystem::exists(path) || !std::filesystem::exists(run_files(run).config),
      "{}: the run was stopped before its first {}; begin it again with `felbo train --config {} --out "
      "{} --force`",
      run.string(), path.filename().string(), run_files(run).config.string(), run.string());
  FELBO_CHECK(std::filesystem::exists(path),
              "{} holds no run: there is no {}; train one with `felbo train --out {}`", run.string(),
              path.filename().string(), run.string());
  return path;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const RunConfig& config, ImageShape shape,
                     const Vae& vae, const ModelState<CpuExec>& state, const RunProgress& progress,
                     const std::string& ledger) {
  std::vector<TensorToWrite> tensors;
  for_each_buffer(state, [&](const std::string& prefix, const Buffer<CpuExec, float>& buffer) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      tensors.push_back({prefix + entry.name, entry.shape,
                         buffer.host().subspan(static_cast<std::size_t>(entry.offset),
                                               static_cast<std::size_t>(entry.size))});
    }
  });
  Metadata metadata{{"format", kFormat},
                    {"dimensions", std::to_string(vae.config().dimensions)},
                    {"height", std::to_string(shape.height)},
                    {"width", std::to_string(shape.width)},
                    {"step", std::to_string(state.step)},
                    {"epoch", std::to_string(state.epoch)},
                    {"seed", std::to_string(config.seed)},
                    {"config", to_toml(config)}};
  add_progress(metadata, progress);
  if (!ledger.empty()) metadata["ledger"] = ledger;
  write_safetensors(path, tensors, metadata);
}

LoadedRun load_run(const std::filesystem::path& run) {
  const std::filesystem::path path = file_of(run);
  const SafetensorsFile file(path);
  const std::string& format = file.metadata("format");
  FELBO_CHECK(std::ranges::count(kFormats, format) > 0, "{}: format '{}', this felbo reads {}", path.string(),
              format, fmt::join(kFormats, " and "));
  const RunConfig config = run_config_from_toml(file.metadata("config"), path.string() + " (config)");
  const auto dimensions = counter<std::int64_t>(file, "dimensions", path);
  const ImageShape shape{counter<std::int64_t>(file, "height", path),
                         counter<std::int64_t>(file, "width", path)};
  FELBO_CHECK(shape == ImageShape{} || (shape.height > 0 && dimensions % shape.height == 0 &&
                                        dimensions / shape.height == shape.width),
              "{}: pictures of {} x {} do not have {} dimensions", path.string(), shape.height, shape.width,
              dimensions);
  validate(config, dimensions);
  Vae vae(vae_config(config, dimensions));
  check_tensors(file, vae, path);
  ModelState<CpuExec> state(CpuExec(1), vae);
  for_each_buffer(state, [&](const std::string& prefix, const Buffer<CpuExec, float>& buffer) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      std::ranges::copy(file.tensor(prefix + entry.name, entry.shape), buffer.data() + entry.offset);
    }
  });
  state.step = counter<std::int64_t>(file, "step", path);
  state.epoch = counter<int>(file, "epoch", path);
  const auto ledger = file.metadata().find("ledger");
  return {config,
          shape,
          std::move(vae),
          std::move(state),
          read_progress(file, path),
          ledger == file.metadata().end() ? std::string() : ledger->second};
}

}  // namespace felbo
