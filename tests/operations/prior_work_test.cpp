// What the ops of priors, and those between the networks, declare, against the sources of their CPU loops.
#include "kernels/gaussian_kl/gaussian_kl_work.h"
#include "kernels/isotropic/isotropic_work.h"
#include "kernels/log_counts/log_counts_work.h"
#include "kernels/mixture_prior/mixture_prior_work.h"
#include "kernels/normal_cdf/normal_cdf_work.h"
#include "tests/operations/counted.h"
// The order of what follows matters. Constants of the sources that share a name are told apart.
// clang-format off
#include "tests/operations/counting_on.h"
#define kGrain kGaussianKlGrain
#define kColumns kGaussianKlColumns
#include "kernels/gaussian_kl/gaussian_kl_cpu.cpp"
#undef kGrain
#undef kColumns
#define kGrain kIsotropicGrain
#include "kernels/isotropic/isotropic_cpu.cpp"
#undef kGrain
#define kGrain kLogCountsGrain
#include "kernels/log_counts/log_counts_cpu.cpp"
#undef kGrain
#define kGrain kNormalCdfGrain
#include "kernels/normal_cdf/normal_cdf_cpu.cpp"
#undef kGrain
#include "kernels/mixture_prior/mixture_prior_cpu.cpp"
#include "tests/operations/counting_off.h"
// clang-format on

namespace {

using counting::Array, counting::expect_declared, counting::tally;
using felbo::CpuExec;
using std::int64_t;

TEST(Work, GaussianKl) {
  expect_declared(
      "gaussian_kl",
      [](int64_t B, int64_t Z) {
        Array mu(B * Z), log_var(B * Z), prior_mu(Z), prior_log_var(Z), kl(B);
        gaussian_kl(CpuExec(1), felbo_counted::GaussianKlArgs{.mu = mu.matrix(B, Z),
                                                              .log_var = log_var.matrix(B, Z),
                                                              .prior_mu = prior_mu.view(),
                                                              .prior_log_var = prior_log_var.view(),
                                                              .kl = kl.view()});
        return tally({&kl});
      },
      [](int64_t B, int64_t Z) { return felbo::gaussian_kl_work(B, Z); });
}

TEST(Work, GaussianKlBackward) {
  expect_declared(
      "gaussian_kl_backward",
      [](int64_t B, int64_t Z) {
        Array mu(B * Z), log_var(B * Z), prior_mu(Z), prior_log_var(Z), scale(1), grad_mu(B * Z),
            grad_log_var(B * Z), grad_prior_mu(Z), grad_prior_log_var(Z);
        gaussian_kl_backward(
            CpuExec(1), felbo_counted::GaussianKlGradArgs{.mu = mu.matrix(B, Z),
                                                          .log_var = log_var.matrix(B, Z),
                                                          .prior_mu = prior_mu.view(),
                                                          .prior_log_var = prior_log_var.view(),
                                                          .kl_scale = scale.view()(0),
                                                          .grad_mu = grad_mu.matrix(B, Z),
                                                          .grad_log_var = grad_log_var.matrix(B, Z),
                                                          .grad_prior_mu = grad_prior_mu.view(),
                                                          .grad_prior_log_var = grad_prior_log_var.view()});
        return tally({&grad_mu, &grad_log_var, &grad_prior_mu, &grad_prior_log_var});
      },
      [](int64_t B, int64_t Z) { return felbo::gaussian_kl_backward_work(B, Z); });
}

/// A prior of K components, and what a call of mixture_prior() or its backward reads and writes.
felbo_counted::GaussianMixture mixture_of(Array& mu, Array& log_var, Array& logit, int64_t K, int64_t Z) {
  return {.mu = mu.matrix(K, Z), .log_var = log_var.matrix(K, Z), .logit = logit.view()};
}
counting::Tally mixture_tally(int64_t R, int64_t Z, int64_t K) {
  Array mu(K * Z), log_var(K * Z), logit(K), z(R * Z), log_pz(R), responsibility(R * K), scratch(K * (Z + 2));
  mixture_prior(CpuExec(1), felbo_counted::MixturePriorArgs{.mixture = mixture_of(mu, log_var, logit, K, Z),
                                                            .z = z.matrix(R, Z),
                                                            .log_pz = log_pz.view(),
                                                            .responsibility = responsibility.matrix(R, K),
                                                            .scratch = scratch.view()});
  return tally({&log_pz, &responsibility, &scratch});
}
counting::Tally mixture_backward_tally(int64_t R, int64_t Z, int64_t K) {
  Array mu(K * Z), log_var(K * Z), logit(K), z(R * Z), responsibility(R * K), scratch(K * (Z + 2)),
      grad_z(R * Z), grad_mu(K * Z), grad_log_var(K * Z), grad_logit(K);
  mixture_prior_backward(CpuExec(1),
                         felbo_counted::MixturePriorGradArgs{.mixture = mixture_of(mu, log_var, logit, K, Z),
                                                             .z = z.matrix(R, Z),
                                                             .responsibility = responsibility.matrix(R, K),
                                                             .scratch = scratch.view(),
                                                             .grad_z = grad_z.matrix(R, Z),
                                                             .grad_mu = grad_mu.matrix(K, Z),
                                                             .grad_log_var = grad_log_var.matrix(K, Z),
                                                             .grad_logit = grad_logit.view()});
  return tally({&grad_z, &grad_mu, &grad_log_var, &grad_logit});
}

/// Two of R, Z and K at a time.
template <class Counted, class Declared>
void expect_mixture_declared(const std::string& op, const Counted& counted, const Declared& declared) {
  expect_declared(
      op + " of z", [&](int64_t R, int64_t Z) { return counted(R, Z, 3); },
      [&](int64_t R, int64_t Z) { return declared(R, Z, 3); });
  expect_declared(
      op + " of responsibilities", [&](int64_t R, int64_t K) { return counted(R, 5, K); },
      [&](int64_t R, int64_t K) { return declared(R, 5, K); });
  expect_declared(
      op + " of the mixture", [&](int64_t K, int64_t Z) { return counted(4, Z, K); },
      [&](int64_t K, int64_t Z) { return declared(4, Z, K); });
}
TEST(Work, MixturePrior) {
  expect_mixture_declared("mixture_prior", mixture_tally, felbo::mixture_prior_work);
}
TEST(Work, MixturePriorBackward) {
  expect_mixture_declared("mixture_prior_backward", mixture_backward_tally,
                          felbo::mixture_prior_backward_work);
}

/// What Phi is made of besides one function: its argument's quotient 3, a polynomial of 9 terms, the
/// exponential of -z^2 / 2 with its products 3, their product, and 1 less it.
constexpr double kOfPhi = 3 + 2 * 9 + 3 + 1 + 1 - 1;

TEST(Work, NormalCdf) {
  expect_declared(
      "normal_cdf",
      [](int64_t rows, int64_t cols) {
        Array z(rows * cols), u(rows * cols);
        normal_cdf(CpuExec(1), felbo_counted::NormalCdfArgs{z.view(), u.view()});
        return tally({&u});
      },
      [](int64_t rows, int64_t cols) {
        return felbo::normal_cdf_work(rows * cols) + felbo::work_of(rows * cols, 0.0, kOfPhi);
      });
  expect_declared(
      "normal_cdf_backward",
      [](int64_t rows, int64_t cols) {
        Array z(rows * cols), grad(rows * cols);
        normal_cdf_backward(CpuExec(1), felbo_counted::NormalCdfGradArgs{z.view(), grad.view()});
        return tally({&grad});
      },
      [](int64_t rows, int64_t cols) { return felbo::normal_cdf_backward_work(rows * cols); });
}

TEST(Work, LogCounts) {
  expect_declared(
      "log_counts",
      [](int64_t rows, int64_t cols) {
        Array x(rows * cols), y(rows * cols);
        log_counts(CpuExec(1), felbo_counted::LogCountsArgs{x.view(), y.view()});
        return tally({&y});
      },
      [](int64_t rows, int64_t cols) { return felbo::log_counts_work(rows * cols); });
}

TEST(Work, Isotropic) {
  expect_declared(
      "repeat_log_var",
      [](int64_t B, int64_t Z) {
        Array one(B), log_var(B * Z);
        repeat_log_var(CpuExec(1), felbo_counted::RepeatLogVarArgs{one.matrix(B, 1), log_var.matrix(B, Z)});
        return tally({&log_var});
      },
      [](int64_t B, int64_t Z) { return felbo::repeat_log_var_work(B, Z); });
  expect_declared(
      "sum_log_var_grad",
      [](int64_t B, int64_t Z) {
        Array grad(B * Z), one(B);
        sum_log_var_grad(CpuExec(1), felbo_counted::SumLogVarGradArgs{grad.matrix(B, Z), one.matrix(B, 1)});
        return tally({&one});
      },
      [](int64_t B, int64_t Z) { return felbo::sum_log_var_grad_work(B, Z); });
}

}  // namespace
