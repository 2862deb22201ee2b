// `felbo bench`, and the page that its results make.
#include <algorithm>
#include <cmath>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// The growth of `rows` by other formulas than the program's: the line through the normal equations' Cramer's
/// rule on y / y = 1 = offset / y + slope x / y.
struct Fit {
  double offset, slope, departure, exponent;
};
Fit fit_of(const json& rows) {
  double aa = 0, ab = 0, bb = 0, a1 = 0, b1 = 0, x = 0, y = 0, xx = 0, xy = 0;
  const auto n = static_cast<double>(rows.size());
  for (const json& row : rows) {
    const double seconds = row["seconds"], size = row["size"];
    const double a = 1 / seconds, b = size / seconds;
    aa += a * a, ab += a * b, bb += b * b, a1 += a, b1 += b;
    const double lx = std::log(size), ly = std::log(seconds);
    x += lx / n, y += ly / n, xx += lx * lx / n, xy += lx * ly / n;
  }
  const double determinant = aa * bb - ab * ab;
  Fit fit{(a1 * bb - b1 * ab) / determinant, (aa * b1 - ab * a1) / determinant, 0.0,
          (xy - x * y) / (xx - x * x)};
  for (const json& row : rows) {
    const double seconds = row["seconds"], size = row["size"];
    fit.departure = std::max(fit.departure, std::abs(seconds / (fit.offset + fit.slope * size) - 1));
  }
  return fit;
}

TEST(Bench, ScalingFitsWhatItTimed) {
  const json bench = felbo_json({"bench", "scaling", "--filter", "depth"});
  const json& rows = bench["results"];
  ASSERT_EQ(rows.size(), 6u);
  for (const json& row : rows) {
    EXPECT_EQ(row["name"], "scaling/depth");
    EXPECT_GT(row["seconds"].get<double>(), 0.0);
  }
  ASSERT_EQ(bench["growth"].size(), 1u);
  const json& growth = bench["growth"][0];
  EXPECT_EQ(growth["varied"], "depth");
  const Fit fit = fit_of(rows);
  // The same sums in another order: 12 digits of 16.
  const double scale = rows.back()["seconds"];
  EXPECT_NEAR(growth["offset_seconds"], fit.offset, 1e-9 * scale);
  EXPECT_NEAR(growth["seconds_each"], fit.slope, 1e-9 * scale);
  EXPECT_NEAR(growth["departure"], fit.departure, 1e-9);
  EXPECT_NEAR(growth["exponent"], fit.exponent, 1e-9);
}

TEST(Bench, AStepOfAGivenShapeCountsItsProducts) {
  const json bench = felbo_json({"bench", "step", "--shape", "30-7-3", "--batch", "5", "--samples", "2"});
  ASSERT_EQ(bench["results"].size(), 1u);
  const json& row = bench["results"][0];
  EXPECT_EQ(row["name"], "step/30-7-3-7-30");
  EXPECT_EQ(row["params"], "B:5/S:2/fp32");
  EXPECT_EQ(row["launches"], 18);  // the ops of docs/design.md, one dense layer more in either network
  // Forward, the weights' and the inputs' gradients (not that of x); the decoder has 2 rows a datum.
  EXPECT_EQ(row["flops"], 2.0 * 5 * (2 * 30 * 7 + 3 * 7 * 6) + 2.0 * 10 * (3 * 3 * 7 + 3 * 7 * 30));
}

/// Names and sizes of the rows, without the measured peak.
std::vector<std::string> rows_of(const json& bench) {
  std::vector<std::string> rows;
  for (const json& row : bench["results"]) {
    if (row["name"] != "memory/copy")
      rows.push_back(row["name"].get<std::string>() + " " + row["params"].get<std::string>());
  }
  return rows;
}

TEST(Bench, AGridGoesFromFewToManyOfWhatMemoryHolds) {
  const json bench =
      felbo_json({"bench", "kernels", "--op", "noise", "--shapes", "grid", "--repetitions", "2"});
  EXPECT_EQ(bench["shapes"], "grid");
  const std::vector<std::string> rows = rows_of(bench);
  for (const char* params : {"B:16/Z:2", "B:16/Z:16384", "B:4096/Z:32", "B:65536/Z:2"})
    EXPECT_EQ(std::ranges::count(rows, std::string("noise/normal_fill ") + params), 1) << params;
  for (const json& row : bench["results"]) {
    if (row["name"] == "memory/copy") continue;
    const std::string params = row["params"];
    const double elements = std::stod(params.substr(2)) * std::stod(params.substr(params.find("Z:") + 2));
    EXPECT_EQ(row["bytes"], 4.0 * elements) << row;
    EXPECT_EQ(row["flops"], 5.0 * elements) << row;
  }
}

TEST(Bench, WhatNeedsMoreMemoryThanThereIsIsListed) {
  // 65536 rows of 65536 x 256 logits.
  const json bench =
      felbo_json({"bench", "kernels", "--op", "likelihood/categorical_256_evaluate", "--shapes", "full",
                  "--filter", "B:65536/X:65536|B:16/X:64/", "--repetitions", "2"});
  EXPECT_EQ(rows_of(bench), std::vector<std::string>{"likelihood/categorical_256_evaluate B:16/X:64"});
  ASSERT_EQ(bench["skipped"].size(), 1u);
  EXPECT_EQ(bench["skipped"][0]["params"], "B:65536/X:65536");
  EXPECT_GE(bench["skipped"][0]["bytes_needed"].get<double>(), 4.0 * 65536 * 65536 * 257);
}

TEST(Bench, HotRowsSayThatTheyAre) {
  for (const bool hot : {false, true}) {
    Words words{"bench", "kernels", "--filter", "^adam/step/P:16384", "--repetitions", "2"};
    if (hot) words.push_back("--hot");
    const json bench = felbo_json(words);
    EXPECT_EQ(bench["cache"], hot ? "hot" : "cold");
    const json& row = bench["results"].back();
    EXPECT_EQ(row["name"], "adam/step");
    EXPECT_EQ(row["cache"], hot ? "hot" : "cold");
    // 0.26 MB: of memory only by copies, of which 128 MB are worked on.
    EXPECT_EQ(row["in_cache"], hot);
    EXPECT_EQ(row["roofline"].is_number(), !hot) << row;
  }
}

TEST(Bench, EveryOpDeclaresWhatItComputes) {
  const json bench =
      felbo_json({"bench", "kernels", "--filter", "B:128/X:784", "--repetitions", "2", "--hot"});
  EXPECT_GE(rows_of(bench).size(), 30u);
  for (const json& row : bench["results"]) {
    const std::string name = row["name"];
    if (name == "memory/copy") continue;
    EXPECT_GT(row["bytes"].get<double>(), 0.0) << name;
    if (name.starts_with("gather/floats")) continue;  // floats are copied, and compared
    EXPECT_GT(row["flops"].get<double>(), 0.0) << name;
  }
}

TEST(Bench, TheReferenceIsTimedIfAskedFor) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const Words words{"bench",    "kernels", "--filter",      "^(adam/step|counts/non_finite)/P:[0-9]{5,6}/",
                    "--device", "cpu",     "--repetitions", "2"};
  const json bench = felbo_json(words + Words{"--reference"});
  int timed = 0;
  for (const json& row : bench["results"]) {
    if (row["name"] == "memory/copy") continue;
    SCOPED_TRACE(row.dump());
    if (row["name"] == "counts/non_finite") {  // it adds integers, and has none
      EXPECT_TRUE(row["reference_seconds"].is_null());
      EXPECT_TRUE(row["times_the_reference"].is_null());
      continue;
    }
    ++timed;
    EXPECT_GT(row["reference_seconds"].get<double>(), 0.0);
    EXPECT_DOUBLE_EQ(row["times_the_reference"].get<double>(),
                     row["reference_seconds"].get<double>() / row["seconds"].get<double>());
  }
  EXPECT_EQ(timed, 2);
  for (const json& row : felbo_json(words)["results"]) EXPECT_FALSE(row.contains("reference_seconds")) << row;
  const Outcome table = felbo(words + Words{"--reference"});
  EXPECT_TRUE(has(table.out, "times the reference's rate")) << table.out;
}

TEST(Bench, TheReferenceOfALargeSizeIsLeftOut) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const json bench = felbo_json({"bench", "kernels", "--op", "dense/forward_relu", "--filter", "I:2000",
                                 "--device", "cpu", "--repetitions", "2", "--reference"});
  ASSERT_EQ(rows_of(bench), std::vector<std::string>{"dense/forward_relu B:512/I:2000/O:2000"});
  EXPECT_TRUE(bench["results"].back()["reference_seconds"].is_null());
}

TEST(Bench, WhatOnlyAGpuHasIsRefusedOnACpu) {
  const Outcome outcome = felbo({"bench", "kernels", "--op", "dense/forward_relu_bf16", "--device", "cpu"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, "--op")) << outcome.err;
}

/// docs/performance.md, as scripts/performance_page.py holds it to docs/results.
class PerformancePage : public ::testing::Test {
 protected:
  Outcome check(const std::string& page) const {
    const std::string out = folder_ / "out", err = folder_ / "err";
    const std::string command =
        std::string("python3 '") + FELBO_SOURCE_DIR + "/scripts/performance_page.py' '" + page + "'";
    const int status = std::system((command + " > '" + out + "' 2> '" + err + "'").c_str());
    return {.status = WEXITSTATUS(status), .out = read_bytes(out), .err = read_bytes(err)};
  }
  /// The page with the first `from` replaced.
  std::string changed(const std::string& from, const std::string& to) const {
    std::string page = read_bytes(kPage);
    const std::size_t at = page.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    page.replace(at, from.size(), to);
    write_bytes(folder_ / "page.md", page);
    return folder_ / "page.md";
  }

  const std::string kPage = std::string(FELBO_SOURCE_DIR) + "/docs/performance.md";
  TempFolder folder_;
};

TEST_F(PerformancePage, IsWhatTheResultsGive) {
  const Outcome outcome = check(kPage);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(PerformancePage, AnotherFigureIsSeen) {
  const Outcome outcome = check(changed("<!--/-->", "9<!--/-->"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("is not what the results give"), std::string::npos) << outcome.err;
}

TEST_F(PerformancePage, AFigureOfNoResultIsSeen) {
  const Outcome outcome = check(changed("\n\n", "\n\nIt does 12.5 GB/s.\n\n"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("outside the marks: '12.5"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace felbo::cli
