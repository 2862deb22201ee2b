// The training curves of runs, as HTML.
#pragma once

#include <string>
#include <vector>

#include "host/report/run_record.h"

namespace felbo::report {

/// A figure for each quantity that metrics.jsonl holds and that changes: held-out and training curves of one
/// run on the same axes; of several runs a curve a run, held-out and training apart. Columns that felbo does
/// not know are drawn under their own names. `left_out` gets the names and values of those that never change.
struct Curves {
  std::string html;
  std::vector<std::string> left_out;
};
Curves curves(const std::vector<RunRecord>& runs);

}  // namespace felbo::report
