#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/isotropic/isotropic.h"
#include "kernels/isotropic/isotropic_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread

}  // namespace

void repeat_log_var(const CpuExec& exec, const RepeatLogVarArgs& a) {
  check(a);
  exec.parallel_for(a.one.rows, 1 + kGrain / (a.log_var.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) std::fill_n(a.log_var.row(b), a.log_var.cols, a.one(b, 0));
  });
}

void sum_log_var_grad(const CpuExec& exec, const SumLogVarGradArgs& a) {
  check(a);
  const std::int64_t Z = a.grad_log_var.cols;
  exec.parallel_for(a.grad_one.rows, 1 + kGrain / (Z + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float* row = a.grad_log_var.row(b);
      a.grad_one(b, 0) = static_cast<float>(lane_sum(Z, [&](std::int64_t d) { return row[d]; }));
    }
  });
}

}  // namespace felbo
