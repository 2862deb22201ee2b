// The page that `felbo bench --report` writes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace felbo::report {

/// The results of a run of `felbo bench`, as its --json prints them: the roofline (Williams, Waterman and
/// Patterson, CACM 2009) of the ops that declare bytes and operations, against the peaks measured in the same
/// run, and the table. No plot where no peaks were measured or no op declares both. Throws
/// std::invalid_argument without results.
std::string roofline_page(const nlohmann::ordered_json& bench, const std::string& version);

/// Operations a second that an op of `intensity` operations a byte can reach at most.
double attainable(double intensity, double bytes_per_second, double flops_per_second);

}  // namespace felbo::report
