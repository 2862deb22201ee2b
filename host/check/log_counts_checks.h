// What the encoder of counts reads.
#pragma once

#include <vector>

#include "host/check/check.h"
#include "host/check/inputs.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/log_counts/log_counts.h"
#include "kernels/log_counts/log_counts_reference.h"

namespace felbo::checks {

template <class Exec>
void check_log_counts(const Exec& exec, Parity& parity) {
  for (const std::int64_t size : kWidths) {
    parity.begin_case(fmt::format("N {}", size));
    std::vector<float> counts;
    for (std::int64_t i = 0; i < size; ++i)
      counts.push_back(static_cast<float>(i * 7919 % (i % 3 == 0 ? 16777216 : 50)));
    Mirror<Exec, float> x = row_of(exec, counts, {0, size % 3}), y(exec, 1, size, {0, size % 4});
    log_counts(exec, LogCountsArgs{x.vector(), y.vector()});
    Values want, tolerance;
    for (const double count : x.doubles()) {
      want.push_back(reference::log_count(count));
      tolerance.push_back(2 * kEps * want.back());  // a logarithm within 2 ulp
    }
    y.judge(parity, "y", want, tolerance);
  }
}

template <class Exec>
void add_log_counts_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"log_counts/float", check_log_counts<Exec>});
}

}  // namespace felbo::checks
