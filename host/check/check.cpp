#include "host/check/check.h"

#include <fmt/format.h>

#include <cmath>

namespace felbo::checks {
namespace {

std::string worst_of(const CheckResult& result) {
  if (result.compared == 0) return "-";
  if (!std::isfinite(result.worst)) return "inf";
  return result.exact ? "exact" : fmt::format("{:.3f}", result.worst);
}

}  // namespace

std::string CheckReport::first_failure() const {
  for (const CheckResult& result : results) {
    if (!result.ok()) return result.name + ", " + result.failure;
  }
  return results.empty() ? "nothing was compared" : "";
}

void add_result(CheckReport& report, const std::string& name, Parity parity) {
  if (parity.compared() == 0 && parity.failed() == 0) parity.fail("nothing was compared");
  report.results.push_back({.name = name,
                            .cases = parity.cases(),
                            .compared = parity.compared(),
                            .failed = parity.failed(),
                            .worst = parity.worst(),
                            .exact = parity.compared() > 0 && parity.exact(),
                            .failure = parity.first_failure()});
  report.compared += parity.compared();
  report.failed += parity.failed();
}

std::regex filter_from(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error&) {
    FELBO_CHECK(false, "--filter '{}' is not a regular expression", text);
  }
  return {};
}

std::string table_head() {
  return fmt::format("{:<66} {:>6} {:>10} {:>15}\n", "check", "cases", "elements", "error/tolerance");
}

std::string table_line(const CheckResult& result) {
  const std::string verdict = result.ok() ? "ok" : fmt::format("FAILED ({})", result.failed);
  return fmt::format("{:<66} {:>6} {:>10} {:>15}  {}\n", result.name, result.cases, result.compared,
                     worst_of(result), verdict);
}

std::string table_totals(const CheckReport& report) {
  const std::size_t count = report.results.size();
  return fmt::format("{} check{}, {} elements compared, {} failed; {} check{} skipped\n", count,
                     count == 1 ? "" : "s", report.compared, report.failed, report.skipped,
                     report.skipped == 1 ? "" : "s");
}

}  // namespace felbo::checks
