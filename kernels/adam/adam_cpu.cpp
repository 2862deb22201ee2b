#include "kernels/adam/adam.h"
#include "kernels/adam/adam_check.h"
#include "kernels/adam/adam_math.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 16384;  // parameters that are worth a thread

void update(const AdamStep& step, float scale, std::int64_t n, const float* __restrict gradient,
            float* __restrict parameter, float* __restrict m, float* __restrict v) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = math::mul(scale, gradient[i]);
    m[i] = adam_math::first_moment(step, m[i], g);
    v[i] = adam_math::second_moment(step, v[i], g);
    parameter[i] = adam_math::parameter(step, parameter[i], m[i], v[i]);
  }
}

}  // namespace

void adam(const CpuExec& exec, const AdamArgs& args) {
  check(args);
  const AdamStep step = args.step.get();
  const float scale = args.scale.get();
  if (scale == 0.0f) return;
  exec.parallel_for(args.parameter.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    update(step, scale, end - begin, args.gradient.data + begin, args.parameter.data + begin,
           args.m.data + begin, args.v.data + begin);
    if (!args.rounded.empty()) {
      round_to_bfloat16(args.parameter.data + begin, end - begin, args.rounded.data + begin);
    }
  });
}

}  // namespace felbo
