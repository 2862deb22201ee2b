#include "host/report/roofline_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "host/report/page.h"
#include "host/report/svg_frame.h"
#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kWidth = 640.0, kHeight = 430.0;
constexpr const char* kDash = "\xE2\x80\x93";

std::optional<double> number(const Json& row, const char* key) {
  if (!row.contains(key) || !row[key].is_number()) return std::nullopt;
  return row[key].get<double>();
}

struct Peaks {
  double gb = 0.0, gflop = 0.0;  // a second
};

std::optional<Peaks> peaks_of(const Json& bench) {
  if (!bench.contains("peaks")) return std::nullopt;
  const auto gb = number(bench["peaks"], "gb_per_s"), gflop = number(bench["peaks"], "gflop_per_s");
  if (!gb || !gflop || !(*gb > 0.0) || !(*gflop > 0.0)) return std::nullopt;
  return Peaks{*gb, *gflop};
}

/// An op in the plot; `index` counts from 0 in the table.
struct Mark {
  std::size_t index;
  double intensity, gflop;
  bool in_cache;
};

std::vector<Mark> marks_of(const Json& results) {
  std::vector<Mark> marks;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto bytes = number(results[i], "bytes"), flops = number(results[i], "flops"),
               rate = number(results[i], "gflop_per_s");
    if (!bytes || !flops || !rate || *bytes <= 0.0 || *flops <= 0.0) continue;
    const bool in_cache = results[i].value("in_cache", false);
    marks.push_back({i, *flops / *bytes, *rate, in_cache});
  }
  return marks;
}

struct Box {
  double x, y, width, height;
  bool meets(const Box& other) const {
    return x < other.x + other.width && other.x < x + width && y < other.y + other.height &&
           other.y < y + height;
  }
};

/// Puts labels beside their marks, where they cover no mark and no label if there is such a place.
class Labels {
 public:
  explicit Labels(const std::vector<Place>& marks) {
    for (const Place& at : marks) taken_.push_back({at.x - 4.0, at.y - 4.0, 8.0, 8.0});
  }
  Place place(Place mark, const std::string& text) {
    const double width = 6.6 * static_cast<double>(text.size()), height = 10.0;
    for (const double distance : {6.0, 14.0, 24.0, 36.0}) {
      for (int turn = 0; turn < 8; ++turn) {
        const double angle = (turn - 1) * std::acos(-1.0) / 4.0;
        const Box box{mark.x + distance * std::cos(angle) - (turn >= 4 && turn <= 6 ? width : 0.0),
                      mark.y - distance * std::sin(angle) - 0.5 * height, width, height};
        if (std::ranges::any_of(taken_, [&](const Box& other) { return box.meets(other); })) continue;
        taken_.push_back(box);
        return {box.x, box.y + height - 1.0};
      }
    }
    return {mark.x + 6.0, mark.y + 4.0};
  }

 private:
  std::vector<Box> taken_;
};

std::string roof(const Frame& frame, Range x, const Peaks& peaks) {
  const double ridge = peaks.gflop / peaks.gb;
  std::string d;
  for (const double intensity : {x.lo, std::clamp(ridge, x.lo, x.hi), x.hi}) {
    const Place at = frame.at(intensity, attainable(intensity, peaks.gb, peaks.gflop));
    d += fmt::format("{}{} {}", d.empty() ? "M" : "L", coordinate(at.x), coordinate(at.y));
  }
  return fmt::format("<path class='roof' d='{}'/>", d);
}

std::string plot(const std::vector<Mark>& marks, const Peaks& peaks) {
  Extent x, y;
  x.add(peaks.gflop / peaks.gb);
  y.add(peaks.gflop);
  for (const Mark& mark : marks) {
    x.add(mark.intensity);
    y.add(mark.gflop);
  }
  const Axis across{
      .label = "operations a byte", .scale = Scale::kLog, .range = x.padded_by_factor(2.5), .most_ticks = 7};
  const Axis up{.label = "GFLOP/s", .scale = Scale::kLog, .range = y.padded_by_factor(2.0), .most_ticks = 7};
  std::vector<LegendEntry> legend{{"out of cache", {.index = 0, .line = false}}};
  if (std::ranges::any_of(marks, &Mark::in_cache))
    legend.push_back({"in cache: the slope is no bound", {.index = 1, .second = true, .line = false}});
  const Frame frame(across, up, legend, kWidth, kHeight);
  std::vector<Place> places;
  for (const Mark& mark : marks) places.push_back(frame.at(mark.intensity, mark.gflop));
  Labels labels(places);
  std::string body = roof(frame, across.range, peaks);
  for (std::size_t i = 0; i < marks.size(); ++i)
    body += marker(places[i], {.index = marks[i].in_cache ? 1 : 0, .second = marks[i].in_cache});
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const std::string text = fmt::format("{}", marks[i].index + 1);
    body += svg_text(labels.place(places[i], text), "class='tick mark'", text);
  }
  return frame.picture(
      "roofline", "Roofline",
      fmt::format("GFLOP/s against operations a byte, both logarithmic, of {} ops. The roof rises with "
                  "{} GB/s to {} GFLOP/s. The numbers are those of the table, which has every value.",
                  marks.size(), fixed(peaks.gb, 1), fixed(peaks.gflop, 0)),
      body);
}

std::string or_dash(const std::optional<double>& value, int digits) {
  return value ? shortest(*value, digits) : kDash;
}

std::string share_text(const Json& row) {
  const auto share = number(row, "roofline");
  if (!share) return row.value("in_cache", false) ? "in cache" : kDash;
  const std::string roof =
      row.contains("roof") && row["roof"].is_string() ? row["roof"].get<std::string>() : "";
  return fixed(100.0 * *share, 0) + " %" + (roof.empty() ? "" : " of " + roof);
}

std::string table(const Json& results) {
  Table all{
      .caption =
          "Medians. Bytes and operations of one call as each op declares them; the share is of the lowest "
          "of the roofs: memory, arithmetic, and the rate of random words (noise).",
      .header = {"No.", "Op", "Sizes", "Time, \xC2\xB5s", "GB/s", "GFLOP/s", "Operations a byte",
                 "Share of the roof"},
      .rows = {},
      .marked = {},
      .words = 3};
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Json& row = results[i];
    const auto bytes = number(row, "bytes"), flops = number(row, "flops"), seconds = number(row, "seconds");
    std::optional<double> intensity;
    if (bytes && flops && *bytes > 0.0) intensity = *flops / *bytes;
    all.rows.push_back({fmt::format("{}", i + 1), row.value("name", ""), row.value("params", ""),
                        seconds ? fixed(1e6 * *seconds, 1) : kDash, or_dash(number(row, "gb_per_s"), 4),
                        or_dash(number(row, "gflop_per_s"), 4), or_dash(intensity, 3), share_text(row)});
  }
  const bool above =
      std::ranges::any_of(results, [](const Json& row) { return number(row, "roofline") > 1.05; });
  return draw(all) +
         (above ? paragraph(
                      "Shares above 100 %: the machine did other work while the roof was measured, or the "
                      "data stayed in a cache after all. Run it again on a quiet machine.",
                      "warn")
                : "");
}

}  // namespace

double attainable(double intensity, double bytes_per_second, double flops_per_second) {
  return std::min(intensity * bytes_per_second, flops_per_second);
}

std::string roofline_page(const Json& bench, const std::string& version) {
  FELBO_CHECK(bench.contains("results") && bench["results"].is_array() && !bench["results"].empty(),
              "no results of a benchmark to report");
  const Json& results = bench["results"];
  const std::vector<Mark> marks = marks_of(results);
  const std::optional<Peaks> peaks = peaks_of(bench);
  std::string figure;
  if (peaks && !marks.empty())
    figure =
        "<div class='plain'>" +
        framed_figure(
            "Roofline",
            "<div class='wide' tabindex='0' role='region' aria-label='Roofline'>" + plot(marks, *peaks) +
                "</div>",
            fmt::format(
                "The roof is the lower of {} GB/s (a copy) and {} GFLOP/s ({}), both measured in this "
                "run. A mark is an op at one size, numbered as in the table. exp, log, sqrt and the "
                "like count as one operation, so a mark says what the mathematics needs, and not "
                "how many instructions the kernel takes.",
                fixed(peaks->gb, 1), fixed(peaks->gflop, 0), bench["peaks"].value("by", "a large product"))) +
        "</div>\n";
  const std::string device = bench.value("device", "");
  return page(
      "felbo bench: " + device,
      "<header><h1>Benchmarks</h1>\n" + paragraph(device + ". Medians of repeated timings.", "lead") +
          "</header>\n" + section("roof", "Against what the machine allows", figure) +
          section("table", "Every result", table(results)) +
          fmt::format("<footer>Written by felbo {}. This page loads nothing and needs no script.</footer>\n",
                      escape(version)));
}

}  // namespace felbo::report
