// The parts of the page on runs, but for the curves: each an HTML text, empty if there is nothing to say.
#pragma once

#include <string>
#include <vector>

#include "host/report/page.h"
#include "host/report/run_record.h"

namespace felbo::report {

using Runs = std::vector<RunRecord>;

/// The figures of the last epoch of one run.
std::string headline(const RunRecord& run);
/// A row a run, then a row for each group of runs that differ in their seed alone.
std::string comparison(const Runs& runs);
/// What `felbo evaluate --save` has left.
std::string evaluations(const Runs& runs);
/// KL by dimension and active units, from the same.
std::string latent_dimensions(const Runs& runs);
std::string pictures(const Runs& runs);
/// What the figures mean and how they were made; `constant` says which columns never changed.
std::string ledger(const Runs& runs, const std::vector<std::string>& constant);
/// Every flag of every run; those that differ are marked.
std::string configuration(const Runs& runs);
/// The figures behind the curves, to unfold.
std::string epochs_in_full(const Runs& runs);

}  // namespace felbo::report
