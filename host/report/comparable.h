// Which figures may stand beside each other.
#pragma once

#include <string>
#include <vector>

#include "host/report/run_record.h"

namespace felbo::report {

/// What p(x) of a run measures, in words: the probability of levels or counts, or a density over real values.
/// Numbers of two measures differ by more than the models do (log p of bytes as 256 levels and as reals / 255
/// differ by log 255 a dimension).
std::string likelihood_measure(const RunConfig& config);

/// What becomes of grey pixels before a likelihood sees them, in words.
std::string binarisation(const RunConfig& config);

/// Throws std::invalid_argument, naming the two runs and what differs, unless all figures of the runs are in
/// the same unit, of the same likelihood measure, data (name, columns, fingerprints in the checkpoint where
/// there are any), held-out share and binarisation; also where evaluations are of different data or parts.
void check_comparable(const std::vector<RunRecord>& runs);

/// Runs that differ in their seed and in nothing else that decides a result: two or more each.
std::vector<std::vector<const RunRecord*>> seed_groups(const std::vector<RunRecord>& runs);

/// Mean over runs and its standard error (divisor n - 1).
struct OverRuns {
  double mean = 0.0;
  double standard_error = 0.0;
};
OverRuns over_runs(const std::vector<double>& values);

}  // namespace felbo::report
