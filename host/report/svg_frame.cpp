#include "host/report/svg_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

// Of the canvas, in its own units; text is 12 high.
constexpr double kCharacter = 6.7;  // a digit's width, rather more
constexpr double kRow = 19.0;       // of the legend
constexpr double kSwatch = 30.0;    // a piece of line in the legend
constexpr double kUnitHeight = 16.0;

double text_width(const std::string& text) {
  double characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not bytes
  return characters * kCharacter;
}

std::vector<double> ticks_of(const Axis& axis) {
  switch (axis.scale) {
    case Scale::kLinear:
      return linear_ticks(axis.range, axis.most_ticks);
    case Scale::kWhole:
      return whole_ticks(axis.range, axis.most_ticks);
    case Scale::kLog:
      break;
  }
  return log_ticks(axis.range, axis.most_ticks);
}

std::vector<std::string> labels_of(const Axis& axis, const std::vector<double>& ticks) {
  return axis.scale == Scale::kLog ? log_tick_labels(ticks) : tick_labels(ticks);
}

/// How far along its axis a value lies, 0 to 1.
double share(const Axis& axis, double value) {
  const auto [lo, hi] = axis.range;
  if (axis.scale == Scale::kLog) return std::log(value / lo) / std::log(hi / lo);
  return (value - lo) / (hi - lo);
}

std::string line(const char* css, Place from, Place to) {
  return fmt::format("<line class='{}' x1='{}' y1='{}' x2='{}' y2='{}'/>", css, coordinate(from.x),
                     coordinate(from.y), coordinate(to.x), coordinate(to.y));
}

/// The corners of the marker of shape `index`, around 0, for a size of 1.
std::vector<Place> corners(int index) {
  switch (index % kColours) {
    case 1:
      return {{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}};
    case 2:
      return {{0, -1.3}, {1.2, 0.9}, {-1.2, 0.9}};
    case 3:
      return {{0, -1.35}, {1.35, 0}, {0, 1.35}, {-1.35, 0}};
    case 4:
      return {{0, 1.3}, {1.2, -0.9}, {-1.2, -0.9}};
    case 5:  // a plus sign
      return {{-0.45, -1.3}, {0.45, -1.3}, {0.45, -0.45}, {1.3, -0.45}, {1.3, 0.45},   {0.45, 0.45},
              {0.45, 1.3},   {-0.45, 1.3}, {-0.45, 0.45}, {-1.3, 0.45}, {-1.3, -0.45}, {-0.45, -0.45}};
    default:
      return {};  // a circle
  }
}

}  // namespace

std::string Style::colour_class() const { return fmt::format("s{}", index % kColours); }

std::string Style::dashes() const {
  if (second) return "5 3";
  constexpr std::array kLines{"", "1.5 3", "9 3 2 3"};
  return kLines[static_cast<std::size_t>(index / kColours) % kLines.size()];
}

std::string coordinate(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string marker(Place at, const Style& style, double size) {
  const std::string css = fmt::format("{} {}", style.colour_class(), style.second ? "hollow" : "full");
  const std::vector<Place> shape = corners(style.index);
  if (shape.empty())
    return fmt::format("<circle class='{}' cx='{}' cy='{}' r='{}'/>", css, coordinate(at.x), coordinate(at.y),
                       coordinate(size));
  std::string path;
  for (const Place& corner : shape)
    path += fmt::format("{}{} {}", path.empty() ? "M" : "L", coordinate(at.x + size * corner.x),
                        coordinate(at.y + size * corner.y));
  return fmt::format("<path class='{}' d='{}Z'/>", css, path);
}

std::string svg_text(Place at, const std::string& attributes, const std::string& text) {
  return fmt::format("<text x='{}' y='{}' {}>{}</text>", coordinate(at.x), coordinate(at.y), attributes,
                     escape(text));
}

Frame::Frame(const Axis& x, const Axis& y, const std::vector<LegendEntry>& legend, double width,
             double height)
    : x_(x),
      y_(y),
      width_(width),
      height_(height),
      x_ticks_(ticks_of(x)),
      y_ticks_(ticks_of(y)),
      x_labels_(labels_of(x, x_ticks_)),
      y_labels_(labels_of(y, y_ticks_)) {
  FELBO_CHECK((x.scale != Scale::kLog || x.range.lo > 0) && (y.scale != Scale::kLog || y.range.lo > 0),
              "a logarithmic axis begins above 0");
  double widest = 0.0;
  for (const std::string& label : y_labels_) widest = std::max(widest, text_width(label));
  left_ = std::max(widest + 10.0, 30.0);
  right_ = width_ - 14.0;
  bottom_ = height_ - 38.0;
  lay_out_legend(legend);
}

void Frame::lay_out_legend(const std::vector<LegendEntry>& legend) {
  double x = left_, y = 12.0;
  for (const LegendEntry& entry : legend) {
    const double wide = kSwatch + 6.0 + text_width(entry.name) + 14.0;
    if (x > left_ && x + wide > width_) {
      x = left_;
      y += kRow;
    }
    const std::string dashes = entry.style.dashes();
    if (entry.style.line)
      legend_ += fmt::format("<path class='{} line' d='M{} {}h{}'{}/>", entry.style.colour_class(),
                             coordinate(x), coordinate(y - 4), coordinate(kSwatch),
                             dashes.empty() ? "" : fmt::format(" stroke-dasharray='{}'", dashes));
    if (entry.style.markers) legend_ += marker({x + 0.5 * kSwatch, y - 4}, entry.style);
    legend_ += svg_text({x + kSwatch + 6.0, y}, "class='legend'", entry.name);
    x += wide;
  }
  top_ = (legend.empty() ? 0.0 : y + 8.0) + kUnitHeight + 4.0;
}

Place Frame::at(double x, double y) const {
  return {left_ + share(x_, x) * (right_ - left_), bottom_ - share(y_, y) * (bottom_ - top_)};
}

std::string Frame::axes() const {
  std::string out;
  for (std::size_t i = 0; i < y_ticks_.size(); ++i) {
    const double y = at(x_.range.lo, y_ticks_[i]).y;
    out += line("grid", {left_, y}, {right_, y});
    out += svg_text({left_ - 6.0, y + 4.0}, "class='tick' text-anchor='end'", y_labels_[i]);
  }
  for (std::size_t i = 0; i < x_ticks_.size(); ++i) {
    const double x = at(x_ticks_[i], y_.range.lo).x;
    out += line("axis", {x, bottom_}, {x, bottom_ + 4.0});
    out += svg_text({x, bottom_ + 17.0}, "class='tick' text-anchor='middle'", x_labels_[i]);
  }
  out += line("axis", {left_, bottom_}, {right_, bottom_});
  out += svg_text({0.0, top_ - 8.0}, "class='unit'", y_.label);
  return out + svg_text({right_, height_ - 4.0}, "class='unit' text-anchor='end'", x_.label);
}

std::string Frame::picture(const std::string& id, const std::string& title, const std::string& description,
                           const std::string& body) const {
  return fmt::format(
      "<svg viewBox='0 0 {w} {h}' role='img' aria-labelledby='{id}-t {id}-d'>"
      "<title id='{id}-t'>{title}</title><desc id='{id}-d'>{description}</desc>"
      "<clipPath id='{id}-c'><rect x='{x}' y='{y}' width='{cw}' height='{ch}'/></clipPath>"
      "{axes}{legend}<g clip-path='url(#{id}-c)'>{body}</g></svg>\n",
      fmt::arg("w", coordinate(width_)), fmt::arg("h", coordinate(height_)), fmt::arg("id", id),
      fmt::arg("title", escape(title)), fmt::arg("description", escape(description)),
      fmt::arg("x", coordinate(left_ - 5)), fmt::arg("y", coordinate(top_ - 5)),
      fmt::arg("cw", coordinate(right_ - left_ + 10)), fmt::arg("ch", coordinate(bottom_ - top_ + 10)),
      fmt::arg("axes", axes()), fmt::arg("legend", legend_), fmt::arg("body", body));
}

}  // namespace felbo::report
