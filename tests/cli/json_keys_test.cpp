// Every key that the program prints stands, with its unit, in docs/guide/json-keys.md.
#include <cstring>
#include <regex>
#include <set>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// "weights.unreliable", "results[].name": the keys of `value`, without those of objects that the page
/// describes as a whole.
void add_keys(const json& value, const std::string& prefix, std::set<std::string>& keys) {
  if (value.is_array() && !value.empty() && value[0].is_object()) {
    for (const json& row : value) add_keys(row, prefix + "[]", keys);
  } else if (value.is_object() && prefix != "against" && prefix != "libraries" && prefix != "first") {
    for (const auto& [key, inner] : value.items())
      add_keys(inner, prefix.empty() ? key : prefix + "." + key, keys);
  } else {
    keys.insert(prefix);
  }
}

/// The page's name for the keys that each of gap's six figures has.
std::string without_figure(const std::string& key) {
  static const std::regex figure(
      "(exact\\.)?(log_px|elbo_best|elbo|gap|approximation_gap|amortisation_gap)"
      "(_stderr|_interval|_sampling_stderr)?");
  std::smatch parts;
  if (!std::regex_match(key, parts, figure) || (parts[1].length() == 0 && parts[3].length() == 0)) return key;
  return parts[1].str() + "KEY" + parts[3].str();
}

class JsonKeys : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    write_bytes(*folder_ / "x.npy", picture_npy(100, 4, 3));
    const Words small{"--hidden", "8",  "--latent",    "2", "--epochs",  "2",
                      "--batch",  "32", "--track-gap", "1", "--threads", "1"};
    expect_keys_of(Words{"train", "--data", path("x.npy"), "--out", path("run"), "--binarize", "dynamic",
                         "--objective", "iwae", "--samples", "2"} +
                   small);
    felbo_json(Words{"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--out",
                     path("linear"), "--hidden", "none", "--epochs", "1"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return *folder_ / name; }

  static void expect_on_page(const std::string& what, const json& object) {
    const std::string page = read_bytes(std::string(FELBO_SOURCE_DIR) + "/docs/guide/json-keys.md");
    std::set<std::string> keys;
    add_keys(object, "", keys);
    EXPECT_GE(keys.size(), 2u) << what;
    for (const std::string& key : keys) {
      const bool there = has(page, "`" + key + "`") || has(page, "`" + without_figure(key) + "`");
      EXPECT_TRUE(there) << key << " of " << what << " is not in docs/guide/json-keys.md";
    }
  }
  static void expect_keys_of(const Words& arguments) { expect_on_page(arguments[0], felbo_json(arguments)); }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> JsonKeys::folder_;

TEST_F(JsonKeys, OfMetrics) {
  for (const json& line : read_metrics(path("run"))) expect_on_page("metrics.jsonl", line);
}

TEST_F(JsonKeys, OfEvaluateAndGap) {
  expect_keys_of({"evaluate", path("run"), "--samples", "30", "--ais", "5", "--chains", "2", "--bdmc"});
  expect_keys_of({"evaluate", path("linear"), "--samples", "30", "--count", "20"});
  for (const char* run : {"run", "linear"})
    expect_keys_of({"gap", path(run), "--count", "5", "--samples", "30", "--ais", "5", "--chains", "2",
                    "--fit-steps", "5", "--simulated", "5"});
}

TEST_F(JsonKeys, OfPicturesAndCodes) {
  const std::string out = path("o.npy"), run = path("run");
  expect_keys_of({"sample", run, "--count", "4", "--from", "aggregate", "--components", "2", "--out", out});
  expect_keys_of({"encode", run, "--out", out});
  expect_keys_of({"reconstruct", run, "--count", "4", "--out", out});
  expect_keys_of({"interpolate", run, "--count", "2", "--out", out});
  expect_keys_of({"traverse", run, "--out", out, "--dimensions", "2"});
  expect_keys_of({"denoise", run, "--noise", "mask:0.5", "--count", "4", "--out", out});
  expect_keys_of({"score", run, "--samples", "5", "--against", path("x.npy"), "--out", out});
}

TEST_F(JsonKeys, OfReplay) {
  const std::string run = path("stopped");
  std::string rows = float_npy(40, 3, -1, 1);
  const float outlier = 1e22f;  // its square has no room in a float
  std::memcpy(rows.data() + (rows.size() - sizeof outlier), &outlier, sizeof outlier);
  write_bytes(path("outlier.npy"), rows);
  const Outcome stopped =
      felbo({"train", "--data", path("outlier.npy"), "--out", run, "--likelihood", "gaussian", "--variance",
             "unit", "--hidden", "none", "--latent", "2", "--valid-fraction", "0", "--threads", "1"});
  ASSERT_EQ(stopped.status, 1) << stopped.err;
  expect_on_page("report.json", json::parse(read_bytes(run + "/nonfinite/report.json")));
  expect_keys_of({"replay", run});
}

TEST_F(JsonKeys, OfChecks) {
  expect_keys_of({"oracle", "--quick"});
  expect_keys_of({"oracle", "--data", "builtin:linear-gaussian", "--latent", "2"});
  expect_keys_of({"check", "--filter", "^adam", "--device", "cpu"});
  expect_keys_of({"bench", "kernels", "--filter", "adam/step/P:16384", "--repetitions", "2", "--reference"});
  expect_keys_of({"bench", "step", "--shape", "12-5-3", "--batch", "4"});
  expect_keys_of({"bench", "kernels", "--filter", "fusion/step_bernoulli/B:128/", "--repetitions", "2"});
  expect_keys_of({"bench", "train", "--epochs", "1", "--hidden", "8", "--latent", "2", "--target", "0"});
  expect_keys_of({"info"});
}

}  // namespace
}  // namespace felbo::cli
