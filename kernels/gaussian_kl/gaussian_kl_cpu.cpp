#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/gaussian_kl/gaussian_kl.h"
#include "kernels/gaussian_kl/gaussian_kl_check.h"
#include "kernels/gaussian_kl/gaussian_kl_math.h"

namespace felbo {
namespace {

namespace gm = gaussian_kl_math;

constexpr std::int64_t kGrain = 2048;  // elements that are worth a thread
constexpr std::int64_t kColumns = 64;  // summed over the batch side by side

/// Columns [begin, begin + count), the rows in their order.
void backward_columns(const GaussianKlGradArgs& a, float kl_scale, std::int64_t begin, std::int64_t count) {
  double by_mean[kColumns] = {}, by_log_var[kColumns] = {};
  const float *m = a.prior_mu.data + begin, *v = a.prior_log_var.data + begin;
  const LogVarClamp clamp = a.clamp;
  for (std::int64_t b = 0; b < a.mu.rows; ++b) {
    const float *mu = a.mu.row(b) + begin, *log_var = a.log_var.row(b) + begin;
    float* __restrict grad_mu = a.grad_mu.row(b) + begin, * __restrict grad_log_var =
                                                              a.grad_log_var.row(b) + begin;
    for (std::int64_t d = 0; d < count; ++d) {
      const gm::Terms t = gm::terms(mu[d], log_var[d], m[d], v[d], clamp);
      grad_mu[d] = math::fma(kl_scale, t.pull, grad_mu[d]);
      grad_log_var[d] =
          math::add(math::select(is_clamped(log_var[d], clamp), 0.0f, math::mul(kl_scale, gm::by_log_var(t))),
                    grad_log_var[d]);
      by_mean[d] += static_cast<double>(t.pull);
      by_log_var[d] += static_cast<double>(gm::by_prior_log_var(t));
    }
  }
  for (std::int64_t d = 0; d < count; ++d) {
    const auto scale = static_cast<double>(kl_scale);
    a.grad_prior_mu(begin + d) = static_cast<float>(-scale * by_mean[d]);
    a.grad_prior_log_var(begin + d) =
        is_clamped(v[d], clamp) ? 0.0f : static_cast<float>(scale * by_log_var[d]);
  }
}

}  // namespace

void gaussian_kl(const CpuExec& exec, const GaussianKlArgs& a) {
  check(a);
  exec.parallel_for(a.mu.rows, 1 + kGrain / (a.mu.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float *mu = a.mu.row(b), *log_var = a.log_var.row(b);
      a.kl(b) = static_cast<float>(lane_sum(a.mu.cols, [&](std::int64_t d) {
        return gm::kl(gm::terms(mu[d], log_var[d], a.prior_mu(d), a.prior_log_var(d), a.clamp));
      }));
    }
  });
}

void gaussian_kl_backward(const CpuExec& exec, const GaussianKlGradArgs& a) {
  check(a);
  const float kl_scale = a.kl_scale.get();
  const std::int64_t blocks = (a.mu.cols + kColumns - 1) / kColumns;
  exec.parallel_for(blocks, 1 + 64 / (a.mu.rows + 1), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t begin = first * kColumns; begin < std::min(last * kColumns, a.mu.cols);
         begin += kColumns) {
      backward_columns(a, kl_scale, begin, std::min(kColumns, a.mu.cols - begin));
    }
  });
}

}  // namespace felbo
