#include "benchmarks/scaling_bench.h"

#include <cmath>
#include <functional>
#include <memory>

#include "benchmarks/timer.h"

namespace felbo::bench {
namespace {

constexpr int kRounds = 9;
constexpr double kSecondsEach = 0.1;

struct Sweep {
  std::string varied;
  std::vector<std::int64_t> sizes;
  StepShape (*shape)(std::int64_t size);
};

/// All around the 784-500-20 step.
const std::vector<Sweep>& sweeps() {
  using I = std::int64_t;
  static const std::vector<Sweep> all{
      {"B",
       {1000, 2000, 4000, 8000, 16000, 32000, 64000},
       [](I n) {
         return StepShape{784, {500}, 20, n};
       }},
      {"S",
       {1, 2, 4, 8, 16, 32, 64},
       [](I n) {
         return StepShape{784, {500}, 20, 500, static_cast<int>(n)};
       }},
      {"X",
       {256, 512, 1024, 2048, 4096, 8192},
       [](I n) {
         return StepShape{n, {500}, 20, 512};
       }},
      {"Z",
       {16, 64, 256, 1024, 4096},
       [](I n) {
         return StepShape{784, {500}, n, 512};
       }},
      {"H",
       {128, 256, 512, 1024, 2048, 4096},
       [](I n) {
         return StepShape{784, {n}, 20, 512};
       }},
      {"depth", {1, 2, 3, 4, 6, 8}, [](I n) {
         return StepShape{784, std::vector<I>(static_cast<std::size_t>(n), 500), 20, 512};
       }}};
  return all;
}

/// T: as TrainingStep's.
template <class T, class Exec>
std::vector<SizeCost> costs_on(const Exec& exec, const Sweep& sweep) {
  std::vector<SizeCost> costs;
  std::vector<std::unique_ptr<SteppedModel<Exec, T>>> steps;
  std::vector<int> calls;
  for (const std::int64_t size : sweep.sizes) {
    costs.push_back({size, sweep.shape(size), 0.0, 0.0});
    steps.push_back(std::make_unique<SteppedModel<Exec, T>>(exec, costs.back().shape));
    calls.push_back(calls_for(
        exec, [&] { (*steps.back())(); }, kSecondsEach));
  }
  std::vector<std::vector<double>> seconds(costs.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < costs.size(); ++i)
      seconds[i].push_back(seconds_per_call(
          exec, [&] { (*steps[i])(); }, calls[i]));
  }
  for (std::size_t i = 0; i < costs.size(); ++i) costs[i].seconds = median(seconds[i]);
  return costs;
}

std::vector<SizeCost> costs_in(const CpuExec& exec, const Sweep& sweep, Precision) {
  return costs_on<float>(exec, sweep);
}
#if FELBO_WITH_CUDA
std::vector<SizeCost> costs_in(const CudaExec& exec, const Sweep& sweep, Precision precision) {
  const CudaExec in_precision = exec.with_precision(precision);
  if (precision == Precision::kBf16) return costs_on<BFloat16>(in_precision, sweep);
  return costs_on<float>(in_precision, sweep);
}
#endif

/// The line y = offset + slope x of least sum of weight (y - line)^2.
struct Line {
  double offset, slope;
};
template <class X, class Y, class W>
Line fit(const std::vector<SizeCost>& costs, const X& x, const Y& y, const W& weight) {
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (const SizeCost& c : costs) {
    const double a = weight(c);
    w += a, wx += a * x(c), wy += a * y(c), wxx += a * x(c) * x(c), wxy += a * x(c) * y(c);
  }
  const double slope = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  return {(wy - slope * wx) / w, slope};
}

}  // namespace

std::vector<std::string> scaling_names() {
  std::vector<std::string> names;
  for (const Sweep& sweep : sweeps()) names.push_back(sweep.varied);
  return names;
}

Growth measure_growth(const std::string& varied, Precision precision) {
  for (const Sweep& sweep : sweeps()) {
    if (sweep.varied != varied) continue;
    return growth_of(varied, on_device([&](const auto& exec) { return costs_in(exec, sweep, precision); }));
  }
  throw std::invalid_argument("no sweep varies '" + varied + "'");
}

Growth growth_of(std::string varied, std::vector<SizeCost> costs) {
  const auto size = [](const SizeCost& c) { return static_cast<double>(c.size); };
  const auto seconds = [](const SizeCost& c) { return c.seconds; };
  const Line line =
      fit(costs, size, seconds, [](const SizeCost& c) { return 1.0 / (c.seconds * c.seconds); });
  const Line logs = fit(
      costs, [&](const SizeCost& c) { return std::log(size(c)); },
      [&](const SizeCost& c) { return std::log(c.seconds); }, [](const SizeCost&) { return 1.0; });
  double departure = 0.0;
  for (SizeCost& c : costs) {
    c.on_line = c.seconds / (line.offset + line.slope * size(c));
    departure = std::max(departure, std::abs(c.on_line - 1.0));
  }
  return {std::move(varied), std::move(costs), line.offset, line.slope, logs.slope, departure};
}

}  // namespace felbo::bench
