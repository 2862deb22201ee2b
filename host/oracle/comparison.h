// What an estimator gave, beside what is exact.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace felbo::oracle {

/// A comparison fails beyond this many standard errors. A normal deviate is beyond 6 with probability 2e-9.
inline constexpr double kStandardErrors = 6.0;

/// Which way an estimate may differ from the exact value without bound.
enum class Side {
  kBoth,     // neither: it estimates the exact value itself
  kAtMost,   // below: it is a lower bound in expectation
  kAtLeast,  // above
};

struct Comparison {
  std::string model;
  std::string name;
  double value = 0.0;
  double exact = 0.0;
  double standard_error = 0.0;  // of value, from the noise of its samples; 0 where nothing is random
  double rounding = 0.0;        // what float arithmetic (and a known bias) may add to the difference
  Side side = Side::kBoth;
  double most = std::numeric_limits<double>::infinity();  // passes at most, whatever the standard error

  double difference() const { return value - exact; }
  /// The largest difference that passes.
  double allowed() const {
    const double noise = kStandardErrors * standard_error + rounding;
    return noise > most ? most : noise;  // a NaN is kept
  }
  /// False for a NaN anywhere.
  bool ok() const;
};

struct OracleReport {
  std::vector<Comparison> results;

  std::int64_t failed() const;
  /// False if nothing was compared.
  bool ok() const { return !results.empty() && failed() == 0; }
  /// "name (model): got ..., exact ..., ..." of the first failure; empty if nothing failed.
  std::string first_failure() const;
};

/// A table for a person: its head, a line a comparison, the totals.
std::string oracle_table_head();
std::string oracle_table_line(const Comparison& comparison);
std::string oracle_table_totals(const OracleReport& report);

}  // namespace felbo::oracle
