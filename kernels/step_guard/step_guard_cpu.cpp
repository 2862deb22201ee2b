#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/step_guard/step_guard.h"
#include "kernels/step_guard/step_guard_check.h"
#include "kernels/step_guard/step_guard_math.h"

namespace felbo {
namespace {

using step_guard_math::kChunk;

constexpr std::int64_t kGrain = 16;  // chunks that are worth a thread

/// Sum of x^2. The square of a float is exact in double.
double sum_of_squares(const float* __restrict x, std::int64_t n) {
  double lane[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const auto g = static_cast<double>(x[j + l]);
      lane[l] += g * g;
    }
  }
  for (int l = 0; j < n; ++j, ++l) lane[l] += static_cast<double>(x[j]) * static_cast<double>(x[j]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}

}  // namespace

std::int64_t step_guard_scratch(std::int64_t parameters) { return (parameters + kChunk - 1) / kChunk; }

void guard_step(const CpuExec& exec, const GuardStepArgs& args) {
  check(args);
  exec.parallel_for(args.partial.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      const std::int64_t at = c * kChunk;
      args.partial(c) = sum_of_squares(args.gradient.data + at, std::min(kChunk, args.gradient.size - at));
    }
  });
  double squares = 0.0;
  for (const double sum : args.partial) squares += sum;
  step_guard_math::judge(args, squares);
  step_guard_math::clear(args);
}

}  // namespace felbo
