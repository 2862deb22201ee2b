#include "host/report/line_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <stdexcept>

#include "host/run/test_files.h"

namespace felbo::report {
namespace {

using testing_files::has;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// x 0 ... 10, y 0 ... 10.
Frame frame() { return {{.label = "x", .range = {0.0, 10.0}}, {.label = "y", .range = {0.0, 10.0}}, {}}; }

std::size_t count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

TEST(Frame, CornersAndMiddle) {
  const Frame f = frame();
  EXPECT_DOUBLE_EQ(f.at(0, 0).x, f.left());
  EXPECT_DOUBLE_EQ(f.at(0, 0).y, f.bottom());
  EXPECT_DOUBLE_EQ(f.at(10, 10).x, f.right());
  EXPECT_DOUBLE_EQ(f.at(10, 10).y, f.top());
  EXPECT_DOUBLE_EQ(f.at(5, 5).x, 0.5 * (f.left() + f.right()));
  EXPECT_LT(f.top(), f.bottom());
}

TEST(Frame, LogarithmicAxes) {
  const Frame f({.label = "x", .scale = Scale::kLog, .range = {0.1, 1000.0}},
                {.label = "y", .scale = Scale::kLog, .range = {1.0, 100.0}}, {});
  EXPECT_NEAR(f.at(10.0, 10.0).x, 0.5 * (f.left() + f.right()), 1e-9);
  EXPECT_NEAR(f.at(10.0, 10.0).y, 0.5 * (f.top() + f.bottom()), 1e-9);
  EXPECT_THROW(Frame({.label = "x", .scale = Scale::kLog, .range = {0.0, 1.0}}, {.label = "y"}, {}),
               std::invalid_argument);
}

TEST(Frame, ALongLegendTakesMoreRows) {
  std::vector<LegendEntry> legend;
  double before = frame().top();
  for (int i = 0; i < 12; i += 4) {
    for (int j = 0; j < 4; ++j) legend.push_back({"a run of some name", {.index = i + j}});
    const Frame f({.label = "x"}, {.label = "y"}, legend);
    EXPECT_GT(f.top(), before);
    before = f.top();
  }
}

TEST(Style, NoTwoAreAlike) {
  std::vector<std::string> seen;
  for (int i = 0; i < kMostStyles; ++i) {
    const Style style{.index = i};
    // Without their colours: the shape and the line are enough.
    const std::string look =
        style.dashes() + std::regex_replace(marker({0, 0}, style), std::regex("class='s[0-9]"), "");
    for (const std::string& other : seen) EXPECT_NE(look, other);
    seen.push_back(look);
  }
  EXPECT_NE(Style{.second = true}.dashes(), Style{}.dashes());
}

TEST(Curve, IsBrokenWhereAValueIsMissing) {
  const Frame f = frame();
  const auto parts = curve(f, {{0, 1}, {1, 2}, {2, kNone}, {3, 4}, {4, 5}, {5, 6}});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(count(parts[0], "[ML]"), 2u);
  EXPECT_EQ(count(parts[1], "[ML]"), 3u);
  for (const std::string& part : parts) {
    EXPECT_FALSE(has(part, "nan"));
    EXPECT_TRUE(part.starts_with("M"));
  }
  const Place start = f.at(3, 4);
  EXPECT_TRUE(parts[1].starts_with("M" + coordinate(start.x) + " " + coordinate(start.y)));
}

TEST(Curve, OfNothingAndOfLonePoints) {
  EXPECT_TRUE(curve(frame(), {}).empty());
  EXPECT_TRUE(curve(frame(), {{1, kNone}, {2, kNone}}).empty());
  EXPECT_TRUE(curve(frame(), {{1, 1}, {2, kNone}, {3, 3}}).empty());
  EXPECT_TRUE(curve(frame(), {{1, std::numeric_limits<double>::infinity()}, {2, 2}}).empty());
}

TEST(Bands, RunAroundTheCurveWhereAnErrorIsKnown) {
  const Frame f = frame();
  const auto parts = bands(f, {{0, 5, 1}, {1, 5, 1}, {2, 5, kNone}, {3, 5, 1}, {4, kNone, 1}});
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_TRUE(parts[0].ends_with("Z"));
  EXPECT_EQ(count(parts[0], "[ML]"), 4u);
  const Place above = f.at(0, 6), below = f.at(0, 4);
  EXPECT_TRUE(has(parts[0], "M" + coordinate(above.x) + " " + coordinate(above.y)));
  EXPECT_TRUE(has(parts[0], "L" + coordinate(below.x) + " " + coordinate(below.y) + "Z"));
}

LinePlot two_series() {
  return {.id = "p",
          .title = "a < b",
          .x_label = "epoch",
          .y_label = "nats a datum",
          .series = {{"held-out", {{1, -3}, {2, kNone}, {3, -1, 0.5}, {4, -0.5, 0.5}}, {.index = 0}},
                     {"run <b>\"x\"", {{1, -4}, {2, -3}}, {.index = 1, .second = true}}},
          .rules = {}};
}

TEST(LinePlot, HasTitleDescriptionAndNoNaN) {
  const std::string svg = draw(two_series());
  for (const char* part : {"role='img'", "aria-labelledby='p-t p-d'", "<title id='p-t'>a &lt; b</title>",
                           "<desc id='p-d'>", "nats a datum", "epoch", "run &lt;b&gt;&quot;x&quot;"})
    EXPECT_TRUE(has(svg, part));
  for (const char* part : {"nan", "inf", "<b>", "<script"}) EXPECT_FALSE(has(svg, part)) << part;
  EXPECT_EQ(count(svg, "class='s0 band'"), 1u);
  EXPECT_EQ(count(svg, "class='s0 line'"), 2u);  // one in the legend; the lone first point is a marker
}

TEST(LinePlot, ASingleSeriesHasNoLegend) {
  LinePlot plot = two_series();
  plot.series.pop_back();
  EXPECT_FALSE(has(draw(plot), "class='legend'"));
}

TEST(LinePlot, OfOneEpochAndOfNone) {
  LinePlot plot = two_series();
  plot.series = {{"a", {{1, -3}}, {}}};
  EXPECT_TRUE(has(draw(plot), "<circle"));
  plot.series = {{"a", {{1, kNone}}, {}}};
  EXPECT_THROW(draw(plot), std::invalid_argument);
}

TEST(LinePlot, ALogarithmicAxisLeavesOutWhatItCannotShow) {
  LinePlot plot = two_series();
  plot.y_scale = Scale::kLog;
  plot.series = {{"a", {{1, 0.0}, {2, -1.0}, {3, 10.0}, {4, 100.0}}, {}}};
  const std::string svg = draw(plot);
  EXPECT_FALSE(has(svg, "nan"));
  EXPECT_FALSE(has(svg, "inf"));
}

TEST(BarPlot, ABarEach) {
  const BarPlot plot{.id = "b",
                     .title = "KL",
                     .description = "three",
                     .x_label = "rank",
                     .y_label = "nats",
                     .heights = {3.0, 1.5, 0.0},
                     .full = {true, true, false}};
  const std::string svg = draw(plot);
  EXPECT_EQ(count(svg, "class='s0 full'"), 2u);
  EXPECT_EQ(count(svg, "class='s0 hollow'"), 1u);
  // The second is half as high as the first.
  std::smatch m;
  std::vector<double> heights;
  std::string rest = svg;
  const std::regex height("class='s0 [a-z]+'[^>]*height='([0-9.]+)'");
  while (std::regex_search(rest, m, height)) {
    heights.push_back(std::stod(m[1]));
    rest = m.suffix();
  }
  ASSERT_EQ(heights.size(), 3u);
  EXPECT_NEAR(heights[1], 0.5 * heights[0], 0.02);
  EXPECT_EQ(heights[2], 0.0);
}

}  // namespace
}  // namespace felbo::report
