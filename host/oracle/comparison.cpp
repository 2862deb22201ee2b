#include "host/oracle/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace felbo::oracle {
namespace {

const char* relation(Side side) { return side == Side::kBoth ? "=" : side == Side::kAtMost ? "<=" : ">="; }

/// The difference as a number of standard errors, or as a share of the allowed one where nothing is random.
std::string score(const Comparison& c) {
  if (c.standard_error > 0.0) return fmt::format("{:+.2f}", c.difference() / c.standard_error);
  return fmt::format("{:.0f} %", 100.0 * std::abs(c.difference()) / c.rounding);
}

}  // namespace

bool Comparison::ok() const {
  const bool low_enough = difference() <= allowed() || (side == Side::kAtLeast && !std::isnan(difference()));
  const bool high_enough = difference() >= -allowed() || (side == Side::kAtMost && !std::isnan(difference()));
  return std::isfinite(value) && std::isfinite(exact) && std::isfinite(allowed()) && low_enough &&
         high_enough;
}

std::int64_t OracleReport::failed() const {
  return std::ranges::count_if(results, [](const Comparison& c) { return !c.ok(); });
}

std::string OracleReport::first_failure() const {
  const auto found = std::ranges::find_if(results, [](const Comparison& c) { return !c.ok(); });
  if (found == results.end()) return results.empty() ? "nothing was compared" : "";
  return fmt::format(
      "{} ({}): got {:.6f}, expected {} {:.6f} within {:.6f} ({} standard errors of {:.6f} and {:.6f})",
      found->name, found->model, found->value, relation(found->side), found->exact, found->allowed(),
      kStandardErrors, found->standard_error, found->rounding);
}

std::string oracle_table_head() {
  return fmt::format("{:<27} {:<33} {:>12} {:>2} {:>12} {:>11} {:>10} {:>10}\n", "model", "estimate, nats",
                     "value", "", "exact", "std. error", "std. errs", "allowed");
}

std::string oracle_table_line(const Comparison& c) {
  return fmt::format("{:<27} {:<33} {:12.5f} {:>2} {:12.5f} {:>11} {:>10} {:10.6f}  {}\n", c.model, c.name,
                     c.value, relation(c.side), c.exact,
                     c.standard_error > 0.0 ? fmt::format("{:.6f}", c.standard_error) : "none", score(c),
                     c.allowed(), c.ok() ? "ok" : "FAILED");
}

std::string oracle_table_totals(const OracleReport& report) {
  return fmt::format(
      "{} comparisons, {} failed. A line fails beyond {} standard errors and the rounding of floats.\n"
      "(%: of the allowed difference, where nothing is random.)\n",
      report.results.size(), report.failed(), kStandardErrors);
}

}  // namespace felbo::oracle
