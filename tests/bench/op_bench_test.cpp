// The rows of `felbo bench kernels`: every op has one, and a row's reference computes what its op does.
#include "benchmarks/op_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/harness/exec.h"

namespace felbo::bench {
namespace {

using Names = std::set<std::string>;

/// Odd sizes, each dimension another.
Shape small_shape(const OpBench& op) {
  Shape shape;
  for (std::size_t i = 0; i < op.dimensions.size(); ++i)
    shape.push_back(3 + 2 * static_cast<std::int64_t>(i));
  return shape;
}

#if !FELBO_TEST_CUDA

/// The ops that a header declares for a GPU, as every op is.
Names ops_declared_in(const std::string& header) {
  static const std::regex declaration(R"(void (\w+)\(const CudaExec&)");
  Names names;
  for (std::sregex_iterator it(header.begin(), header.end(), declaration), end; it != end; ++it)
    names.insert((*it)[1]);
  return names;
}
bool has_part(const std::filesystem::path& path, const char* part) {
  return std::ranges::find(path, part) != path.end();
}
Names all_ops() {
  // What likelihood() and likelihood_mean() hand on to, by their family.
  const Names parts{"categorical",      "categorical_mean", "multinomial",
                    "multinomial_mean", "unit_likelihood",  "unit_mean"};
  Names names;
  for (const auto& file : std::filesystem::recursive_directory_iterator(FELBO_SOURCE_DIR "/kernels")) {
    if (file.path().extension() != ".h" || has_part(file.path(), "common")) continue;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    for (const std::string& name : ops_declared_in(text.str())) {
      if (!parts.contains(name)) names.insert(name);
    }
  }
  return names;
}
Names ops_of_rows(const std::vector<OpBench>& rows) {
  Names names;
  for (const OpBench& row : rows) {
    if (!row.ops) continue;
    const std::vector<std::string> ops = row.ops(small_shape(row));
    EXPECT_FALSE(ops.empty()) << row.name;
    names.insert(ops.begin(), ops.end());
  }
  return names;
}
Names without(Names names, const Names& others) {
  for (const std::string& other : others) names.erase(other);
  return names;
}

TEST(OpBench, EveryOpHasARow) {
  const Names ops = all_ops();
  EXPECT_GE(ops.size(), 35u);
  EXPECT_EQ(without(ops, ops_of_rows(op_benches())), Names());
}

TEST(OpBench, AnOpWithoutARowIsSeen) {
  EXPECT_EQ(ops_declared_in("void old(const CpuExec&);\nvoid novel_op(const CudaExec& exec, const Args&);"),
            Names{"novel_op"});
  std::vector<OpBench> rows = op_benches();
  std::erase_if(rows, [](const OpBench& row) { return row.name.starts_with("gaussian_kl/"); });
  EXPECT_EQ(without(all_ops(), ops_of_rows(rows)), (Names{"gaussian_kl", "gaussian_kl_backward"}));
}

TEST(OpBench, RowsHaveNamesOfTheirOwnAndWork) {
  Names names;
  for (const OpBench& row : op_benches()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " is there twice";
    for (const Shape& shape : row.usual) EXPECT_GT(row.work(shape).bytes, 0.0) << row.name;
  }
}

// The roof of noise is that of the ops that make it, and of no other.
TEST(OpBench, WhatMakesNoiseDeclaresItsWords) {
  int making = 0;
  for (const OpBench& row : op_benches()) {
    const auto begins = [&](const char* start) { return row.name.starts_with(start); };
    const bool makes = begins("noise/") || begins("reparameterize/") || begins("covariance_factor/") ||
                       begins("conditional_gaussian/draw") || begins("fusion/step_") ||
                       (begins("gather/") && row.name.find("_dynamic") != std::string::npos);
    making += makes;
    for (const Shape& shape : row.usual) EXPECT_EQ(row.work(shape).words > 0.0, makes) << row.name;
  }
  EXPECT_GE(making, 12);
}

// What stores bfloat16 says so in its name, by which results are joined, and is beside the same in float.
TEST(OpBench, NumbersInBFloat16AreNamed) {
  const std::string suffix = "_bf16";
  std::set<std::string> floats;
  int found = 0;
  for (const OpBench& row : op_benches()) {
    if (!row.name.ends_with(suffix)) {
      floats.insert(row.name);
      EXPECT_FALSE(row.needs_gpu) << row.name;
    }
  }
  for (const OpBench& row : op_benches()) {
    if (!row.name.ends_with(suffix) || row.name == "round/to_bf16") continue;
    ++found;
    EXPECT_TRUE(floats.contains(row.name.substr(0, row.name.size() - suffix.size()))) << row.name;
  }
  EXPECT_GE(found, 5);
}

// Integers, copies, sums, and gradients whose tests differentiate.
TEST(OpBench, RowsWithoutAReferenceAreKnown) {
  Names none;
  for (const OpBench& row : op_benches()) {
    if (!row.on_host) none.insert(row.name);
  }
  EXPECT_EQ(none, (Names{"conditional_gaussian/add_gradient", "counts/add", "counts/non_finite",
                         "gaussian_kl/backward", "isotropic/repeat", "isotropic/sum_gradient",
                         "minibatch/next", "mixture_prior/backward"}));
}

/// How many elements differ. The ops' own tests judge roundings; here it is seen whether both compute the
/// same: to 3 digits, but what a row stores in bfloat16 to its 2 and a half.
int different(const std::vector<double>& is, const std::vector<double>& reference) {
  EXPECT_EQ(is.size(), reference.size());
  if (is.size() != reference.size()) return static_cast<int>(is.size());
  int count = 0;
  for (std::size_t i = 0; i < is.size(); ++i)
    count += std::abs(is[i] - reference[i]) <= 4e-3 * std::abs(reference[i]) + 1e-5 ? 0 : 1;
  return count;
}

TEST(OpBench, ReferencesComputeWhatTheOpsDo) {
  int compared = 0;
  for (const OpBench& row : op_benches()) {
    if (!row.on_host) continue;
    const OnHost on = row.on_host(small_shape(row));
    const std::vector<double> reference = on.reference();
    ASSERT_FALSE(reference.empty()) << row.name;
    for (const double value : reference) EXPECT_TRUE(std::isfinite(value)) << row.name;
    if (!on.result) continue;
    EXPECT_EQ(different(on.result(), reference), 0) << row.name;
    ++compared;
  }
  EXPECT_GE(compared, 60);
}

TEST(OpBench, AReferenceOfAnotherComputationIsSeen) {
  EXPECT_EQ(different({1.0, NAN, 3.0}, {1.0, 2.0, 3.1}), 2);
}

TEST(OpBench, TheReferenceIsTimedWhereItFits) {
  for (const OpBench& row : op_benches()) {
    if (row.name == "adam/step") {
      EXPECT_GT(reference_seconds(row, {1000}).value(), 0.0);
      // 42 operations and bytes each, of which 10^8 a second are expected.
      EXPECT_FALSE(reference_seconds(row, {30'000'000}).has_value());
    }
    if (row.name == "counts/add") {
      EXPECT_FALSE(reference_seconds(row, {128}).has_value());
    }
  }
}

#else

/// Keeps the names of what ran.
class Ran : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) names.insert(run.run_name.function_name);
  }
  Names names;
};

// Recorded and replayed as `felbo bench kernels --device cuda` does, those that only a GPU has among them.
TEST(OpBench, EveryRowRunsOnADevice) {
  bench_exec().emplace<CudaExec>();
  hot() = true;
  Names names;
  int of_gpus = 0;
  for (const OpBench& row : op_benches()) {
    names.insert(row.name);
    of_gpus += row.needs_gpu ? 1 : 0;
    benchmark::RegisterBenchmark(row.name.c_str(), [&row](benchmark::State& state) {
      row.run(state, small_shape(row));
    })->Iterations(1);
  }
  EXPECT_GE(of_gpus, 9);
  Ran ran;
  benchmark::RunSpecifiedBenchmarks(&ran, ".");
  EXPECT_EQ(ran.names, names);
  kept() = {};
  bench_exec().emplace<CpuExec>(1);
}

#endif

}  // namespace
}  // namespace felbo::bench
