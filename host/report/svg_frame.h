// The frame of a plot in SVG: axes, ticks, grid and legend, and where a value lies in it.
//
// A plot is drawn on a small canvas that the page scales to the width it has, so that its text keeps a
// readable size from a phone to a printed sheet. Colours are classes of the page's style (s0, s1, ...), which
// has a set for light and one for dark; no two series differ in colour alone.
#pragma once

#include <string>
#include <vector>

#include "host/report/ticks.h"

namespace felbo::report {

enum class Scale { kLinear, kWhole, kLog };

struct Axis {
  std::string label;  // with the unit
  Scale scale = Scale::kLinear;
  Range range{};
  int most_ticks = 6;
};

/// How a series is told from the others: the colour by `index`, with it the shape of its markers, and the
/// line.
struct Style {
  int index = 0;        // from 0; colours and shapes repeat after kColours, and then the line changes
  bool second = false;  // the dashed companion of a series, its markers hollow: of training beside held-out
  bool line = true;
  bool markers = true;

  std::string colour_class() const;
  /// SVG's stroke-dasharray, or "" for a solid line.
  std::string dashes() const;
};
inline constexpr int kColours = 6;
/// So many series can be told apart.
inline constexpr int kMostStyles = 3 * kColours;

struct LegendEntry {
  std::string name;
  Style style;
};

/// A point of the canvas.
struct Place {
  double x = 0.0;
  double y = 0.0;
};

/// A marker of the style's shape around `at`.
std::string marker(Place at, const Style& style, double size = 3.2);

/// `text` at a point, with further attributes.
std::string svg_text(Place at, const std::string& attributes, const std::string& text);

/// A number of the canvas's units, to a hundredth.
std::string coordinate(double value);

class Frame {
 public:
  /// Lays out the canvas: the legend above (in as many rows as it needs; no entry, no legend), the axes
  /// below.
  Frame(const Axis& x, const Axis& y, const std::vector<LegendEntry>& legend, double width = kWidth,
        double height = kHeight);

  /// Where a value lies; it must be finite, and above 0 on a logarithmic axis.
  Place at(double x, double y) const;
  double left() const { return left_; }
  double right() const { return right_; }
  double top() const { return top_; }
  double bottom() const { return bottom_; }

  /// The whole picture with `body` drawn in the frame and cut off at its edges. `id` is unique in the page;
  /// `title` and `description` are what a screen reader says.
  std::string picture(const std::string& id, const std::string& title, const std::string& description,
                      const std::string& body) const;

  static constexpr double kWidth = 390.0;
  static constexpr double kHeight = 250.0;

 private:
  void lay_out_legend(const std::vector<LegendEntry>& legend);
  std::string axes() const;

  Axis x_, y_;
  double width_, height_;
  std::vector<double> x_ticks_, y_ticks_;
  std::vector<std::string> x_labels_, y_labels_;
  std::string legend_;
  double left_ = 0.0, right_ = 0.0, top_ = 0.0, bottom_ = 0.0;
};

}  // namespace felbo::report
