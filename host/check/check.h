// `felbo check`: what is checked, and what came of it.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "host/check/parity.h"
#include "kernels/common/check.h"

namespace felbo::checks {

/// One line of the report: an op, or a variant of one, in several sizes.
template <class Exec>
struct Check {
  std::string name;  // "op/variant"
  /// Makes inputs, runs the op on them and compares what it wrote with the reference in double.
  std::function<void(const Exec&, Parity&)> run;
};

/// What came of a check.
struct CheckResult {
  std::string name;
  std::int64_t cases = 0;
  std::int64_t compared = 0;  // elements
  std::int64_t failed = 0;    // elements, and failures that are no element's
  double worst = 0.0;         // largest error as a share of its tolerance; infinity for a NaN
  bool exact = false;         // all elements had to be equal
  std::string failure;        // the first: case, array, place, got, want, tolerance

  bool ok() const { return compared > 0 && failed == 0; }
};

struct CheckReport {
  std::vector<CheckResult> results;
  std::int64_t compared = 0;
  std::int64_t failed = 0;
  std::int64_t skipped = 0;  // checks that the filter left out

  bool ok() const { return compared > 0 && failed == 0; }
  /// "op/variant, case: array(i, j): got ..." of the first failure; empty if nothing failed.
  std::string first_failure() const;
};

/// Adds what a check's comparisons came to, and its sums. Having compared nothing is a failure.
void add_result(CheckReport& report, const std::string& name, Parity parity);

/// The regular expression of --filter. Throws std::invalid_argument that names --filter if it is none.
std::regex filter_from(const std::string& text);

/// A table for a person: its head, a line a result, the totals.
std::string table_head();
std::string table_line(const CheckResult& result);
std::string table_totals(const CheckReport& report);

/// Runs the checks whose name `filter` matches somewhere, and calls `tell` with each result as it comes. What
/// a check throws is its failure; the others go on. Throws std::invalid_argument if the filter is no regular
/// expression or leaves nothing.
template <class Exec, class Tell>
CheckReport run_checks(const Exec& exec, const std::vector<Check<Exec>>& checks, const std::string& filter,
                       const Tell& tell) {
  const std::regex wanted = filter_from(filter);
  CheckReport report;
  for (const Check<Exec>& check : checks) {
    if (!std::regex_search(check.name, wanted)) {
      ++report.skipped;
      continue;
    }
    Parity parity;
    try {
      check.run(exec, parity);
    } catch (const std::exception& error) {
      parity.fail(error.what());
    }
    add_result(report, check.name, parity);
    tell(report.results.back());
  }
  FELBO_CHECK(checks.empty() || !report.results.empty(), "--filter '{}' matches no check", filter);
  return report;
}

}  // namespace felbo::checks
