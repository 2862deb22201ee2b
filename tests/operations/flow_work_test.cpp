// What covariance_factor, planar_flow and the objectives declare, against the sources of their CPU loops.
#include "kernels/covariance_factor/covariance_factor_work.h"
#include "kernels/objective/objective_work.h"
#include "kernels/planar_flow/planar_flow_work.h"
#include "tests/operations/counted.h"
// The order of what follows matters.
// clang-format off
#include "tests/operations/counting_on.h"
#include "kernels/covariance_factor/covariance_factor_cpu.cpp"
#include "kernels/objective/objective_cpu.cpp"
#include "kernels/planar_flow/planar_flow_cpu.cpp"
#include "tests/operations/counting_off.h"
// clang-format on

namespace {

using counting::Array, counting::expect_declared, counting::tally;
using felbo::CpuExec, felbo::View;
using std::int64_t;

/// No two neighbours alike.
double varied(int64_t i) { return -0.01 * static_cast<double>(i * 7 % 101); }
/// Parameters of chains whose w.u is negative: what makes them invertible is then computed.
Array bent_flows(int64_t rows, int64_t latent, int64_t steps) {
  const int64_t columns = felbo_counted::planar_flow_columns(latent, 1);
  return {rows * steps * columns, [=](int64_t i) { return i % columns < latent ? -0.02 : 0.01; }};
}

TEST(Work, CovarianceFactor) {
  for (const int S : {1, 3}) {
    expect_declared(
        "covariance_factor",
        [&](int64_t B, int64_t Z) {
          const int64_t N = felbo_counted::below_diagonal(Z);
          Array factor(B * N), z(B * S * Z), kl(B);
          const std::vector<std::uint32_t> datum(static_cast<std::size_t>(B));
          covariance_factor(CpuExec(1), felbo_counted::CovarianceFactorArgs{.factor = factor.matrix(B, N),
                                                                            .noise = {},
                                                                            .datum = {datum.data(), B},
                                                                            .samples = S,
                                                                            .z = z.matrix(B * S, Z),
                                                                            .kl = kl.view()});
          return tally({&z, &kl});
        },
        [&](int64_t B, int64_t Z) { return felbo::covariance_factor_work(B, Z, S); });
    expect_declared(
        "covariance_factor_backward",
        [&](int64_t B, int64_t Z) {
          const int64_t N = felbo_counted::below_diagonal(Z);
          Array factor(B * N), grad_z(B * S * Z), grad(B * N);
          const std::vector<std::uint32_t> datum(static_cast<std::size_t>(B));
          covariance_factor_backward(
              CpuExec(1), felbo_counted::CovarianceFactorGradArgs{.factor = factor.matrix(B, N),
                                                                  .noise = {},
                                                                  .datum = {datum.data(), B},
                                                                  .samples = S,
                                                                  .grad_z = grad_z.matrix(B * S, Z),
                                                                  .grad_factor = grad.matrix(B, N)});
          return tally({&grad});
        },
        [&](int64_t B, int64_t Z) { return felbo::covariance_factor_backward_work(B, Z, S); });
  }
}

TEST(Work, PlanarFlow) {
  constexpr int64_t T = 2;
  for (const int S : {1, 3}) {
    expect_declared(
        "planar_flow",
        [&](int64_t B, int64_t Z) {
          const int64_t columns = felbo_counted::planar_flow_columns(Z, T);
          Array flow = bent_flows(B, Z, T), z(B * S * Z), log_q(B * S), activation(B * S * T);
          planar_flow(CpuExec(1), felbo_counted::PlanarFlowArgs{.flow = flow.matrix(B, columns),
                                                                .samples = S,
                                                                .z = z.matrix(B * S, Z),
                                                                .log_qz_given_x = log_q.view(),
                                                                .activation = activation.matrix(B * S, T)});
          return tally({&z, &log_q, &activation});
        },
        [&](int64_t B, int64_t Z) { return felbo::planar_flow_work(B, Z, S, T); });
    expect_declared(
        "planar_flow_backward",
        [&](int64_t B, int64_t Z) {
          const int64_t columns = felbo_counted::planar_flow_columns(Z, T);
          Array flow = bent_flows(B, Z, T), z(B * S * Z), grad_z(B * S * Z), activation(B * S * T),
                grad(B * columns);
          planar_flow_backward(CpuExec(1),
                               felbo_counted::PlanarFlowGradArgs{.flow = flow.matrix(B, columns),
                                                                 .samples = S,
                                                                 .z = z.matrix(B * S, Z),
                                                                 .activation = activation.matrix(B * S, T),
                                                                 .grad_z = grad_z.matrix(B * S, Z),
                                                                 .grad_flow = grad.matrix(B, columns)});
          return tally({&z, &grad_z, &grad});
        },
        [&](int64_t B, int64_t Z) { return felbo::planar_flow_backward_work(B, Z, S, T); });
  }
}

TEST(Work, Objectives) {
  expect_declared(
      "elbo",
      [](int64_t B, int64_t S) {
        Array log_px(B * S), kl(B), elbo_of(B), totals(3);
        elbo(CpuExec(1), felbo_counted::ElboArgs{.log_px_given_z = log_px.view(),
                                                 .kl = kl.view(),
                                                 .samples = static_cast<int>(S),
                                                 .elbo = elbo_of.view(),
                                                 .totals = totals.view()});
        return tally({&elbo_of, &totals});
      },
      [](int64_t B, int64_t S) { return felbo::elbo_work(B, S); });
  expect_declared(
      "log_mean_exp_update",
      [](int64_t B, int64_t S) {
        Array log_px(B * S, varied), log_pz(B * S), log_qz(B * S), max(B, -1e30), sum(B);
        log_mean_exp_update(CpuExec(1), felbo_counted::LogMeanExpArgs{.log_px_given_z = log_px.view(),
                                                                      .log_pz = log_pz.view(),
                                                                      .log_qz_given_x = log_qz.view(),
                                                                      .samples = static_cast<int>(S),
                                                                      .max = max.view(),
                                                                      .sum = sum.view()});
        return tally({&max, &sum});
      },
      [](int64_t B, int64_t S) { return felbo::log_mean_exp_work(B, S); });
  expect_declared(
      "importance_weights",
      [](int64_t B, int64_t S) {
        Array log_px(B * S, varied), log_pz(B * S), log_qz(B * S), weight(B * S), bound(B), total(1);
        importance_weights(CpuExec(1), felbo_counted::ImportanceWeightsArgs{.log_px_given_z = log_px.view(),
                                                                            .log_pz = log_pz.view(),
                                                                            .log_qz_given_x = log_qz.view(),
                                                                            .samples = static_cast<int>(S),
                                                                            .weight = weight.view(),
                                                                            .bound = bound.view(),
                                                                            .total = total.view()});
        return tally({&weight, &bound, &total});
      },
      [](int64_t B, int64_t S) { return felbo::importance_weights_work(B, S); });
  expect_declared(
      "sampled_kl",
      [](int64_t B, int64_t S) {
        Array log_pz(B * S), log_qz(B * S), kl(B);
        sampled_kl(CpuExec(1), felbo_counted::SampledKlArgs{.log_pz = log_pz.view(),
                                                            .log_qz_given_x = log_qz.view(),
                                                            .samples = static_cast<int>(S),
                                                            .kl = kl.view()});
        return tally({&kl});
      },
      [](int64_t B, int64_t S) { return felbo::sampled_kl_work(B, S); });
}

}  // namespace
