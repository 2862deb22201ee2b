#include "kernels/normal_cdf/normal_cdf.h"
#include "kernels/normal_cdf/normal_cdf_check.h"
#include "kernels/normal_cdf/normal_cdf_math.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 8192;  // elements that are worth a thread

void cdf_of(const float* __restrict z, std::int64_t n, float* __restrict u) {
  for (std::int64_t i = 0; i < n; ++i) u[i] = normal_cdf_math::cdf(z[i]);
}
void gradient_of(const float* __restrict z, std::int64_t n, float* __restrict grad) {
  for (std::int64_t i = 0; i < n; ++i) grad[i] = normal_cdf_math::gradient(z[i], grad[i]);
}

}  // namespace

void normal_cdf(const CpuExec& exec, const NormalCdfArgs& args) {
  check(args);
  exec.parallel_for(args.z.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    cdf_of(args.z.data + begin, end - begin, args.u.data + begin);
  });
}

void normal_cdf_backward(const CpuExec& exec, const NormalCdfGradArgs& args) {
  check(args);
  exec.parallel_for(args.z.size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    gradient_of(args.z.data + begin, end - begin, args.grad.data + begin);
  });
}

}  // namespace felbo
