// `felbo bench`, and the page that its results make.
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
  // Forward, the weights' and the inputs' gradients (not that of x); the decoder has 2 rows a datum.
  EXPECT_EQ(row["flops"], 2.0 * 5 * (2 * 30 * 7 + 3 * 7 * 6) + 2.0 * 10 * (3 * 3 * 7 + 3 * 7 * 30));
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
