#include "host/report/ticks.h"

#include <algorithm>
#include <cmath>

#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

/// Distances and places closer than this share of a step are equal: they come from divisions.
constexpr double kSlack = 1e-9;

/// The smallest 1, 2 or 5 times a power of ten that is at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= least * (1.0 - kSlack)) return digit * power;
  return 10.0 * power;
}

std::vector<double> multiples(Range range, double step) {
  std::vector<double> ticks;
  const double first = std::ceil(range.lo / step - kSlack), last = std::floor(range.hi / step + kSlack);
  for (double i = first; i <= last; i += 1.0) ticks.push_back(i * step);
  return ticks;
}

std::vector<double> ticks_from(Range range, int most, double least_step) {
  FELBO_CHECK(range.lo < range.hi && std::isfinite(range.hi - range.lo) && most >= 2,
              "an axis from {} to {} with at most {} ticks", range.lo, range.hi, most);
  double step = round_step(std::max((range.hi - range.lo) / most, least_step));
  while (multiples(range, step).size() > static_cast<std::size_t>(most)) step = round_step(step * 1.5);
  return multiples(range, step);
}

}  // namespace

void Extent::add(double value) {
  if (!std::isfinite(value)) return;
  lo = empty ? value : std::min(lo, value);
  hi = empty ? value : std::max(hi, value);
  empty = false;
}

Range Extent::padded(double share) const {
  if (empty) return {0.0, 1.0};
  const double span = hi - lo;
  // A constant is drawn in the middle; so is one that rounding alone makes vary.
  if (span <= 1e-12 * std::max(std::abs(lo), std::abs(hi))) {
    const double room = lo == 0.0 ? 1.0 : 0.1 * std::abs(lo);
    return {lo - room, hi + room};
  }
  return {lo - share * span, hi + share * span};
}

Range Extent::padded_by_factor(double factor) const {
  if (empty) return {1.0, 10.0};
  FELBO_CHECK(lo > 0.0, "a logarithmic axis cannot show {}", lo);
  return {lo / factor, hi * factor};
}

std::vector<double> linear_ticks(Range range, int most) { return ticks_from(range, most, 0.0); }

std::vector<double> whole_ticks(Range range, int most) { return ticks_from(range, most, 1.0); }

std::vector<double> log_ticks(Range range, int most) {
  FELBO_CHECK(range.lo > 0.0 && range.lo < range.hi && most >= 2,
              "a logarithmic axis from {} to {} with at most {} ticks", range.lo, range.hi, most);
  const int first = static_cast<int>(std::ceil(std::log10(range.lo) - kSlack)),
            last = static_cast<int>(std::floor(std::log10(range.hi) + kSlack));
  std::vector<double> ticks;
  if (last - first < 2) {
    for (int power = first - 1; power <= last; ++power) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double tick = digit * std::pow(10.0, power);
        if (tick >= range.lo * (1.0 - kSlack) && tick <= range.hi * (1.0 + kSlack)) ticks.push_back(tick);
      }
    }
    return ticks;
  }
  const int stride = (last - first) / most + 1;
  for (int power = first; power <= last; power += stride) ticks.push_back(std::pow(10.0, power));
  return ticks;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0;
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - kSlack)));
  double largest = 0.0;
  for (const double tick : ticks) largest = std::max(largest, std::abs(tick));
  for (const double tick : ticks)
    labels.push_back(decimals > 4 || largest >= 1e6 ? shortest(tick) : fixed(tick, decimals));
  return labels;
}

std::vector<std::string> log_tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  for (const double tick : ticks) labels.push_back(shortest(tick, 3));
  return labels;
}

}  // namespace felbo::report
