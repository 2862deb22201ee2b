// How the cost of a training step grows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/stepped_model.h"
#include "host/exec/precision.h"

namespace felbo::bench {

/// A step of one of the sizes of a sweep.
struct SizeCost {
  std::int64_t size;
  StepShape shape;
  double seconds;  // of a step, median over rounds
  double on_line;  // seconds by those of the line fitted to the sweep
};

/// One size of a step varied, the others held.
struct Growth {
  std::string varied;  // B, S, X, Z, H (the width of the hidden layers) or depth (their number)
  std::vector<SizeCost> costs;
  /// The line offset + slope size that has the least squares of (seconds - line) / seconds.
  double offset, slope;
  /// The slope of log(seconds) over log(size) by least squares: 1 where cost is proportional to the size.
  double exponent;
  /// The largest |on_line - 1| of the sweep.
  double departure;
};

/// The sizes that are varied, in the order of their report.
std::vector<std::string> scaling_names();
/// Times the steps of a sweep of `varied` in turn, round by round, so that a machine whose speed drifts slows
/// all sizes alike. In `precision`, which on a CPU is fp32. Throws std::invalid_argument if no such size is
/// varied.
Growth measure_growth(const std::string& varied, Precision precision);

/// offset, slope, exponent and departure of what `costs` hold, and on_line of each. At least 2 sizes.
Growth growth_of(std::string varied, std::vector<SizeCost> costs);

}  // namespace felbo::bench
