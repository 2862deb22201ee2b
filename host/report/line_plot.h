// Curves with their standard errors, and bars, as SVG.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "host/report/svg_frame.h"

namespace felbo::report {

struct Point {
  double x = 0.0;
  double y = 0.0;                                           // NaN: nothing here, the curve is broken
  double error = std::numeric_limits<double>::quiet_NaN();  // a standard error; NaN: none is known
};

struct Series {
  std::string name;  // in the legend
  std::vector<Point> points;
  Style style;
};

/// A horizontal line across the plot.
struct Rule {
  double y = 0.0;
  std::string label;
};

struct LinePlot {
  std::string id;  // unique in the page
  std::string title;
  std::string x_label, y_label;  // with the unit
  std::vector<Series> series;
  Scale x_scale = Scale::kWhole, y_scale = Scale::kLinear;
  std::vector<Rule> rules;
  bool from_zero = false;  // whether the axis of y must show 0
};

/// The `d` attributes of the curve through the points: a part for each run of two or more neighbours that are
/// finite. Points that stand alone are in none: they are drawn as markers.
std::vector<std::string> curve(const Frame& frame, const std::vector<Point>& points);
/// The `d` attributes of the bands y - error to y + error over the same parts.
std::vector<std::string> bands(const Frame& frame, const std::vector<Point>& points);

/// The plot. A legend stands above it if there are two series or more. Values that a logarithmic axis cannot
/// show are left out. Throws std::invalid_argument if no point is left.
std::string draw(const LinePlot& plot);

/// Bars from 0 upwards, in the order given; `full[i]` fills bar i, the others are outlines.
struct BarPlot {
  std::string id, title, description;
  std::string x_label, y_label;
  std::vector<double> heights;  // finite, at least 0
  std::vector<bool> full;
};
std::string draw(const BarPlot& plot);

}  // namespace felbo::report
