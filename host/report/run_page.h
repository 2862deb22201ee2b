// The page that `felbo report` writes.
#pragma once

#include <string>
#include <vector>

#include "host/report/run_record.h"

namespace felbo::report {

/// One run, or several side by side: headline figures, curves, pictures, what the latent dimensions carry,
/// the ledger of what the figures mean, and the configuration. The page depends on the runs and `version`
/// alone. Throws std::invalid_argument as check_comparable() does, for no run and for more than kMostStyles.
std::string run_page(std::vector<RunRecord> runs, const std::string& version);

}  // namespace felbo::report
