#include "host/run/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>
#include <vector>

#include "host/run/run_folder.h"
#include "host/run/safetensors.h"

namespace felbo {
namespace {

constexpr const char* kFormat = "felbo-checkpoint-1";

/// A file that does not hold the model that its configuration asks for is refused before that model's memory
/// is taken.
void check_tensors(const SafetensorsFile& file, const Vae& vae) {
  for (const char* prefix : {"", "adam.m.", "adam.v."}) {
    for (const ParameterEntry& entry : vae.table().entries()) file.tensor(prefix + entry.name, entry.shape);
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
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FELBO_CHECK(error == std::errc() && end == text.data() + text.size() && value >= 0,
              "{}: the metadata entry {} is '{}', not a count", path.string(), key, text);
  return value;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const RunConfig& config, ImageShape shape,
                     const Vae& vae, const ModelState<CpuExec>& state) {
  std::vector<TensorToWrite> tensors;
  for_each_buffer(state, [&](const std::string& prefix, const Buffer<CpuExec, float>& buffer) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      tensors.push_back({prefix + entry.name, entry.shape,
                         buffer.host().subspan(static_cast<std::size_t>(entry.offset),
                                               static_cast<std::size_t>(entry.size))});
    }
  });
  write_safetensors(path, tensors,
                    {{"format", kFormat},
                     {"dimensions", std::to_string(vae.config().dimensions)},
                     {"height", std::to_string(shape.height)},
                     {"width", std::to_string(shape.width)},
                     {"step", std::to_string(state.step)},
                     {"epoch", std::to_string(state.epoch)},
                     {"seed", std::to_string(config.seed)},
                     {"config", to_toml(config)}});
}

LoadedRun load_run(const std::filesystem::path& run) {
  const std::filesystem::path path = run_files(run).checkpoint;
  FELBO_CHECK(
      std::filesystem::exists(path) || !std::filesystem::exists(run_files(run).config),
      "{}: the run was stopped before its first {}; begin it again with `felbo train --config {} --out "
      "{} --force`",
      run.string(), path.filename().string(), run_files(run).config.string(), run.string());
  FELBO_CHECK(std::filesystem::exists(path),
              "{} holds no run: there is no {}; train one with `felbo train --out {}`", run.string(),
              path.filename().string(), run.string());
  const SafetensorsFile file(path);
  const std::string& format = file.metadata("format");
  FELBO_CHECK(format == kFormat, "{}: format '{}', this felbo reads {}", path.string(), format, kFormat);
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
  check_tensors(file, vae);
  ModelState<CpuExec> state(CpuExec(1), vae);
  for_each_buffer(state, [&](const std::string& prefix, const Buffer<CpuExec, float>& buffer) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      std::ranges::copy(file.tensor(prefix + entry.name, entry.shape), buffer.data() + entry.offset);
    }
  });
  state.step = counter<std::int64_t>(file, "step", path);
  state.epoch = counter<int>(file, "epoch", path);
  return {config, shape, std::move(vae), std::move(state)};
}

}  // namespace felbo
