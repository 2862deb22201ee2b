// What an op says of its own work.
#pragma once

#include <benchmark/benchmark.h>

namespace felbo::bench {

/// Floating-point operations of an iteration, counted in the op's mathematics and not in its instructions: +,
/// -,
/// *, / and each exp, log, sqrt, tanh, sine and cosine are one, so a polynomial in place of an exp makes no
/// kernel look faster. Integer operations (Philox, indices), comparisons and conversions are none.
inline void declare_flops(benchmark::State& state, double flops) {
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace felbo::bench
