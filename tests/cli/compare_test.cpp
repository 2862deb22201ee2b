// scripts/compare.py, which joins felbo's timings with its peers', as a person would run it.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

json result_of(const std::string& tool, double samples_per_second) {
  return {{"tool", tool},
          {"version", "1"},
          {"device", "cpu (2 threads)"},
          {"machine", "a processor"},
          {"results",
           {{{"name", "step/3-2-3"}, {"params", "B:4/fp32"}, {"samples_per_second", samples_per_second}}}}};
}

class Compare : public ::testing::Test {
 protected:
  /// Writes `result` and remembers the file.
  void give(const json& result) {
    const std::string path = folder_ / (std::to_string(files_.size()) + ".json");
    write_bytes(path, result.dump());
    files_.push_back(path);
  }
  Outcome compare() const {
    const std::string out = folder_ / "out", err = folder_ / "err";
    std::string command = std::string("python3 '") + FELBO_SOURCE_DIR + "/scripts/compare.py' --json";
    for (const std::string& file : files_) command += " '" + file + "'";
    const int status = std::system((command + " > '" + out + "' 2> '" + err + "'").c_str());
    return {.status = WEXITSTATUS(status), .out = read_bytes(out), .err = read_bytes(err)};
  }

  TempFolder folder_;
  Words files_;
};

TEST_F(Compare, RatiosAreThoseWithinARound) {
  for (const double drift : {1.0, 0.5, 0.25}) {  // the machine slows down
    give(result_of("felbo", 800 * drift));
    give(result_of("JAX jit", 200 * drift));
  }
  const json table = json::parse(compare().out);
  ASSERT_EQ(table["rows"].size(), 2u);
  EXPECT_EQ(table["rows"][0]["samples_per_second"], 400);
  EXPECT_EQ(table["rows"][1]["samples_per_second"], 100);
  for (const char* key : {"ratio", "ratio_least", "ratio_most"}) EXPECT_EQ(table["rows"][1][key], 4.0) << key;
  EXPECT_EQ(table["rows"][1]["rounds"], 3);
  EXPECT_EQ(table["absent"], json({"PyTorch eager", "torch.compile default", "torch.compile max-autotune"}));
}

TEST_F(Compare, WhatDoesNotCompareIsRefused) {
  for (const char* key : {"machine", "device", "version"}) {
    SCOPED_TRACE(key);
    files_.clear();
    give(result_of("felbo", 800));
    json other = result_of("felbo", 700);
    other[key] = "another";
    give(other);
    const Outcome outcome = compare();
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(has(outcome.err, "another")) << outcome.err;
  }
}

/// Of `felbo bench kernels`.
json kernels_of(const char* cache, double seconds) {
  json result = result_of("felbo", 1);
  result["cache"] = cache;
  result["results"] = {{{"name", "adam/step"}, {"params", "P:16"}, {"seconds", seconds}, {"cache", cache}}};
  return result;
}

TEST_F(Compare, OpsAreJoinedByTheirCalls) {
  for (const double seconds : {0.5, 0.25, 0.125}) give(kernels_of("cold", seconds));
  const json table = json::parse(compare().out);
  ASSERT_EQ(table["rows"].size(), 1u);
  EXPECT_EQ(table["rows"][0]["name"], "adam/step");
  EXPECT_EQ(table["rows"][0]["samples_per_second"], 4.0);
}

TEST_F(Compare, HotAndColdAreNotMixed) {
  give(kernels_of("cold", 0.5));
  give(kernels_of("hot", 0.25));
  const Outcome outcome = compare();
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(has(outcome.err, "has cache 'hot'")) << outcome.err;
}

TEST_F(Compare, PrecisionsHaveRowsOfTheirOwn) {
  give(result_of("felbo", 800));
  json peer = result_of("JAX jit", 200);
  peer["results"][0]["params"] = "B:4/tf32";
  give(peer);
  const json table = json::parse(compare().out);
  ASSERT_EQ(table["rows"].size(), 1u);
  EXPECT_EQ(table["rows"][0]["tool"], "felbo");
}

TEST_F(Compare, BrokenFilesAreNamed) {
  give(json{{"tool", "felbo"}});
  EXPECT_TRUE(has(compare().err, "no 'version'"));
  files_ = {folder_ / "none.json"};
  EXPECT_EQ(compare().status, 2);
  files_.clear();
  give(result_of("JAX jit", 200));
  EXPECT_TRUE(has(compare().err, "no file is felbo's"));
}

}  // namespace
}  // namespace felbo::cli
