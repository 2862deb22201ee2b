#include "host/run/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "host/run/run_folder.h"
#include "host/run/safetensors.h"
#include "host/run/test_files.h"
#include "kernels/common/noise_stream.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;

RunConfig config_of() {
  RunConfig c;
  c.data = "set.npy";
  c.hidden = "9,5";
  c.latent = "3";
  c.likelihood = "gaussian";
  c.variance = "per-dimension";
  c.lr = 0.1 + 0.2;
  c.seed = ~std::uint64_t{0};
  return c;
}
constexpr std::int64_t kDimensions = 12;
constexpr ImageShape kShape{3, 4};

const CpuExec kExec(1);

/// A model whose every parameter and moment is a random word, NaNs, infinities and subnormals among them.
struct Trained {
  explicit Trained(const RunConfig& config = config_of())
      : config(config), vae(vae_config(config, kDimensions)), state(kExec, vae) {
    std::uint32_t which = 0;
    for (const auto* buffer : {&state.parameters, &state.m, &state.v}) {
      ++which;
      for (const ParameterEntry& entry : vae.table().entries()) {
        for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
          const Words4 words =
              NoiseStream{7, which, Purpose::kInit}.words(static_cast<std::uint32_t>(i), 0, 0);
          std::memcpy(buffer->data() + i, &words.w[0], sizeof(float));
        }
      }
    }
    state.parameters.host()[0] = -0.0f;
    state.parameters.host()[1] = std::numeric_limits<float>::quiet_NaN();
    state.parameters.host()[2] = std::numeric_limits<float>::denorm_min();
    state.step = (std::int64_t{1} << 40) + 3;
    state.epoch = 17;
  }
  void save(const std::filesystem::path& run) const {
    save_checkpoint(run_files(run).checkpoint, config, kShape, vae, state, progress, "{}");
  }

  RunConfig config;
  Vae vae;
  ModelState<CpuExec> state;
  // Sums that no decimal of few digits holds.
  RunProgress progress{.steps = 3,
                       .totals = {.log_px_given_z = -1.0 / 3,
                                  .kl = 1e-300,
                                  .elbo = -0.1,
                                  .bound = std::numeric_limits<double>::denorm_min(),
                                  .count = 384,
                                  .clamped = (std::int64_t{1} << 40) + 1},
                       .seconds = 0.3,
                       .best_epoch = 12,
                       .best_elbo = -97.1 / 7};
};

bool same_bits(const Buffer<CpuExec, float>& a, const Buffer<CpuExec, float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<std::size_t>(a.size())) == 0;
}

TEST(Checkpoint, KeepsEveryBit) {
  for (const char* variance : {"unit", "learned", "per-dimension", "per-element"}) {
    const TempFolder run;
    RunConfig config = config_of();
    config.variance = variance;
    const Trained model(config);
    model.save(run.path());
    EXPECT_EQ(run.names(), std::vector<std::string>{"checkpoint.safetensors"});
    const LoadedRun loaded = load_run(run.path());
    EXPECT_TRUE(same_bits(loaded.state.parameters, model.state.parameters));
    EXPECT_TRUE(same_bits(loaded.state.m, model.state.m));
    EXPECT_TRUE(same_bits(loaded.state.v, model.state.v));
    EXPECT_EQ(loaded.state.step, model.state.step);
    EXPECT_EQ(loaded.state.epoch, model.state.epoch);
    EXPECT_EQ(loaded.progress.steps, 3);
    EXPECT_EQ(loaded.progress.totals.log_px_given_z, -1.0 / 3);
    EXPECT_EQ(loaded.progress.totals.kl, 1e-300);
    EXPECT_EQ(loaded.progress.totals.elbo, -0.1);
    EXPECT_EQ(loaded.progress.totals.bound, std::numeric_limits<double>::denorm_min());
    EXPECT_EQ(loaded.progress.totals.count, 384);
    EXPECT_EQ(loaded.progress.totals.clamped, (std::int64_t{1} << 40) + 1);
    EXPECT_EQ(loaded.progress.seconds, 0.3);
    EXPECT_EQ(loaded.progress.best_epoch, 12);
    EXPECT_EQ(loaded.progress.best_elbo, -97.1 / 7);
    EXPECT_EQ(loaded.ledger, "{}");
    EXPECT_EQ(loaded.shape, kShape);
    EXPECT_EQ(to_toml(loaded.config), to_toml(config));
    EXPECT_EQ(loaded.config.lr, config.lr);
    EXPECT_EQ(loaded.config.seed, config.seed);
    EXPECT_EQ(loaded.vae.config().dimensions, kDimensions);
  }
}

// The bytes are a function of the model: saved, loaded and saved again they are the same.
TEST(Checkpoint, SavingWhatWasLoadedGivesTheSameFile) {
  const TempFolder run, again;
  const Trained model;
  model.save(run.path());
  const LoadedRun loaded = load_run(run.path());
  save_checkpoint(run_files(again.path()).checkpoint, loaded.config, loaded.shape, loaded.vae, loaded.state,
                  loaded.progress, loaded.ledger);
  EXPECT_EQ(read_bytes(run_files(run.path()).checkpoint), read_bytes(run_files(again.path()).checkpoint));
}

TEST(Checkpoint, OtherProgramsFindTheTensorsByName) {
  const TempFolder run;
  const Trained model;
  model.save(run.path());
  const SafetensorsFile file(run_files(run.path()).checkpoint);
  EXPECT_EQ(file.names().size(), 3 * model.vae.table().entries().size());
  for (const ParameterEntry& entry : model.vae.table().entries()) {
    const float* parameter = file.tensor(entry.name, entry.shape).data();
    const float* v = file.tensor("adam.v." + entry.name, entry.shape).data();
    const auto bytes = sizeof(float) * static_cast<std::size_t>(entry.size);
    EXPECT_EQ(std::memcmp(parameter, model.state.parameters.data() + entry.offset, bytes), 0) << entry.name;
    EXPECT_EQ(std::memcmp(v, model.state.v.data() + entry.offset, bytes), 0) << entry.name;
  }
  EXPECT_EQ(file.metadata("seed"), "18446744073709551615");
  EXPECT_EQ(file.metadata("step"), "1099511627779");
  EXPECT_EQ(file.metadata("epoch"), "17");
  EXPECT_EQ(file.metadata("dimensions"), "12");
}

/// Rewrites the checkpoint of `run` with other metadata, or without some tensors.
void rewrite(const std::filesystem::path& run, const std::map<std::string, std::string>& changes,
             const std::string& without = "") {
  const std::filesystem::path path = run_files(run).checkpoint;
  const SafetensorsFile file(path);
  std::map<std::string, std::string> metadata = file.metadata();
  for (const auto& [key, value] : changes) {
    if (value == "(none)") {
      metadata.erase(key);
    } else {
      metadata[key] = value;
    }
  }
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : file.names()) {
    if (name != without) tensors.push_back({name, file.shape(name), file.tensor(name, file.shape(name))});
  }
  write_safetensors(path, tensors, metadata);
}

TEST(Checkpoint, WhatDoesNotFitItselfIsRefused) {
  RunConfig wider = config_of();
  wider.latent = "4";
  RunConfig impossible = config_of();
  impossible.activation = "swish";
  struct Bad {
    std::map<std::string, std::string> changes;
    const char* message;
  };
  const std::vector<Bad> cases{
      {{{"format", "felbo-checkpoint-9"}}, "format 'felbo-checkpoint-9'"},
      {{{"format", "(none)"}}, "'format' is missing"},
      {{{"config", "(none)"}}, "'config' is missing"},
      {{{"config", "latent = "}}, "(config), line 1: not TOML"},
      {{{"config", "colour = 1"}}, "unknown key 'colour'"},
      {{{"config", to_toml(wider)}}, "has shape"},
      {{{"config", to_toml(impossible)}}, "swish"},
      {{{"dimensions", "13"}, {"height", "0"}, {"width", "0"}}, "has shape"},
      {{{"dimensions", "0"}, {"height", "0"}, {"width", "0"}}, "1 to 4294967296 dimensions, got 0"},
      {{{"dimensions", "-4"}}, "dimensions is '-4', not a count"},
      {{{"dimensions", "4294967297"}, {"height", "0"}, {"width", "0"}}, "1 to 4294967296 dimensions"},
      {{{"dimensions", "9223372036854775807"}}, "dimensions is '9223372036854775807', not a count"},
      {{{"step", "9007199254740993"}}, "step is '9007199254740993', not a count"},
      {{{"dimensions", "4294967296"}, {"height", "0"}, {"width", "0"}},
       "[12, 9], [4294967296, 9] was expected"},
      {{{"step", "1.5"}}, "step is '1.5', not a count"},
      {{{"step", ""}}, "step is '', not a count"},
      {{{"step", "9223372036854775808"}}, "step is '9223372036854775808', not a count"},
      {{{"epoch", "2147483648"}}, "epoch is '2147483648', not a count"},
      {{{"epoch_steps", "-1"}}, "epoch_steps is '-1', not a count"},
      {{{"epoch_kl", "much"}}, "epoch_kl is 'much', not a number"},
      {{{"epoch_count", "(none)"}}, "'epoch_count' is missing"},
      {{{"best_elbo", "(none)"}}, "'best_elbo' is missing"},
      {{{"height", "5"}}, "pictures of 5 x 4"},
  };
  for (const Bad& bad : cases) {
    const TempFolder run;
    Trained().save(run.path());
    rewrite(run.path(), bad.changes);
    EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(run.path()); }), bad.message));
  }
  // Rewritten with nothing changed it loads: each refusal above is for its own reason.
  const TempFolder run;
  Trained().save(run.path());
  rewrite(run.path(), {});
  EXPECT_NO_THROW(load_run(run.path()));
}

TEST(Checkpoint, AMissingMomentIsNamed) {
  for (const char* name : {"adam.m.encoder.1.bias", "adam.v.likelihood.log_var", "decoder.0.weight"}) {
    const TempFolder run;
    Trained().save(run.path());
    rewrite(run.path(), {}, name);
    EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(run.path()); }),
                    std::string("there is no tensor '") + name + "'"));
  }
}

TEST(Checkpoint, ATensorThatTheModelHasNotIsNamed) {
  const TempFolder run;
  Trained().save(run.path());
  const std::filesystem::path path = run_files(run.path()).checkpoint;
  const SafetensorsFile file(path);
  const std::vector<float> wings{1, 2};
  std::vector<TensorToWrite> tensors{{"encoder.7.wings", {2}, wings}};
  for (const std::string& name : file.names())
    tensors.push_back({name, file.shape(name), file.tensor(name, file.shape(name))});
  write_safetensors(path, tensors, file.metadata());
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(run.path()); }),
                  "has no tensor 'encoder.7.wings', shape [2]"));
}

TEST(Checkpoint, AFileMayBeNamedItself) {
  const TempFolder run;
  Trained().save(run.path());
  EXPECT_EQ(load_run(run / "checkpoint.safetensors").state.epoch, 17);
}

// A file that the first version wrote: two epochs of 157 steps on builtin:linear-gaussian.
TEST(Checkpoint, TheFirstFormatIsRead) {
  const std::filesystem::path file =
      std::filesystem::path(FELBO_SOURCE_DIR) / "tests/data/checkpoint-1.safetensors";
  const LoadedRun loaded = load_run(file);
  EXPECT_EQ(loaded.state.epoch, 2);
  EXPECT_EQ(loaded.state.step, 314);
  EXPECT_EQ(loaded.config.seed, 3u);
  EXPECT_EQ(loaded.config.latent, "1");
  EXPECT_EQ(loaded.config.keep, 1);
  EXPECT_EQ(loaded.shape, (ImageShape{8, 8}));
  EXPECT_EQ(loaded.progress.steps, 0);
  EXPECT_EQ(loaded.progress.best_epoch, 0);
  EXPECT_EQ(loaded.ledger, "");
  const TempFolder run;
  std::string damaged = read_bytes(file);
  damaged[damaged.size() - 9] ^= 1;
  write_bytes(run / "checkpoint.safetensors", damaged);
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(run.path()); }), "tensors are damaged"));
}

TEST(Checkpoint, ADamagedFileIsRefused) {
  const TempFolder run;
  Trained().save(run.path());
  const std::filesystem::path path = run_files(run.path()).checkpoint;
  const std::string good = read_bytes(path);
  for (const std::size_t cut : {std::size_t{0}, std::size_t{7}, std::size_t{100}, good.size() - 1}) {
    write_bytes(path, good.substr(0, cut));
    EXPECT_THROW(load_run(run.path()), std::invalid_argument) << cut;
  }
  for (const std::size_t at : {std::size_t{40}, good.size() / 2, good.size() - 3}) {
    std::string bad = good;
    bad[at] ^= 4;
    write_bytes(path, bad);
    EXPECT_THROW(load_run(run.path()), std::invalid_argument) << at;
  }
  write_bytes(path, good);
  EXPECT_NO_THROW(load_run(run.path()));
}

TEST(Checkpoint, AFolderWithoutOneIsNoRun) {
  const TempFolder folder;
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(folder / "absent"); }), "holds no run"));
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(folder.path()); }), "holds no run"));
  write_bytes(folder / "config.toml", "");
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { load_run(folder.path()); }),
                  "stopped before its first checkpoint"));
}

}  // namespace
}  // namespace felbo
