// A run's configuration: TOML and flags.
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "host/run/run_config.h"
#include "host/run/run_options.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace felbo::fuzz {
namespace {

constexpr std::int64_t kDimensions = 784;

/// A configuration that can be trained is written and read back as what it was.
void check_config(const RunConfig& config) {
  if (!accepts([&] { validate(config, kDimensions); })) return;
  const std::string text = to_toml(config);
  std::string again;
  require(accepts([&] { again = to_toml(run_config_from_toml(text, "config.toml")); }),
          "what was written can be read");
  require(again == text, "what was written is read as it was");
}

}  // namespace

void toml(std::string_view bytes) {
  accepts([&] { check_config(run_config_from_toml(std::string(bytes), "fuzz.toml")); });
}

void flags(std::string_view bytes) {
  std::vector<std::string> words;  // CLI11 takes them last to first
  for (std::size_t end = bytes.find('\n');; end = bytes.find('\n')) {
    words.insert(words.begin(), std::string(bytes.substr(0, end)));
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
  }
  RunConfig config;
  CLI::App app;
  add_run_options(app, config);
  try {
    app.parse(words);
  } catch (const CLI::ParseError&) {
    return;
  }
  check_config(config);
}

}  // namespace felbo::fuzz
