#include "host/report/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "host/report/line_plot.h"
#include "host/report/page.h"
#include "host/report/text.h"

namespace felbo::report {
namespace {

constexpr const char* kNats = "nats a datum";
/// Fewer epochs than these need no second look at their end.
constexpr std::size_t kEpochsForEnd = 8;

/// A column of the metrics and what belongs to it.
struct Quantity {
  std::string key, second_key;  // drawn on the same axes; "" for none
  std::string title;
  std::string unit;
  std::string note;
  bool from_zero = false;
  std::string name = "held-out", second_name = "training";
};

std::vector<Quantity> known_quantities() {
  return {
      {"elbo", "train_elbo", "ELBO", kNats,
       "A lower bound on log p(x): log p(x|z) \xE2\x88\x92 KL. Higher is better."},
      {"log_px", "train_log_px", "Importance-weighted bound on log p(x)", kNats,
       "The bound that training maximises, with its number of samples of z. Higher is better."},
      {"log_px_given_z", "train_log_px_given_z", "log p(x|z)", kNats,
       "How well a code explains its datum, in expectation over q(z|x)."},
      {"kl", "train_kl", "KL of q(z|x) from p(z)", kNats, "What a code costs."},
      {"tracked_log_px", "tracked_elbo", "log p(x) of some held-out data (--track-gap)", kNats,
       "The importance-weighted bound, and the ELBO of the same data below it.", false, "log p(x) bound",
       "ELBO"},
      {"kl_to_posterior", "", "KL of q(z|x) from p(z|x) (--track-gap)", kNats,
       "How far the ELBO lies below log p(x): a lower bound on it, over some held-out data.", true},
      {"lr", "", "Learning rate", "at the last step of the epoch", "", true},
      {"beta", "", "Weight of the KL in the loss (beta)", "at the last step of the epoch",
       "All figures of this page are with beta = 1.", true},
      {"held_out_clamped", "clamped", "Clamped log-variances", "values an epoch",
       "How often a log-variance was held at its bound (--log-var-clamp).", true},
      {"samples_per_second", "", "Speed of training", "data a second", "", true},
  };
}

/// Bookkeeping of an epoch, and what is drawn with another column.
bool is_drawn_elsewhere(const std::string& key, const std::set<std::string>& known) {
  static const std::set<std::string> kBooks{"step", "seconds", "samples", "tracked_samples", "tracked_count"};
  if (kBooks.contains(key) || known.contains(key)) return true;
  const std::string of = key.ends_with("_stderr") ? key.substr(0, key.size() - 7) : "";
  return !of.empty();
}

/// The known quantities that any run has, then the columns that are not known, by name.
std::vector<Quantity> quantities(const std::vector<RunRecord>& runs) {
  std::set<std::string> known, added;
  std::vector<Quantity> all;
  const auto any_has = [&](const std::string& key) {
    return std::ranges::any_of(runs, [&](const RunRecord& run) { return run.metrics.has(key); });
  };
  for (const Quantity& q : known_quantities()) {
    known.insert({q.key, q.second_key});
    if (any_has(q.key) || any_has(q.second_key)) all.push_back(q);
  }
  for (const RunRecord& run : runs) {
    for (const std::string& key : run.metrics.keys) {
      if (is_drawn_elsewhere(key, known) || !added.insert(key).second) continue;
      all.push_back({key, "", key, "as in metrics.jsonl", ""});
    }
  }
  return all;
}

std::vector<Point> points_of(const RunRecord& run, const std::string& key, std::size_t from = 0) {
  const std::vector<double> values = run.metrics.column(key), errors = run.metrics.column(key + "_stderr");
  std::vector<Point> points;
  for (std::size_t i = from; i < values.size(); ++i)
    points.push_back({run.metrics.epochs[i], values[i], errors[i]});
  return points;
}

bool any_finite(const std::vector<Point>& points) {
  return std::ranges::any_of(points, [](const Point& p) { return std::isfinite(p.y); });
}

/// Leaves out the epochs that did not measure the quantity. What was measured and is not finite stays, and
/// breaks the curve; returns how many those are.
std::size_t drop_unmeasured(std::vector<Point>& points) {
  std::erase_if(points, [](const Point& p) { return std::isnan(p.y); });
  return static_cast<std::size_t>(
      std::ranges::count_if(points, [](const Point& p) { return !std::isfinite(p.y); }));
}

/// Whether the quantity is worth a figure: it has values, and they are not all the same.
bool changes(const std::vector<Series>& series) {
  Extent extent;
  for (const Series& s : series)
    for (const Point& p : s.points) extent.add(p.y);
  return !extent.empty && extent.lo != extent.hi;
}

class CurveDrawer {
 public:
  explicit CurveDrawer(const std::vector<RunRecord>& runs) : runs_(runs) {}

  Curves operator()() {
    for (const Quantity& q : quantities(runs_)) {
      if (runs_.size() == 1)
        one_run(q);
      else
        several_runs(q);
    }
    if (!out_.html.empty()) out_.html = "<div class='grid'>\n" + out_.html + "</div>\n";
    return std::move(out_);
  }

 private:
  void one_run(const Quantity& q) {
    std::vector<Series> series;
    add(series, runs_[0], q.key, q.name, {.index = 0});
    add(series, runs_[0], q.second_key, q.second_name, {.index = 1, .second = true});
    figure(q, q.title, series);
    if (q.key == "elbo") end_of(q, series);
  }

  void several_runs(const Quantity& q) {
    for (const bool second : {false, true}) {
      const std::string& key = second ? q.second_key : q.key;
      std::vector<Series> series;
      for (std::size_t i = 0; i < runs_.size(); ++i)
        add(series, runs_[i], key, runs_[i].name, {.index = static_cast<int>(i)});
      const std::string part = q.second_key.empty() ? "" : ", " + (second ? q.second_name : q.name);
      figure(q, q.title + part, series);
      if (q.key == "elbo" && !second) {
        end_of(q, series);
        differences(q, series);
      }
    }
  }

  /// How far each run is above the first one, epoch by epoch: what a common scale hides.
  void differences(const Quantity& q, const std::vector<Series>& series) {
    if (series.size() < 2) return;
    const std::vector<Point>& first = series.front().points;
    std::vector<Series> above;
    for (std::size_t i = 1; i < series.size(); ++i) {
      Series s{series[i].name, {}, series[i].style};
      for (std::size_t e = 0; e < std::min(first.size(), series[i].points.size()); ++e)
        s.points.push_back({first[e].x, series[i].points[e].y - first[e].y});
      above.push_back(std::move(s));
    }
    Quantity difference = q;
    difference.note = fmt::format("Above 0 a run is better than {}.", series.front().name);
    difference.from_zero = true;
    figure(difference, fmt::format("{}, {}, less that of {}", q.title, q.name, series.front().name), above);
  }

  void add(std::vector<Series>& series, const RunRecord& run, const std::string& key, const std::string& name,
           const Style& style) {
    if (key.empty() || !run.metrics.has(key)) return;
    std::vector<Point> points = points_of(run, key);
    if (!any_finite(points)) return;
    breaks_ += drop_unmeasured(points);
    series.push_back({name, std::move(points), style});
  }

  void figure(const Quantity& q, const std::string& title, const std::vector<Series>& series) {
    const std::size_t breaks = std::exchange(breaks_, 0);
    if (series.empty()) return;
    if (!changes(series)) {
      out_.left_out.push_back(fmt::format("{} {}", title, shortest(first_finite(series))));
      return;
    }
    std::string note = q.note;
    const auto say = [&](const std::string& text) { note += (note.empty() ? "" : " ") + text; };
    if (has_band(series)) say("Band: \xC2\xB1 1 standard error over the data.");
    if (breaks > 0) say(fmt::format("{} of the values are not finite; the curve is broken there.", breaks));
    const LinePlot plot{.id = next_id(),
                        .title = title,
                        .x_label = "epoch",
                        .y_label = q.unit,
                        .series = series,
                        .rules = {},
                        .from_zero = q.from_zero};
    out_.html += framed_figure(title, draw(plot), note);
  }

  /// The second half of the epochs on axes of its own: the first ones decide the scale of the whole.
  void end_of(const Quantity& q, std::vector<Series> series) {
    std::size_t longest = 0;
    for (const Series& s : series) longest = std::max(longest, s.points.size());
    if (longest < kEpochsForEnd) return;
    for (Series& s : series)
      std::erase_if(s.points, [&](const Point& p) { return p.x <= static_cast<double>(longest / 2); });
    std::erase_if(series, [](const Series& s) { return !any_finite(s.points); });
    Quantity end = q;
    end.note = "The same on axes of its own.";
    figure(end, fmt::format("{}, from epoch {}", q.title, longest / 2 + 1), series);
  }

  static double first_finite(const std::vector<Series>& series) {
    for (const Point& p : series.front().points)
      if (std::isfinite(p.y)) return p.y;
    return std::nan("");
  }

  static bool has_band(const std::vector<Series>& series) {
    return std::ranges::any_of(series, [](const Series& s) {
      return std::ranges::any_of(s.points, [](const Point& p) { return std::isfinite(p.error); });
    });
  }

  std::string next_id() { return fmt::format("curve{}", ++count_); }

  const std::vector<RunRecord>& runs_;
  Curves out_;
  std::size_t breaks_ = 0;
  int count_ = 0;
};

}  // namespace

Curves curves(const std::vector<RunRecord>& runs) { return CurveDrawer(runs)(); }

}  // namespace felbo::report
