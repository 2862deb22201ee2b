// Timing on a machine that is not quiet.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "benchmarks/bench_exec.h"

namespace felbo::bench {

/// Seconds of `calls` calls of f, a call, until all that they enqueued is done.
template <class Exec, class F>
double seconds_per_call(const Exec& exec, const F& f, int calls) {
  finish(exec);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) f();
  finish(exec);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
}

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/// Calls that take about `seconds`, at least one; warms f up.
template <class Exec, class F>
int calls_for(const Exec& exec, const F& f, double seconds) {
  f();
  f();  // a GPU has recorded it by now
  return static_cast<int>(std::clamp(seconds / std::max(seconds_per_call(exec, f, 3), 1e-9), 1.0, 1e6));
}

/// Two things timed in turn, so that a machine whose speed drifts slows both alike.
struct PairedTiming {
  double first;   // median seconds of a call of the first
  double second;  // and of the second
  double ratio;   // median over the pairs of first / second
};
template <class Exec, class F, class G>
PairedTiming time_in_pairs(const Exec& exec, const F& first, const G& second, int pairs,
                           double seconds_each) {
  const int first_calls = calls_for(exec, first, seconds_each),
            second_calls = calls_for(exec, second, seconds_each);
  std::vector<double> a, b, ratio;
  for (int i = 0; i < pairs; ++i) {
    a.push_back(seconds_per_call(exec, first, first_calls));
    b.push_back(seconds_per_call(exec, second, second_calls));
    ratio.push_back(a.back() / b.back());
  }
  return {median(a), median(b), median(ratio)};
}

}  // namespace felbo::bench
