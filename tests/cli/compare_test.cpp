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
  Outcome compare(const std::string& flags = "--json") const {
    const std::string out = folder_ / "out", err = folder_ / "err";
    std::string command = std::string("python3 '") + FELBO_SOURCE_DIR + "/scripts/compare.py' " + flags;
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

/// Of `felbo bench kernels --reference` on a device.
json kernels_on(const std::string& device, double seconds, double reference) {
  json result = kernels_of("cold", seconds);
  result["device"] = device;
  result["results"][0]["times_the_reference"] = reference / seconds;
  return result;
}

TEST_F(Compare, DevicesAreComparedWithEachOtherAndTheReference) {
  for (const double drift : {1.0, 2.0, 4.0}) {
    give(kernels_on("cuda:0", 0.125 * drift, 16 * drift));
    give(kernels_on("cpu (2 threads)", 1.0 * drift, 16 * drift));
  }
  EXPECT_EQ(compare().status, 2);  // not without a word
  const json table = json::parse(compare("--devices --json").out);
  ASSERT_EQ(table["rows"].size(), 2u);
  const json &gpu = table["rows"][0], &cpu = table["rows"][1];
  EXPECT_EQ(gpu["device"], "cuda:0");
  EXPECT_EQ(gpu["samples_per_second"], 4.0);
  EXPECT_EQ(gpu["times_the_reference"], 128.0);
  EXPECT_FALSE(gpu.contains("ratio"));
  EXPECT_EQ(cpu["device"], "cpu (2 threads)");
  EXPECT_EQ(cpu["ratio"], 8.0);
  EXPECT_EQ(cpu["times_the_reference"], 16.0);
  const std::string text = compare("--devices").out;
  EXPECT_TRUE(has(text, "cuda:0 is faster by") && has(text, "times the reference")) << text;
}

TEST_F(Compare, DevicesOfAnotherMachineOrToolAreRefused) {
  for (const char* key : {"machine", "tool", "cache", "version"}) {
    SCOPED_TRACE(key);
    files_.clear();
    give(kernels_on("cuda:0", 1, 2));
    json other = kernels_on("cpu (2 threads)", 1, 2);
    other[key] = key == std::string("tool") ? "JAX jit" : "another";
    give(other);
    const Outcome outcome = compare("--devices");
    EXPECT_EQ(outcome.status, 2);
    EXPECT_TRUE(has(outcome.err, key)) << outcome.err;
  }
}

// A row in bfloat16 has a name of its own, and is no row of the same op in float.
TEST_F(Compare, NumbersInBFloat16AreNoOtherRow) {
  json gpu = kernels_on("cuda:0", 0.125, 16);
  json rounded = gpu["results"][0];
  rounded["name"] = "adam/step_bf16";
  rounded["seconds"] = 0.0625;
  gpu["results"].push_back(rounded);
  give(gpu);
  give(kernels_on("cpu (2 threads)", 1, 16));
  const json rows = json::parse(compare("--devices --json").out)["rows"];
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1]["ratio"], 8.0);
  EXPECT_EQ(rows[2]["name"], "adam/step_bf16");
  EXPECT_EQ(rows[2]["device"], "cuda:0");
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
