#include <algorithm>
#include <cmath>

#include "kernels/common/lanes.h"
#include "kernels/mixture_prior/mixture_prior.h"
#include "kernels/mixture_prior/mixture_prior_check.h"
#include "kernels/mixture_prior/mixture_prior_math.h"

namespace felbo {
namespace {

namespace mm = mixture_math;

constexpr std::int64_t kTile = 64;      // components whose log-densities are held at a time
constexpr std::int64_t kColumns = 64;   // summed over rows side by side
constexpr std::int64_t kGrain = 16384;  // elements times components that are worth a thread

/// log sum_k exp(logit_k), in double.
double log_total(View<const float, 1> logit) {
  const double max = static_cast<double>(*std::max_element(logit.begin(), logit.end()));
  double sum = 0.0;
  for (const float l : logit) sum += std::exp(static_cast<double>(l) - max);
  return max + std::log(sum);
}

void fill_table(const GaussianMixture& m, mm::Table<float> table) {
  const std::int64_t K = m.mu.rows, Z = m.mu.cols;
  const double total = m.logit.empty() ? std::log(static_cast<double>(K)) : log_total(m.logit);
  for (std::int64_t k = 0; k < K; ++k) {
    const float* v = m.log_var.row(k);
    float* __restrict inverse = table.inverse + k * Z;
    const LogVarClamp clamp = m.clamp;
    for (std::int64_t d = 0; d < Z; ++d) inverse[d] = math::exp(-clamp_log_var(v[d], clamp));
    const double log_det = lane_sum(Z, [&](std::int64_t d) { return clamp_log_var(v[d], clamp); });
    const double log_share = (m.logit.empty() ? 0.0 : static_cast<double>(m.logit(k))) - total;
    table.constant[k] =
        static_cast<float>(log_share - 0.5 * (static_cast<double>(Z) * mm::kLog2Pi + log_det));
    table.share[k] = static_cast<float>(std::exp(log_share));
  }
}

/// A sum of exponentials, relative to the largest.
struct LogSum {
  double max, sum;
};

double component_density(const MixturePriorArgs& a, mm::Table<const float> table, std::int64_t r,
                         std::int64_t k) {
  const std::int64_t Z = a.z.cols;
  const float *z = a.z.row(r), *m = a.mixture.mu.row(k), *inverse = table.inverse + k * Z;
  return mm::log_density(table.constant[k],
                         lane_sum(Z, [&](std::int64_t d) { return mm::distance(z[d], m[d], inverse[d]); }));
}

/// One row: log p(z).
LogSum row_density(const MixturePriorArgs& a, mm::Table<const float> table, std::int64_t r) {
  const std::int64_t K = a.mixture.mu.rows;
  double l[kTile];
  LogSum all{-HUGE_VAL, 0.0};
  for (std::int64_t begin = 0; begin < K; begin += kTile) {
    const std::int64_t count = std::min(kTile, K - begin);
    double max = all.max;
    for (std::int64_t i = 0; i < count; ++i) {
      l[i] = component_density(a, table, r, begin + i);
      max = l[i] > max ? l[i] : max;
    }
    // Nothing to carry over at first, where infinity less infinity would be no number.
    double sum = begin == 0 ? 0.0 : all.sum * std::exp(all.max - max);
    for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(mm::relative(l[i], max));
    all = {max, sum};
  }
  a.log_pz(r) = static_cast<float>(all.max + std::log(all.sum));
  return all;
}

/// The responsibilities of one row, from log-densities made once more: K of them have no place to wait in
/// that keeps their digits.
void row_responsibilities(const MixturePriorArgs& a, mm::Table<const float> table, std::int64_t r,
                          const LogSum& all) {
  const auto total = static_cast<float>(all.sum);
  for (std::int64_t k = 0; k < a.mixture.mu.rows; ++k)
    a.responsibility(r, k) = mm::relative(component_density(a, table, r, k), all.max) / total;
}

void add_row_gradient(const MixturePriorGradArgs& a, mm::Table<const float> table, std::int64_t r) {
  const std::int64_t Z = a.z.cols;
  const float* z = a.z.row(r);
  const float* responsibility = a.responsibility.row(r);
  const float scale = mm::row_scale(a, r);
  for (std::int64_t begin = 0; begin < Z; begin += kColumns) {
    const std::int64_t count = std::min(kColumns, Z - begin);
    float sum[kColumns] = {};
    for (std::int64_t k = 0; k < a.mixture.mu.rows; ++k) {
      const float *m = a.mixture.mu.row(k) + begin, *inverse = table.inverse + k * Z + begin;
      const float share = responsibility[k];
      for (std::int64_t d = 0; d < count; ++d) {
        sum[d] = math::fma(share, mm::pull(z[begin + d], m[d], inverse[d]), sum[d]);
      }
    }
    float* __restrict grad_z = a.grad_z.row(r) + begin;
    for (std::int64_t d = 0; d < count; ++d) grad_z[d] = math::fma(scale, sum[d], grad_z[d]);
  }
}

/// Gradients by m and v of component k, columns [begin, begin + count), the rows in their order.
void component_gradient(const MixturePriorGradArgs& a, mm::Table<const float> table, std::int64_t k,
                        std::int64_t begin, std::int64_t count) {
  double by_mu[kColumns] = {}, by_log_var[kColumns] = {};
  const float *m = a.mixture.mu.row(k) + begin, *v = a.mixture.log_var.row(k) + begin,
              *inverse = table.inverse + k * a.z.cols + begin;
  for (std::int64_t r = 0; r < a.z.rows; ++r) {
    const float* z = a.z.row(r) + begin;
    const float share = math::mul(mm::row_scale(a, r), a.responsibility(r, k));
    for (std::int64_t d = 0; d < count; ++d) {
      const float pull = mm::pull(z[d], m[d], inverse[d]), square = mm::distance(z[d], m[d], inverse[d]);
      by_mu[d] += static_cast<double>(math::mul(share, pull));
      by_log_var[d] += static_cast<double>(math::mul(share, math::add(square, -1.0f)));
    }
  }
  for (std::int64_t d = 0; d < count; ++d) {
    a.grad_mu(k, begin + d) = static_cast<float>(-by_mu[d]);
    a.grad_log_var(k, begin + d) =
        is_clamped(v[d], a.mixture.clamp) ? 0.0f : static_cast<float>(-0.5 * by_log_var[d]);
  }
}

float logit_gradient(const MixturePriorGradArgs& a, float share, std::int64_t k) {
  double sum = 0.0;
  for (std::int64_t r = 0; r < a.z.rows; ++r) {
    sum += static_cast<double>(mm::row_scale(a, r)) *
           (static_cast<double>(a.responsibility(r, k)) - static_cast<double>(share));
  }
  return static_cast<float>(-sum);
}

}  // namespace

std::int64_t mixture_scratch(std::int64_t components, std::int64_t latent) {
  return components * (latent + 2);
}

void mixture_prior(const CpuExec& exec, const MixturePriorArgs& a) {
  check(a);
  const std::int64_t K = a.mixture.mu.rows, Z = a.z.cols;
  const mm::Table<float> table = mm::table(a.scratch, K, Z);
  fill_table(a.mixture, table);
  exec.parallel_for(a.z.rows, 1 + kGrain / (K * Z), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const mm::Table<const float> ready{table.inverse, table.constant, table.share};
      const LogSum all = row_density(a, ready, r);
      if (!a.responsibility.empty()) row_responsibilities(a, ready, r, all);
    }
  });
}

void mixture_prior_backward(const CpuExec& exec, const MixturePriorGradArgs& a) {
  check(a);
  const std::int64_t K = a.mixture.mu.rows, Z = a.z.cols;
  const mm::Table<const float> table = mm::table(a.scratch, K, Z);
  exec.parallel_for(a.z.rows, 1 + kGrain / (K * Z), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) add_row_gradient(a, table, r);
  });
  if (a.grad_mu.empty()) return;
  exec.parallel_for(K, 1 + kGrain / (a.z.rows * Z + 1), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) {
      for (std::int64_t begin = 0; begin < Z; begin += kColumns) {
        component_gradient(a, table, k, begin, std::min(kColumns, Z - begin));
      }
      if (!a.grad_logit.empty()) a.grad_logit(k) = logit_gradient(a, table.share[k], k);
    }
  });
}

}  // namespace felbo
