#include "benchmarks/unfused_math.h"
#include "host/exec/cpu_exec.h"
#include "kernels/common/lanes.h"

namespace felbo::bench {
namespace {

namespace rm = reparameterize_math;

constexpr std::int64_t kGrain = 4096;  // elements that are worth a thread

/// f(row) for all rows of `cols` elements.
template <class F>
void for_rows(const CpuExec& exec, std::int64_t rows, std::int64_t cols, const F& f) {
  exec.parallel_for(rows, 1 + kGrain / (cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) f(b);
  });
}

}  // namespace

void unfused_sample(const CpuExec& exec, const UnfusedArgs& a) {
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t b) {
    const float *mu = a.mu.row(b), *log_var = a.log_var.row(b), *eps = a.eps.row(b);
    float* __restrict z = a.z.row(b);
    const LogVarClamp bounds = a.clamp;
    for (std::int64_t d = 0; d < a.mu.cols; ++d) z[d] = unfused_z(mu[d], log_var[d], eps[d], bounds);
  });
}

void unfused_kl(const CpuExec& exec, const UnfusedArgs& a) {
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t b) {
    const float *mu = a.mu.row(b), *log_var = a.log_var.row(b);
    const LogVarClamp bounds = a.clamp;
    a.kl(b) = static_cast<float>(lane_sum(
        a.mu.cols, [&](std::int64_t d) { return rm::kl(mu[d], clamp_log_var(log_var[d], bounds)); }));
  });
}

void unfused_likelihood_gradient(const CpuExec& exec, UnfusedLikelihood which, const UnfusedArgs& a) {
  with_unfused_family(which, [&](const auto& family) {
    for_rows(exec, a.x.rows, a.x.cols, [&](std::int64_t b) {
      const float* x = a.x.row(b);
      float* __restrict output = a.output.row(b);
      const auto own = family;
      const float scale = a.grad_scale;
      for (std::int64_t j = 0; j < a.x.cols; ++j)
        output[j] = unfused_output_gradient(own, x[j], output[j], scale);
    });
  });
}

void unfused_kl_gradient(const CpuExec& exec, const UnfusedArgs& a) {
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t b) {
    const float *mu = a.mu.row(b), *log_var = a.log_var.row(b);
    float* __restrict grad_mu = a.grad_mu.row(b), * __restrict grad_log_var = a.grad_log_var.row(b);
    const LogVarClamp bounds = a.clamp;
    const float scale = a.kl_scale;
    for (std::int64_t d = 0; d < a.mu.cols; ++d) {
      grad_mu[d] = math::mul(scale, mu[d]);
      grad_log_var[d] = rm::kl_grad_log_var(log_var[d], scale, bounds);
    }
  });
}

void unfused_sample_gradient(const CpuExec& exec, const UnfusedArgs& a) {
  for_rows(exec, a.mu.rows, a.mu.cols, [&](std::int64_t b) {
    const float *log_var = a.log_var.row(b), *eps = a.eps.row(b), *grad_z = a.grad_z.row(b);
    float* __restrict grad_mu = a.grad_mu.row(b), * __restrict grad_log_var = a.grad_log_var.row(b);
    const LogVarClamp bounds = a.clamp;
    for (std::int64_t d = 0; d < a.mu.cols; ++d) {
      grad_mu[d] = math::add(grad_z[d], grad_mu[d]);
      grad_log_var[d] = math::add(unfused_through_z(grad_z[d], log_var[d], eps[d], bounds), grad_log_var[d]);
    }
  });
}

}  // namespace felbo::bench
