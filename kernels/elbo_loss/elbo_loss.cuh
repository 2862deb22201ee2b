// A group of threads a datum: it goes over the row of each sample, then over mu and log_var, so that the ELBO
// of the datum is finished by the threads that hold its parts.
#pragma once

#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/elbo_loss/elbo_loss_check.h"
#include "kernels/likelihood/row.cuh"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {

/// What a datum's row of mu and log_var adds up to.
struct KlTotals {
  double kl = 0.0;
  std::int32_t clamped = 0;
};

/// Four columns of datum b: their KL, and its gradient if kGradient.
template <bool kGradient, class Data>
__device__ void add_kl_quad(const ElboLossArgs<Data>& a, std::int64_t b, std::int64_t quad, float factor,
                            KlTotals& totals) {
  namespace rm = reparameterize_math;
  const std::int64_t col = kQuad * quad, left = a.mu.cols - col;
  const float *mu_row = a.mu.row(b), *log_var_row = a.log_var.row(b);
  float mu[kQuad], log_var[kQuad];
  load_quad(mu_row + col, left, aligned(mu_row), mu);
  load_quad(log_var_row + col, left, aligned(log_var_row), log_var);
  float kl = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    if (i >= left) continue;
    kl += rm::kl(mu[i], clamp_log_var(log_var[i], a.clamp));
    totals.clamped += is_clamped(log_var[i], a.clamp);
    mu[i] = math::mul(factor, mu[i]);
    log_var[i] = rm::kl_grad_log_var(log_var[i], factor, a.clamp);
  }
  totals.kl += static_cast<double>(kl);
  if constexpr (kGradient) {
    float *to_mu = a.grad_mu.row(b), *to_log_var = a.grad_log_var.row(b);
    store_quad(to_mu + col, left, aligned(to_mu), mu);
    store_quad(to_log_var + col, left, aligned(to_log_var), log_var);
  }
}

/// The KL of datum b in every thread of the group; its first thread writes it.
template <class Group, bool kGradient, int kThreads, class Data>
__device__ double kl_of_datum(const ElboLossArgs<Data>& a, std::int64_t b) {
  KlTotals totals;
  if (b < a.x.rows) {
    const float factor = kl_factor(a);
    for (std::int64_t quad = Group::thread(); quad < quads(a.mu.cols); quad += kThreads) {
      add_kl_quad<kGradient>(a, b, quad, factor, totals);
    }
  }
  totals.kl = Group::reduce(totals.kl, Sum());
  totals.clamped = Group::reduce(totals.clamped, Sum());
  if (b < a.x.rows && Group::thread() == 0) {
    a.kl(b) = static_cast<float>(totals.kl);
    a.posterior_clamped(b) = totals.clamped;
  }
  return totals.kl;
}

/// log p(x|z) of sample s of datum b in every thread of the group; its first thread writes it.
template <class Group, bool kGradient, int kThreads, class Source, class Data>
__device__ double log_px_of_sample(const Source& source, const ElboLossArgs<Data>& a, std::int64_t b, int s,
                                   const ElboLossFactors<Data>& factors) {
  using Family = FamilyOf<Source>;
  const std::int64_t r = b * a.samples + s;
  RowTotals totals;
  if (b < a.x.rows) {
    float* grad = kGradient ? a.grad_output.row(r) : nullptr;
    const auto row = row_pointers<kGradient, Family::kOutputs>(XRow<Data>{a.x.row(b), factors.x},
                                                               a.output.row(r), grad, a.x.cols);
    totals = pass_over_runs<kGradient, kThreads>(source.family(), row, Group::thread(), runs<float>(row.n),
                                                 factors.log_px);
  }
  totals = reduce_totals<Group, Family>(totals);
  const double log_px = totals.log_p + source.row_constant(a.x.cols);
  if (b < a.x.rows && Group::thread() == 0) {
    a.log_px_given_z(r) = static_cast<float>(log_px);
    a.clamped(r) = totals.clamped;
  }
  return log_px;
}

/// warp_per_datum for kThreads = 32, block_per_datum above.
template <class Data, class Source, bool kGradient, int kThreads>
__global__ void __launch_bounds__(RowGroup<kThreads>::kBlock, kResidentThreads / RowGroup<kThreads>::kBlock)
    elbo_loss_data(Source source, ElboLossArgs<Data> a, ElboLossFactors<Data> factors) {
  using Group = RowGroup<kThreads>;
  const std::int64_t b = Group::row();
  double log_px = 0.0;
  for (int s = 0; s < a.samples; ++s) {
    log_px += log_px_of_sample<Group, kGradient, kThreads>(source, a, b, s, factors);
  }
  const double kl = kl_of_datum<Group, kGradient, kThreads>(a, b);
  if (b < a.x.rows && Group::thread() == 0) a.elbo(b) = static_cast<float>(log_px / a.samples - kl);
}

}  // namespace felbo
