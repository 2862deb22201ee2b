#include "host/report/line_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

/// With more points than these, markers would run into each other: then each series has about ten.
constexpr std::size_t kMostMarkers = 40;

bool shown(const Point& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

/// Calls f(first, last) for each run of neighbours that are shown.
template <class F>
void for_runs(const std::vector<Point>& points, const F& f) {
  for (std::size_t i = 0; i < points.size();) {
    if (!shown(points[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < points.size() && shown(points[end])) ++end;
    f(i, end);
    i = end;
  }
}

std::string to(const char* command, Place at) {
  return fmt::format("{}{} {}", command, coordinate(at.x), coordinate(at.y));
}

bool has_error(const Point& point) { return shown(point) && std::isfinite(point.error); }

std::string markers(const Frame& frame, const Series& series) {
  std::string out;
  const std::size_t stride = series.points.size() <= kMostMarkers ? 1 : (series.points.size() + 9) / 10;
  for_runs(series.points, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      // The end of a curve, and a point that stands alone, are always marked.
      if ((series.style.markers && i % stride == 0) || i + 1 == series.points.size() || last - first == 1)
        out += marker(frame.at(series.points[i].x, series.points[i].y), series.style);
    }
  });
  return out;
}

std::string draw_series(const Frame& frame, const Series& series) {
  const std::string colour = series.style.colour_class(), dashes = series.style.dashes();
  std::string out;
  for (const std::string& d : bands(frame, series.points))
    out += fmt::format("<path class='{} band' d='{}'/>", colour, d);
  if (series.style.line) {
    for (const std::string& d : curve(frame, series.points))
      out += fmt::format("<path class='{} line' d='{}'{}/>", colour, d,
                         dashes.empty() ? "" : fmt::format(" stroke-dasharray='{}'", dashes));
  }
  return out + markers(frame, series);
}

/// "held-out: from −218.3 at 1 to −99.5 at 20, least −218.3, largest −99.5."
std::string in_words(const Series& series) {
  Extent extent;
  const Point *first = nullptr, *last = nullptr;
  for (const Point& point : series.points) {
    if (!shown(point)) continue;
    extent.add(point.y);
    if (first == nullptr) first = &point;
    last = &point;
  }
  if (first == nullptr) return series.name + ": no finite values.";
  return fmt::format("{}: from {} at {} to {} at {}; least {}, largest {}.", series.name, shortest(first->y),
                     shortest(first->x), shortest(last->y), shortest(last->x), shortest(extent.lo),
                     shortest(extent.hi));
}

std::vector<Series> drawable(const LinePlot& plot) {
  std::vector<Series> all = plot.series;
  for (Series& series : all) {
    for (Point& point : series.points)
      if (plot.y_scale == Scale::kLog && !(point.y > 0.0)) point.y = std::nan("");
  }
  return all;
}

Axis y_axis(const LinePlot& plot, const std::vector<Series>& all) {
  Extent extent;
  for (const Series& series : all) {
    for (const Point& point : series.points) {
      if (!shown(point)) continue;
      extent.add(point.y);
      if (has_error(point) && plot.y_scale != Scale::kLog) {
        extent.add(point.y - point.error);
        extent.add(point.y + point.error);
      }
    }
  }
  FELBO_CHECK(!extent.empty, "{}: no finite value to draw", plot.title);
  for (const Rule& rule : plot.rules) extent.add(rule.y);
  if (plot.from_zero) extent.add(0.0);
  Axis axis{.label = plot.y_label, .scale = plot.y_scale, .range = {}, .most_ticks = 6};
  axis.range = plot.y_scale == Scale::kLog ? extent.padded_by_factor(1.5) : extent.padded(0.05);
  if (plot.from_zero && extent.lo == 0.0) axis.range.lo = 0.0;
  return axis;
}

Axis x_axis(const LinePlot& plot, const std::vector<Series>& all) {
  Extent extent;
  for (const Series& series : all)
    for (const Point& point : series.points) extent.add(point.x);
  const Range range =
      extent.lo == extent.hi ? Range{extent.lo - 1.0, extent.hi + 1.0} : Range{extent.lo, extent.hi};
  return {.label = plot.x_label, .scale = plot.x_scale, .range = range, .most_ticks = 8};
}

}  // namespace

std::vector<std::string> curve(const Frame& frame, const std::vector<Point>& points) {
  std::vector<std::string> parts;
  for_runs(points, [&](std::size_t first, std::size_t last) {
    if (last - first < 2) return;
    std::string d;
    for (std::size_t i = first; i < last; ++i)
      d += to(d.empty() ? "M" : "L", frame.at(points[i].x, points[i].y));
    parts.push_back(d);
  });
  return parts;
}

std::vector<std::string> bands(const Frame& frame, const std::vector<Point>& points) {
  std::vector<Point> known = points;
  for (Point& point : known)
    if (!has_error(point)) point.y = std::nan("");
  std::vector<std::string> parts;
  for_runs(known, [&](std::size_t first, std::size_t last) {
    if (last - first < 2) return;
    std::string d;
    for (std::size_t i = first; i < last; ++i)
      d += to(d.empty() ? "M" : "L", frame.at(known[i].x, known[i].y + known[i].error));
    for (std::size_t i = last; i-- > first;) d += to("L", frame.at(known[i].x, known[i].y - known[i].error));
    parts.push_back(d + "Z");
  });
  return parts;
}

std::string draw(const LinePlot& plot) {
  const std::vector<Series> all = drawable(plot);
  std::vector<LegendEntry> legend;
  std::string description, body;
  for (const Series& series : all) {
    if (all.size() > 1) legend.push_back({series.name, series.style});
    description += (description.empty() ? "" : " ") + in_words(series);
  }
  const Axis x = x_axis(plot, all);
  const Frame frame(x, y_axis(plot, all), legend);
  for (const Rule& rule : plot.rules) {
    const Place from = frame.at(x.range.lo, rule.y), to = frame.at(x.range.hi, rule.y);
    body += fmt::format("<line class='rule' x1='{}' y1='{}' x2='{}' y2='{}'/>", coordinate(from.x),
                        coordinate(from.y), coordinate(to.x), coordinate(to.y));
    body += svg_text({to.x, to.y - 5.0}, "class='legend' text-anchor='end'", rule.label);
  }
  for (const Series& series : all) body += draw_series(frame, series);
  return frame.picture(plot.id, plot.title,
                       fmt::format("{} against {}. {}", plot.y_label, plot.x_label, description), body);
}

std::string draw(const BarPlot& plot) {
  FELBO_CHECK(!plot.heights.empty() && plot.heights.size() == plot.full.size(), "{}: {} bars, {} fillings",
              plot.title, plot.heights.size(), plot.full.size());
  const auto count = static_cast<double>(plot.heights.size());
  const double highest = std::ranges::max(plot.heights);
  const Axis x{.label = plot.x_label, .scale = Scale::kWhole, .range = {0.5, count + 0.5}, .most_ticks = 8};
  const Axis y{.label = plot.y_label, .range = {0.0, highest > 0.0 ? 1.05 * highest : 1.0}, .most_ticks = 6};
  const Frame frame(x, y, {});
  std::string body;
  for (std::size_t i = 0; i < plot.heights.size(); ++i) {
    const double rank = static_cast<double>(i) + 1.0;
    const Place corner = frame.at(rank - 0.4, plot.heights[i]), foot = frame.at(rank + 0.4, 0.0);
    body += fmt::format("<rect class='s0 {}' x='{}' y='{}' width='{}' height='{}'/>",
                        plot.full[i] ? "full" : "hollow", coordinate(corner.x), coordinate(corner.y),
                        coordinate(foot.x - corner.x), coordinate(foot.y - corner.y));
  }
  return frame.picture(plot.id, plot.title, plot.description, body);
}

}  // namespace felbo::report
